"""Older formats: rewritten on a copy, the old file kept, and read without being touched."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.records import files_in, make_record, same, save_walk
from vmem.store import StoreError, WalkFile, WalkHeld, schema
from vmem.store.schema import Migration

OLD = {
    **schema.TABLES,
    "node": schema.TABLES["node"].replace("  name TEXT NOT NULL,\n", ""),
}
"""A format that knew no names of steps."""


def _copy(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    for table, columns in (
        ("walk", "*"),
        ("node", "id, parent, label, '', recent, views, surfels, links, parts, made, crc"),
        ("part", "*"),
    ):
        for row in old.execute(f"SELECT {columns} FROM {table}"):
            new.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A walk of two steps in the older format."""
    path = save_walk(tmp_path / "w.vmem", 2)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE node DROP COLUMN name")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'node'", (OLD["node"],))
        connection.execute("PRAGMA user_version=0")
    monkeypatch.setitem(schema.MIGRATIONS, 0, Migration(OLD, _copy))
    return path


def test_looking_at_an_older_walk_changes_nothing(old: Path) -> None:
    before = files_in(old.parent)
    with WalkFile.open(old, read_only=True) as file:
        assert same(file.record(2), make_record(2))
    assert WalkFile.summary(old).steps == 2
    assert files_in(old.parent) == before


def test_an_older_walk_is_rewritten_and_kept(old: Path) -> None:
    before = old.read_bytes()
    with WalkFile.open(old) as file:
        file.rename_node(2, "named")
        file.add(3, 2, "w", make_record(3), {})
    with WalkFile.open(old, read_only=True) as file:
        assert [row.name for row in file.nodes()] == ["", "", "named", ""]
        assert all(same(file.record(node), make_record(node)) for node in range(4))
    assert files_in(old.parent).keys() == {"w.vmem", "w.vmem.format0"}
    assert old.with_name("w.vmem.format0").read_bytes() == before


def test_an_older_walk_that_is_held_is_left_to_its_holder(old: Path) -> None:
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute(
            "INSERT INTO owner VALUES (1, 'token', 'desk', 'another', 7, '1', ?, ?)",
            (str(old.stat().st_ino), time.time()),
        )
    before = files_in(old.parent)
    with pytest.raises(WalkHeld, match="process 7 on desk"):
        WalkFile.open(old)
    assert files_in(old.parent) == before


def test_an_older_walk_stays_where_rewriting_fails(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
        _copy(old, new)
        raise sqlite3.OperationalError("disk I/O error")

    before = files_in(old.parent)
    monkeypatch.setitem(schema.MIGRATIONS, 0, Migration(OLD, fail))
    with pytest.raises(StoreError, match="disk I/O error"):
        WalkFile.open(old)
    assert files_in(old.parent) == before
    monkeypatch.setitem(schema.MIGRATIONS, 0, Migration(schema.TABLES, _copy))
    with pytest.raises(StoreError, match="tables differ"):
        WalkFile.open(old)
    assert files_in(old.parent) == before
