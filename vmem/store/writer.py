"""A walk's file held for writing: whole transactions, under a row that says who writes."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

from vmem.store import owner as owners
from vmem.store.connections import connect_to_write
from vmem.store.header import log_of, size_of
from vmem.store.schema import VERSION, clear_errors
from vmem.store.values import StoreError

LOG = 8 << 20
"""Bytes that the log may reach before it is merged into the file, beside whatever comes next."""


class Writer:
    """Holds a file from when it is made until it is closed, lost, or its process ends."""

    def __init__(self, path: Path) -> None:
        """Raises WalkHeld if somebody else writes the file, StoreError for what is no walk, and
        what SQLite and the disk raise."""
        self.path = path
        self._owner = owners.this_process(path)
        self._lock = threading.RLock()
        self._merging = threading.Lock()
        self._closed = False
        self._wake = threading.Event()
        with contextlib.ExitStack() as opening:
            self._connection = connect_to_write(path, opening)
            self._connection.execute("PRAGMA wal_autocheckpoint=0")
            self._connection.execute("PRAGMA journal_size_limit=0")
            self._merger = connect_to_write(path, opening)
            opening.callback(weakref.finalize(self, owners.forget, self._owner))
            with self.transaction(new=True) as connection:
                owners.claim(connection, self._owner, path)
            self._place = _place_of(path)
            self._closing = opening.pop_all()
        threading.Thread(
            target=_live, args=(weakref.ref(self), self._wake), name="walk file", daemon=True
        ).start()

    @contextlib.contextmanager
    def transaction(self, *, new: bool = False) -> Iterator[sqlite3.Connection]:
        """One transaction, on the disk when the block is left, and undone by whatever the block
        raises. It beats too, unless the owner is ``new``. Raises WalkHeld if the file was taken
        over, StoreError if it was closed or the disk fails.

        Every transaction writes the first page, by which a log is known to be this file's
        (`vmem.store.header`).
        """
        with self._lock, clear_errors(self.path, "write"):
            if self._closed:
                raise StoreError(f"{self.path} was closed: open it again")
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.execute(f"PRAGMA user_version={VERSION}")
                if not new:
                    owners.beat(connection, self._owner, self.path)
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # Some errors have undone it already.
                    with contextlib.suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                raise
            if size_of(log_of(self.path)) > LOG:
                self._wake.set()

    def check_place(self) -> None:
        """StoreError where the file is no longer at its path: what is written to one that was moved
        or deleted goes into a log that nobody finds."""
        if _place_of(self.path) != self._place:
            raise StoreError(
                f"{self.path} was moved, deleted or replaced while it was open: put it back, or "
                "save the walk under another name"
            )

    def live(self, *, merge: bool) -> None:
        """Beat; or, with ``merge``, bring the log into the file, while others read and write."""
        if not merge:
            with self.transaction():
                return
        with self._merging:
            if not self._closed:
                self._merger.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Cross the owner out and let the file go; a second call does nothing."""
        with self._lock, self._merging:
            if not self._closed:
                with contextlib.suppress(StoreError), self.transaction() as connection:
                    owners.release(connection, self._owner)
                # All into the file itself, even where somebody still looks at it, if that is soon.
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("PRAGMA busy_timeout=500")
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._closed = True
            self._wake.set()
            self._closing.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed


def _place_of(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _live(writer: weakref.ref[Writer], wake: threading.Event) -> None:
    """Beat and merge until the writer is closed or forgotten."""
    while True:
        merge = wake.wait(owners.BEAT)
        wake.clear()
        alive = writer()
        if alive is None or alive.closed:
            return
        # A disk that fails is heard of by whoever writes next.
        with contextlib.suppress(StoreError, sqlite3.Error):
            alive.live(merge=merge)
        del alive
