"""How every export reaches the disk: whole or not at all, and with errors that say what to do."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

from vmem.errors import VMemError

_PART = re.compile(r"\.vmem-[0-9a-f]{12}\.part(\.\w+)?")
"""Names of files that are being written."""
ABANDONED = 600.0
"""Seconds without a write after which such a file is taken for the rest of a killed program."""


class ExportError(VMemError, OSError):
    """The files could not be written; the message says where and what to do."""


class Replacements:
    """Files that are made beside their places and moved there together.

    As a context manager it removes on leaving what was not moved. The files that were there before
    stay whole until each is replaced. All errors are ExportErrors that name the file's own place.
    """

    def __init__(self) -> None:
        self._parts: deque[tuple[Path, Path]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.discard()

    def part(self, path: Path) -> Path:
        """An empty new file beside ``path`` with the same suffix, to be written by the caller.

        A link stays, and its target will be replaced. Raises ExportError for a folder, a device,
        a socket or a pipe, and where no file can be made.
        """
        target = Path(os.path.realpath(path))
        if os.path.lexists(target) and not target.is_file():
            what = "a folder" if target.is_dir() else "not a regular file"
            raise ExportError(
                f"cannot write {target}: it is {what}; choose another name for the file"
            )
        part = target.with_name(f".vmem-{secrets.token_hex(6)}.part{target.suffix}")
        self._parts.append((part, path))  # first, or an interrupt here would leave it behind
        with clear_errors(path):
            part.open("xb").close()
        return part

    def write(self, path: Path, content: Iterable[bytes]) -> None:
        """Make the file that will replace ``path`` of pieces, and read it back."""
        part = self.part(path)
        with clear_errors(path):
            written = read = 0
            with part.open("wb") as file:
                for piece in content:
                    file.write(piece)
                    written = zlib.crc32(piece, written)
                _flush(file)
            with part.open("rb") as file:
                while piece := file.read(1 << 20):
                    read = zlib.crc32(piece, read)
            if read != written:
                raise OSError(errno.EIO, "what was written reads back differently")

    def move(self, before: Callable[[Path], object] = lambda path: None) -> None:
        """Move all files to their places, in the order in which they were begun.

        ``before`` is called with each place just before, and may move away what is there.
        """
        while self._parts:
            part, path = self._parts[0]
            with clear_errors(path):
                before(path)
                part.replace(Path(os.path.realpath(path)))
            self._parts.popleft()

    def discard(self) -> None:
        """Remove the files that were not moved."""
        while self._parts:
            with suppress(OSError):  # what cannot be removed now is removed by a later export
                self._parts[0][0].unlink(missing_ok=True)
            self._parts.popleft()


def _flush(file: BinaryIO) -> None:
    """Wait until a file is on the disk: some disks tell an error no earlier."""
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` with the same suffix, which replaces ``path`` on success.

    If the body raises, ``path`` stays as it was and the temporary file is removed. Raises
    ExportError as Replacements does.
    """
    with Replacements() as made:
        part = made.part(path)
        yield part
        with clear_errors(path), part.open("rb+") as file:
            _flush(file)
        made.move()


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Turn any OSError of the body into an ExportError about writing ``path``."""
    try:
        yield
    except ExportError:
        raise
    except OSError as error:
        what_to_do = "choose another output directory"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            # os.path.exists is false, never an error, for folders we cannot enter.
            existing = next(p for p in [path, *path.absolute().parents] if os.path.exists(p))
            free = shutil.disk_usage(existing).free / 1e6
            what_to_do = f"make room there ({free:.0f} MB are free) or {what_to_do}"
        raise ExportError(
            f"cannot write {path}: {error.strerror or error}; {what_to_do}"
        ) from error


def json_bytes(content: Any) -> bytes:
    """``content``, of plain values, as an indented JSON file."""
    return (json.dumps(content, indent=1) + "\n").encode()


def write_json(path: Path, content: Any) -> None:
    """Write ``content``, of plain values, as an indented JSON file."""
    with Replacements() as made:
        made.write(path, [json_bytes(content)])
        made.move()


def set_aside(path: Path) -> Path:
    """Rename a file to the first free one of ``name.old``, ``name.old2``, ...; its new path."""
    kept = path.with_name(f"{path.name}.old")
    count = 1
    while os.path.lexists(kept):
        count += 1
        kept = path.with_name(f"{path.name}.old{count}")
    return path.rename(kept)


def remove_abandoned(folder: Path) -> None:
    """Remove what programs that were killed while they wrote have left in ``folder``, if it is
    one."""
    with suppress(OSError):  # whoever cannot tidy up can still write
        for path in folder.iterdir():
            if _PART.fullmatch(path.name) and time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink()
