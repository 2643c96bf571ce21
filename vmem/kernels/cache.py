"""Where compiled kernels are kept: wherever numba can write, and failing that a folder of ours.

numba refuses to define a cached kernel if it can write neither beside the source nor in the user's
cache folder, as in a read-only container without a home. Standard library only: this runs before
anything else of the package.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from vmem.kernels.damaged import watch_kernel_cache

VARIABLE = "NUMBA_CACHE_DIR"


def ensure_kernel_cache() -> None:
    """Name a folder for numba where it would find none, and have damaged files in it set aside.

    Must come before numba is imported.
    """
    watch_kernel_cache()
    given = os.environ.get(VARIABLE)
    beside = Path(__file__).parents[1] / "__pycache__"
    if any(_writable(folder) for folder in (given, beside, _user_cache()) if folder):
        return
    with suppress(OSError):  # nothing can be written anywhere: numba's own message says so
        os.environ[VARIABLE] = str(_private_folder())


def _user_cache() -> Path:
    """About where numba looks; its own folder there need not exist yet."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _writable(folder: str | Path) -> bool:
    try:
        os.makedirs(folder, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _private_folder() -> Path:
    """One for this user in the system's temporary folder, the same for every process; another if
    somebody else made that one, since cached kernels are code."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"vmem-kernels-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    foreign = hasattr(os, "getuid") and (found.st_uid != user or found.st_mode & 0o022)
    if foreign or folder.is_symlink() or not _writable(folder):
        return Path(tempfile.mkdtemp(prefix="vmem-kernels-"))
    return folder
