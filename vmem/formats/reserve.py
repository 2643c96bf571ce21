"""Room on a disk that is kept for files to be written last."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from vmem.formats.files import clear_errors


class Reserve:
    """Bytes of a disk that nobody else can use. They are given back when it is released, and by the
    system when the process ends, because the file that takes them has no name."""

    def __init__(self, folder: Path) -> None:
        """Raises ExportError if no file can be made in ``folder``."""
        self._folder = folder
        with clear_errors(folder):
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (kept)

    def grow(self, size: int) -> None:
        """Take ``size`` bytes in all, more than before. Raises ExportError if there is no room; on
        systems that cannot do so nothing is taken."""
        if self._file.closed or not hasattr(os, "posix_fallocate"):
            return
        with clear_errors(self._folder):
            try:
                os.posix_fallocate(self._file.fileno(), 0, size)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise

    def release(self) -> None:
        """Give the bytes back."""
        self._file.close()
