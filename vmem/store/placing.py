"""How a new file comes to lie under its name: made beside it, whole, then moved."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from vmem.store.header import log_of, new_cookie
from vmem.store.values import StoreError


def check_free(path: Path) -> None:
    """StoreError unless a new walk's file can take this name."""
    if os.path.lexists(path):
        raise StoreError(f"{path} exists already: open it, or choose another name")
    if not path.parent.is_dir():
        raise StoreError(f"there is no folder {path.parent}: make it, or choose another")
    for beside in (log_of(path), path.with_name(f"{path.name}-journal")):
        if os.path.lexists(beside):
            raise StoreError(f"{beside} lies there: move it away, or choose another name")


@contextlib.contextmanager
def arriving(path: Path, *, replaces: bool = False) -> Iterator[Path]:
    """A name beside ``path`` for a file that then takes the name ``path``: in place of the one
    that has it where it ``replaces``, else only if the name is free. Raises StoreError."""
    part = path.with_name(f".{path.name}.{new_cookie():x}.part")
    try:
        yield part
        if replaces:
            part.replace(path)
        else:
            _take_name(part, path)
        _sync(path.parent)
    finally:
        for end in ("", "-wal", "-shm", "-journal"):
            part.with_name(part.name + end).unlink(missing_ok=True)


def _take_name(part: Path, path: Path) -> None:
    check_free(path)
    try:
        os.link(part, path)
    except FileExistsError:
        check_free(path)
        raise
    except OSError:  # A file system without hard links.
        part.rename(path)


def _sync(folder: Path) -> None:
    """Bring names in a folder to the disk, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
