"""What the first bytes of a file and of its log tell, before SQLite touches either.

SQLite may change what it opens: it rolls a journal back, applies a log, makes files beside. So a
file of another program is recognized here, by reading alone.
"""

from __future__ import annotations

import secrets
import struct
from dataclasses import dataclass
from pathlib import Path

from vmem.store.values import StoreError

APPLICATION = 0x564D656D
"""`application_id` of a walk's file: "VMem"."""

_MAGIC = b"SQLite format 3\0"
_SIZE = 100
_WAL = struct.Struct(">IIIIIIII")
_FRAME = struct.Struct(">IIIIII")


@dataclass(frozen=True)
class Header:
    """What the first 100 bytes of a walk's file say."""

    page: int
    """Bytes a page."""
    pages: int
    """How many there are."""
    cookie: int
    """Number that tells this walk's file from others."""
    version: int
    """Of the format."""


def new_cookie() -> int:
    """A number for a new file."""
    return secrets.randbelow(1 << 31)


def log_of(path: Path) -> Path:
    """Where SQLite keeps what is committed but not yet in the file."""
    return path.with_name(path.name + "-wal")


def read_header(path: Path) -> Header:
    """The header of a walk's file. Raises StoreError for anything that is none or not whole, and
    OSError as the disk gives it."""
    if not path.is_file():
        if path.exists():
            raise StoreError(f"{path} is not a regular file: name a walk's file (.vmem)")
        raise StoreError(f"there is no walk at {path}")
    with path.open("rb") as file:
        head = file.read(_SIZE)
    size = path.stat().st_size
    if len(head) < _SIZE or head[:16] != _MAGIC:
        raise StoreError(f"{path} is no walk: it was left as it is")
    header = _parsed(head)
    if header is None or int.from_bytes(head[68:72], "big") != APPLICATION:
        raise StoreError(f"{path} is a database of another program: it was left as it is")
    if head[18:20] != b"\2\2" or head[56:60] != b"\0\0\0\1":
        raise StoreError(f"{path} is damaged at its beginning: take a copy of it that is whole")
    logged = size_of(log_of(path)) > 0
    if not logged and size != header.page * header.pages:
        raise StoreError(
            f"{path} is not whole: it has {size:,} of {header.page * header.pages:,} bytes; take "
            "a copy that is"
        )
    return header


def check_beside(path: Path, header: Header) -> None:
    """StoreError if a journal or a log lies beside that is not this file's: SQLite would mix it
    in. Raises OSError as the disk gives it."""
    journal = path.with_name(path.name + "-journal")
    if size_of(journal):
        raise StoreError(f"{journal.name} lies beside {path} but is not of it: move it away")
    log = log_of(path)
    if size_of(log) < _WAL.size:
        return
    if not _is_of(log, header):
        raise StoreError(f"{log.name} lies beside {path} but is not of it: move it away")


def _is_of(log: Path, header: Header) -> bool:
    """Whether what SQLite would apply of a log holds a first page with this file's numbers.

    Every transaction of ours writes the first page, so a log that has one without is another's.
    """
    with log.open("rb") as file:
        magic, _, page, _, *salt = _WAL.unpack(file.read(_WAL.size))[:6]
        if magic == 0:
            return True  # Room that a crash left unwritten: SQLite applies nothing.
        if magic & ~1 != 0x377F0682 or page != header.page:
            return False
        while len(head := file.read(_FRAME.size)) == _FRAME.size:
            number, commits, *found = _FRAME.unpack(head)[:4]
            body = file.read(header.page)
            if found != salt or len(body) < header.page:
                return True  # Nothing is committed here: SQLite applies nothing.
            if number == 1:
                first = _parsed(body[:_SIZE])
                identity = int.from_bytes(body[68:72], "big")
                return (
                    first is not None
                    and identity == APPLICATION
                    and first.cookie == header.cookie
                    and body[:16] == _MAGIC
                )
            if commits:
                return False
    return True


def _parsed(head: bytes) -> Header | None:
    (page,) = struct.unpack_from(">H", head, 16)
    page = 65536 if page == 1 else page
    fractions = head[21:24] == b"\x40\x20\x20" and head[20] == 0
    if page < 512 or page & (page - 1) or not fractions:
        return None
    (pages,) = struct.unpack_from(">I", head, 28)
    (cookie,) = struct.unpack_from(">I", head, 40)
    (version,) = struct.unpack_from(">I", head, 60)
    return Header(page, pages, cookie, version)


def size_of(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
