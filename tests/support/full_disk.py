"""A disk that runs full, or fails once, at a chosen operation of an export."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest


class FailingDisk:
    """Counts what exports ask of the disk (create, write, flush, reserve) and refuses the operation
    number ``fails_at``, from 0, and all later ones unless ``once``."""

    def __init__(self, fails_at: int, *, once: bool = False) -> None:
        self.operations = 0
        self._fails_at, self._once = fails_at, once

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Have this process write to it, until ``patch`` is undone."""
        opened = Path.open
        disk = self

        def open_counted(self: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
            if not self.name.startswith(".vmem-") or mode[0] not in "wx":
                return opened(self, mode, *args, **options)
            disk._operate()
            return _Counted(opened(self, mode, *args, **options), disk)

        patch.setattr(Path, "open", open_counted)
        # To wait for a real disk would take most of the time.
        patch.setattr(os, "fsync", lambda handle: disk._operate())
        patch.setattr(os, "posix_fallocate", lambda handle, start, size: disk._operate())

    @property
    def failed(self) -> bool:
        """Whether an operation was refused."""
        return self.operations > self._fails_at

    def _operate(self) -> None:
        self.operations += 1
        number = self.operations - 1
        if number == self._fails_at or (number > self._fails_at and not self._once):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _Counted:
    """A file that asks its disk before each write."""

    def __init__(self, file: Any, disk: FailingDisk) -> None:
        self._file, self._disk = file, disk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Counted:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, content: bytes) -> int:
        self._disk._operate()
        return self._file.write(content)
