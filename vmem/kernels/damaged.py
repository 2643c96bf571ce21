"""A damaged file of numba's kernel cache is set aside, and its kernel is compiled again.

numba 0.68 raises what it meets in its cache files: an empty, cut or overwritten file, or a folder
in a file's place, ends every start of the program until somebody deletes it. `watch_kernel_cache`
has such a file renamed, with one line in the log for the process, and the kernel compiled as if it
had never been. Data files get a checksum behind numba's own content, which numba's pickle does not
read: bytes that changed within machine code would not be noticed otherwise.

Standard library only: this runs before anything else of the package.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

log = logging.getLogger(__name__)

CACHING = "numba.core.caching"
SUFFIX = ".damaged"
_MARK = b"vmem-sha256:"
_said = False


class DamagedFile(Exception):
    """The content of a data file is not what was written."""


def watch_kernel_cache() -> None:
    """Guard numba's cache, at once or as soon as numba has been imported."""
    if CACHING in sys.modules:
        _guard(sys.modules[CACHING])
    elif not any(isinstance(finder, _OnImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OnImport())


class _OnImport(MetaPathFinder):
    """Guards the caching module when it is imported: to import numba here would cost every
    ``import vmem`` a second."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != CACHING:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _guard(module)

            spec.loader.exec_module = exec_module
        return spec


def _guard(caching: Any) -> None:
    """Wrap loading and saving of every cache of ``numba.core.caching``."""
    try:
        cache, files = caching.Cache, caching.IndexDataCacheFile
        load, save = cache.load_overload, cache.save_overload
        dump, read = files._dump, files._load_data
    except AttributeError:  # a numba that works otherwise keeps its own ways
        log.debug("this numba's cache is not guarded", exc_info=True)
        return
    if getattr(load, "guarded", False):
        return

    def guarded_load(self: Any, sig: Any, target_context: Any) -> Any:
        try:
            return load(self, sig, target_context)
        except Exception as error:
            _set_aside(self, error)
            return None

    def guarded_save(self: Any, sig: Any, data: Any) -> None:
        try:
            save(self, sig, data)
        except Exception as error:
            _set_aside(self, error)
            # What still cannot be saved is compiled again by the next process.
            with suppress(Exception):
                save(self, sig, data)

    def sealed(self: Any, obj: Any) -> bytes:
        content = dump(self, obj)
        return content + _MARK + hashlib.sha256(content).digest()

    def checked(self: Any, name: str) -> Any:
        content, mark, digest = Path(self._data_path(name)).read_bytes().rpartition(_MARK)
        if mark and hashlib.sha256(content).digest() != digest:
            raise DamagedFile(f"{name} has changed since it was written")
        return read(self, name)

    guarded_load.guarded = True  # pyright: ignore[reportFunctionMemberAccess]
    cache.load_overload, cache.save_overload = guarded_load, guarded_save
    files._dump, files._load_data = sealed, checked


def _set_aside(cache: Any, error: Exception) -> None:
    """Rename the index and the data files of one function's cache."""
    global _said
    file = cache._cache_file
    index = Path(file._index_path)
    stem = index.name.removesuffix(".nbi")
    found = [path for path in index.parent.glob(f"{stem}.*") if path.suffix in (".nbi", ".nbc")]
    for path in found:
        aside = path.with_name(path.name + SUFFIX)
        with suppress(OSError):
            if aside.is_dir() and not aside.is_symlink():
                shutil.rmtree(aside)
            os.replace(path, aside)
    level = logging.DEBUG if _said else logging.WARNING
    _said = True
    what = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    log.log(
        level,
        "the cache of compiled kernels in %s cannot be used (%s): what is damaged is set aside as "
        "*%s and compiled again",
        index.parent,
        what,
        SUFFIX,
    )
