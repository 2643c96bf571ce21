"""A folder that one writer at a time holds, without a file in it that could be left behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vmem.formats.files import ExportError, clear_errors


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold ``directory`` while the body runs; the system lets go of it when the process ends.

    Raises ExportError if somebody holds it. Where the system or the file system has no such locks
    nothing is held.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with clear_errors(directory):
        handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ExportError(
                f"cannot write to {directory}: another process is writing a walk there; wait for "
                "it, or choose another output directory"
            ) from None
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(handle)
