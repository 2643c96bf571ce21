"""Connections to walks' files: to look, which writes nothing anywhere, and to write.

SQLite's locks belong to a process and a file: whoever opens and closes the file by other means, in
a process that has it open, takes the locks away, and another process may then damage it. So inside
this program a walk's file is opened through here alone, and its first bytes are read only while
the process does not have it open.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from vmem.store.header import Header, check_beside, log_of, read_header, size_of
from vmem.store.schema import VERSION, check_schema, connect, migration, write_migrated

T = TypeVar("T")

_gate = threading.RLock()
_open: dict[tuple[int, int], list[Header]] = {}
"""Headers of the files that this process has open under locks, once for each connection."""


class Reader:
    """A connection that only reads. It may be used from any thread, one at a time.

    A file that nobody has open is read without locks and without files beside it (`stale` tells
    if that went wrong); one that somebody has open, or left open in a crash, through the files
    that lie beside it already; without those, or in an older format, a copy in the system's
    temporary folder is read.
    """

    def __init__(self, path: Path) -> None:
        """Raises StoreError for what is no walk, and what SQLite and the disk raise."""
        self.path = path
        self._seen: tuple[int, ...] | None = None
        with contextlib.ExitStack() as opening:
            self._connection = self._connect(opening)
            self._closing = opening.pop_all()

    @property
    def stale(self) -> bool:
        """Whether the file was changed while it was read as one that nobody has open: what was
        read may be torn, and is to be read again by another Reader."""
        return self._seen is not None and self._seen != _state(self.path)

    def rows(self, query: str, values: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of the answer, as they are read."""
        return iter(self._connection.execute(query, values))

    def one(self, query: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """The first row, or None."""
        return self._connection.execute(query, values).fetchone()

    def copy_into(self, copy: sqlite3.Connection) -> None:
        """Write the whole file, as it is at one moment, into an empty database."""
        self._connection.backup(copy)

    def close(self) -> None:
        """Close it; a second call does nothing."""
        self._closing.close()

    def _connect(self, opening: contextlib.ExitStack) -> sqlite3.Connection:
        with _gate:
            state, header = _state(self.path), header_of(self.path)
            log = log_of(self.path)
            shared = log.with_name(f"{self.path.name}-shm")
            path, query = self.path, "mode=ro"
            if not size_of(log):
                query, self._seen = "mode=ro&immutable=1", state
            elif shared.exists():
                opening.enter_context(_held(self.path, header))
            else:
                path, query = _copied(self.path, opening), "mode=rw"
            longest = size_of(self.path) + size_of(log) + (1 << 16)
            connection = opening.enter_context(
                contextlib.closing(connect(path, query, longest=longest))
            )
        if header.version == VERSION:
            check_schema(connection, self.path)
            connection.execute("PRAGMA query_only=ON")
            return connection
        check_schema(connection, self.path, migration(self.path, header.version).tables)
        new = _folder(opening) / self.path.name
        write_migrated(connection, header.version, new)
        return opening.enter_context(contextlib.closing(connect(new)))


def look(path: Path, read: Callable[[Reader], T]) -> tuple[Reader, T]:
    """A Reader of the file and what ``read`` makes of it, while nobody writes or in spite of it.
    Raises what `Reader` and ``read`` raise."""
    while True:
        with contextlib.ExitStack() as failing:
            reader = Reader(path)
            failing.callback(reader.close)
            found = read(reader)
            if not reader.stale:
                failing.pop_all()
                return reader, found


def connect_to_write(path: Path, opening: contextlib.ExitStack) -> sqlite3.Connection:
    """A connection to write a walk's file, of this format, until ``opening`` is closed. Raises
    StoreError for what is no walk, and what SQLite and the disk raise."""
    with _gate:
        opening.enter_context(_held(path, header_of(path)))
        connection = opening.enter_context(contextlib.closing(connect(path)))
    check_schema(connection, path)
    return connection


def header_of(path: Path) -> Header:
    """The header of a walk's file. Raises StoreError for what is none, or has something foreign
    beside it, and OSError as the disk gives it."""
    with _gate:
        if held := _open.get(_place(path)):
            return held[0]
        header = read_header(path)
        check_beside(path, header)
    return header


@contextlib.contextmanager
def _held(path: Path, header: Header) -> Iterator[None]:
    place = _place(path)
    _open.setdefault(place, []).append(header)
    try:
        yield
    finally:
        with _gate:
            _open[place].pop()
            if not _open[place]:
                del _open[place]


def _copied(path: Path, opening: contextlib.ExitStack) -> Path:
    """A copy of the file and its log, until ``opening`` is closed."""
    folder = _folder(opening)
    for name in (path.name, log_of(path).name):
        shutil.copyfile(path.with_name(name), folder / name)
    return folder / path.name


def _folder(opening: contextlib.ExitStack) -> Path:
    return Path(opening.enter_context(tempfile.TemporaryDirectory(prefix="vmem-")))


def _place(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return 0, 0
    return stat.st_dev, stat.st_ino


def _state(path: Path) -> tuple[int, ...]:
    """What changes when somebody writes the file, or is about to."""
    if not path.exists():
        return ()
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns, stat.st_size, size_of(log_of(path))
