"""Whole files: a new one with its first step, a copy, an older format made new."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from vmem.store.codecs import png, rgb_of
from vmem.store.connections import Reader, header_of
from vmem.store.contents import Contents, insert_step
from vmem.store.header import new_cookie
from vmem.store.parts import PartKey
from vmem.store.placing import arriving
from vmem.store.schema import connect, write_schema
from vmem.store.values import NodeRow, Origin

THUMBNAIL = 96
"""Pixels of the longer side of the picture that a list of walks shows, at most."""


def write_new(
    path: Path, origin: Origin, title: str, row: NodeRow, parts: Mapping[PartKey, bytes]
) -> None:
    """Make the new file ``path`` of a walk with its first step. Raises what SQLite and the disk
    raise."""
    rgb = rgb_of(parts[PartKey(row.id, 0, "frame")])
    stride = -(-max(rgb.shape[:2]) // THUMBNAIL)
    picture = png(np.ascontiguousarray(rgb[::stride, ::stride]))
    with _new(path) as connection:
        _insert_walk(connection, origin, title, row.made, row.id, picture)
        insert_step(connection, row, parts)


def write_copy(reader: Reader, path: Path) -> None:
    """Make the new file ``path`` with all that the reader's holds, as nobody's. Raises what SQLite
    and the disk raise."""
    with contextlib.closing(connect(path, "mode=rwc")) as copy:
        reader.copy_into(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
        copy.execute("BEGIN IMMEDIATE")
        copy.execute("DELETE FROM owner")
        copy.execute(f"PRAGMA schema_version={new_cookie()}")
        copy.execute("COMMIT")
        copy.execute("PRAGMA journal_mode=WAL")


def write_rescued(reader: Reader, contents: Contents, path: Path) -> None:
    """Make the new file ``path`` with the steps that are whole of the reader's, which is damaged.
    They are numbered anew, without gaps. Raises what SQLite and the disk raise."""
    number = {id: new for new, id in enumerate(contents.tree)}
    picture, made = reader.one("SELECT thumbnail, created FROM walk") or (b"", 0.0)
    with _new(path) as connection:
        head = number[contents.head]
        _insert_walk(connection, contents.origin, contents.title, made, head, picture)
        for id, row in contents.tree.items():
            parent = None if row.parent is None else number[row.parent]
            parts = {
                PartKey(number[id], *place): data
                for *place, data in reader.rows(
                    "SELECT number, kind, data FROM part WHERE node = ?", (id,)
                )
            }
            insert_step(connection, replace(row, id=number[id], parent=parent), parts)
            if row.recent is not None:
                connection.execute(
                    "UPDATE node SET recent = ? WHERE id = ?", (number[row.recent], number[id])
                )


def upgrade(reader: Reader) -> None:
    """Put a file of the present format in the place of the reader's, which is older and which
    nobody writes; the old one stays as ``NAME.vmem.format1``. Raises StoreError, and what SQLite
    and the disk raise."""
    path, version = reader.path, header_of(reader.path).version
    kept = path.with_name(f"{path.name}.format{version}")
    with arriving(path, replaces=True) as part:
        write_copy(reader, part)
        # The old log must not lie beside the new file.
        with contextlib.closing(connect(path)) as old:
            old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        kept.unlink(missing_ok=True)
        try:
            os.link(path, kept)
        except OSError:  # A file system without hard links.
            shutil.copyfile(path, kept)


@contextlib.contextmanager
def _new(path: Path) -> Iterator[sqlite3.Connection]:
    """A new file with empty tables, in one transaction."""
    with contextlib.closing(connect(path, "mode=rwc")) as connection:
        write_schema(connection, new_cookie())
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode=WAL")


def _insert_walk(
    connection: sqlite3.Connection,
    origin: Origin,
    title: str,
    created: float,
    head: int,
    picture: bytes,
) -> None:
    connection.execute(
        "INSERT INTO walk VALUES (1, ?, ?, ?, ?, ?, ?)",
        (title, json.dumps(asdict(origin)), created, time.time(), head, picture),
    )
