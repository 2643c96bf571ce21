"""The tables of a walk's file, and how a connection to one is made that trusts nothing in it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vmem.store.header import APPLICATION, new_cookie
from vmem.store.values import StoreError

VERSION = 1
"""Number of the present format; `user_version` of the file."""

OLDEST = (3, 37)
"""The first SQLite that knows STRICT tables."""

PAGE = 8192
"""Bytes of a page of a new file."""

_LIMITS = {
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 1 << 16,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_COLUMN: 64,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 32,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}

TABLES: Mapping[str, str] = {
    "walk": """CREATE TABLE walk (
  id INTEGER PRIMARY KEY,
  title TEXT NOT NULL,
  origin TEXT NOT NULL,
  created REAL NOT NULL,
  changed REAL NOT NULL,
  head INTEGER NOT NULL,
  thumbnail BLOB NOT NULL
) STRICT""",
    "owner": """CREATE TABLE owner (
  id INTEGER PRIMARY KEY,
  token TEXT NOT NULL,
  host TEXT NOT NULL,
  machine TEXT NOT NULL,
  process INTEGER NOT NULL,
  started TEXT NOT NULL,
  file TEXT NOT NULL,
  beat REAL NOT NULL
) STRICT""",
    "node": """CREATE TABLE node (
  id INTEGER PRIMARY KEY,
  parent INTEGER,
  label TEXT NOT NULL,
  name TEXT NOT NULL,
  recent INTEGER,
  views INTEGER NOT NULL,
  surfels INTEGER NOT NULL,
  links INTEGER NOT NULL,
  parts INTEGER NOT NULL,
  made REAL NOT NULL,
  crc INTEGER NOT NULL
) STRICT""",
    "part": """CREATE TABLE part (
  node INTEGER NOT NULL,
  number INTEGER NOT NULL,
  kind TEXT NOT NULL,
  crc INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (node, number, kind)
) STRICT""",
}
"""The known schema, as text that a file must repeat to the letter.

``walk`` and ``owner`` have one row at most. A ``part`` is a blob of `vmem.store.parts` with the
CRC-32 of its place and its bytes; a ``node`` says how many it has.
"""


@dataclass(frozen=True)
class Migration:
    """How a file of an older format becomes one of the present."""

    tables: Mapping[str, str]
    """The known schema of that format, as TABLES. The table ``owner`` is the same in all."""
    copy: Callable[[sqlite3.Connection, sqlite3.Connection], None]
    """Writes what the first connection holds, but the owner, into the second, whose tables are
    empty."""


MIGRATIONS: dict[int, Migration] = {}
"""By number of the format. Whoever changes TABLES puts the old ones here."""


def connect(path: Path, query: str = "mode=rw", *, longest: int = 1 << 29) -> sqlite3.Connection:
    """A connection that runs nothing that is stored in the file.

    query: of SQLite's URI · longest: bytes of the longest row that it may give or take. It is in
    autocommit mode and may be used from any thread, one at a time.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        raise StoreError(
            f"walks are saved with SQLite {'.'.join(map(str, OLDEST))} or newer; this Python has "
            f"{sqlite3.sqlite_version}: use a newer one"
        )
    uri = f"{path.absolute().as_uri()}?{query}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=5, isolation_level=None, check_same_thread=False
    )
    connection.text_factory = _text
    for limit, value in {sqlite3.SQLITE_LIMIT_LENGTH: min(longest, 1 << 29), **_LIMITS}.items():
        connection.setlimit(limit, value)
    for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def write_schema(connection: sqlite3.Connection, cookie: int) -> None:
    """Make an empty database a walk's file. ``cookie`` tells this file from all others, in its
    header and in its log."""
    connection.execute(f"PRAGMA page_size={PAGE}")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA application_id={APPLICATION}")
    connection.execute(f"PRAGMA user_version={VERSION}")
    for text in TABLES.values():
        connection.execute(text)
    connection.execute(f"PRAGMA schema_version={cookie}")
    connection.execute("COMMIT")


def check_schema(
    connection: sqlite3.Connection, path: Path, tables: Mapping[str, str] | None = None
) -> None:
    """StoreError unless the file's schema is ``tables``, by default TABLES, to the letter."""
    known: set[tuple[str | None, ...]] = {("sqlite_autoindex_part_1", "index", "part", None)}
    known |= {(name, "table", name, text) for name, text in (tables or TABLES).items()}
    found = set(connection.execute("SELECT name, type, tbl_name, sql FROM sqlite_master LIMIT 64"))
    if strange := found ^ known:
        names = ", ".join(sorted(f"{row[1]} {row[0]!r}"[:60] for row in strange)[:3])
        raise StoreError(
            f"{path} is no walk of this program: its tables differ ({names}); it was left as it is"
        )


def migration(path: Path, version: int) -> Migration:
    """What leads on from that format. Raises StoreError where nothing does."""
    if version > VERSION:
        raise StoreError(
            f"{path} was saved by a newer version of this program (format {version}, this one "
            f"writes {VERSION}): update it"
        )
    if version not in MIGRATIONS:
        raise StoreError(f"{path} has the unknown format {version}: it was left as it is")
    return MIGRATIONS[version]


def write_migrated(old: sqlite3.Connection, version: int, path: Path) -> None:
    """Make a new file with what a file of an older format holds."""
    with contextlib.closing(connect(path, "mode=rwc")) as new:
        write_schema(new, new_cookie())
        new.execute("BEGIN IMMEDIATE")
        MIGRATIONS[version].copy(old, new)
        for row in old.execute("SELECT * FROM owner"):
            new.execute(f"INSERT INTO owner VALUES ({', '.join('?' * len(row))})", row)
        new.execute("COMMIT")


@contextlib.contextmanager
def clear_errors(path: Path, doing: str) -> Iterator[None]:
    """Turn errors of SQLite and the disk into a StoreError: what failed, and what to do."""
    try:
        yield
    except StoreError:
        raise
    except (sqlite3.Error, OSError, MemoryError, UnicodeDecodeError) as error:
        raise StoreError(f"cannot {doing} {path}: {_advice(error)}") from error


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _advice(error: BaseException) -> str:
    name = str(getattr(error, "sqlite_errorname", ""))
    if isinstance(error, UnicodeDecodeError):
        return "it is damaged"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    for part, advice in {
        "FULL": "the disk is full; free some space and try again",
        "BUSY": "another program uses it; close that one and try again",
        "LOCKED": "another program uses it; close that one and try again",
        "READONLY": "the file or its folder is read-only; choose another folder",
        "PERM": "it is not allowed; choose another folder",
        "CANTOPEN": "it cannot be opened or made; check that its folder exists and may be written",
        "TOOBIG": "a part of it is larger than a walk's can be",
        "CORRUPT": "it is damaged",
        "NOTADB": "it is damaged",
        "IOERR": "the disk reports an error; check it and its free space",
    }.items():
        if part in name:
            return f"{advice} ({text})"
    return text
