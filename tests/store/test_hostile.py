"""Files that are no walk of ours: a clear error each, nothing run, nothing written."""

from __future__ import annotations

import json
import pickle
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from tests.store.records import ORIGIN, files_in, make_record, save_walk
from vmem.store import StoreError, WalkFile
from vmem.store.codecs import pack
from vmem.store.contents import part_crc
from vmem.store.header import APPLICATION
from vmem.store.parts import PartKey
from vmem.types import ViewId


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return save_walk(tmp_path_factory.mktemp("saved") / "w.vmem", 2).read_bytes()


@pytest.fixture
def walk(saved: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "w.vmem"
    path.write_bytes(saved)
    return path


def _change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        for statement in statements:
            connection.execute(statement)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _assert_refused(path: Path, words: str) -> None:
    before = files_in(path.parent)
    for look in (
        lambda: WalkFile.open(path),
        lambda: WalkFile.open(path, read_only=True),
        lambda: WalkFile.summary(path),
    ):
        with pytest.raises(StoreError, match=words) as caught:
            look()
        assert "\n" not in str(caught.value)
    assert files_in(path.parent) == before


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER UPDATE ON walk BEGIN DELETE FROM part; END",
        "CREATE VIEW v AS SELECT load_extension('evil')",
        "CREATE INDEX i ON part (hex(data))",
        "CREATE TABLE more (id INTEGER)",
        "CREATE VIRTUAL TABLE f USING fts4(x)",
        "ALTER TABLE node ADD COLUMN g TEXT GENERATED ALWAYS AS (hex(label)) VIRTUAL",
        "DROP TABLE node",
        "UPDATE sqlite_master SET sql = sql || ' ' WHERE name = 'part'",
        "UPDATE sqlite_master SET type = 'view', sql = 'CREATE VIEW owner AS SELECT 1',"
        " rootpage = 0 WHERE name = 'owner'",
    ],
)
def test_another_schema_is_refused(walk: Path, statement: str) -> None:
    _change(walk, statement)
    _assert_refused(walk, "tables differ")


def test_another_programs_files_are_left_alone(tmp_path: Path) -> None:
    database = tmp_path / "mail.vmem"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE mail (text TEXT)")
        connection.commit()
        # Its log is there too, as while its program runs.
        _assert_refused(database, "another program")
    (tmp_path / "text.vmem").write_text("SQLite format 3, but not really" * 9)
    _assert_refused(tmp_path / "text.vmem", "is no walk")
    (tmp_path / "pickle.vmem").write_bytes(pickle.dumps(_explode))
    _assert_refused(tmp_path / "pickle.vmem", "is no walk")
    (tmp_path / "empty.vmem").touch()
    _assert_refused(tmp_path / "empty.vmem", "is no walk")
    _assert_refused(tmp_path / "none.vmem", "there is no walk")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inner.vmem").mkdir()
    with pytest.raises(StoreError, match="not a regular file"):
        WalkFile.open(tmp_path / "folder" / "inner.vmem")


def _explode() -> None:
    raise AssertionError("a pickle was run")


def test_an_ordinary_database_with_our_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.vmem"
    _change(path, f"PRAGMA application_id={APPLICATION}", "CREATE TABLE t (x)")
    _assert_refused(path, "damaged at its beginning")
    _change(path, "PRAGMA journal_mode=WAL", "PRAGMA user_version=1")
    _assert_refused(path, "tables differ")


@pytest.mark.parametrize(("version", "words"), [(2, "newer version"), (0, "unknown format 0")])
def test_other_formats_are_refused(walk: Path, version: int, words: str) -> None:
    _change(walk, f"PRAGMA user_version={version}")
    _assert_refused(walk, words)


def _log_of_another(walk: Path, folder: Path) -> bytes:
    other = folder / "other"
    other.mkdir()
    with WalkFile.open(Path(save_walk(other / "o.vmem", 2))) as file:
        file.rename_node(1, "of the other")
        return (other / "o.vmem-wal").read_bytes()


def test_the_log_of_another_walk_is_not_mixed_in(
    walk: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    log = _log_of_another(walk, tmp_path_factory.mktemp("other"))
    beside = walk.with_name("w.vmem-wal")
    beside.write_bytes(log)
    _assert_refused(walk, "w.vmem-wal lies beside .* move it away")
    beside.unlink()
    with WalkFile.open(walk) as file:
        assert file.nodes()[1].name == ""
    # What SQLite would have done: salts are compared within a log, never with the file.
    beside.write_bytes(log)
    with closing(sqlite3.connect(walk)) as connection:
        (name,) = connection.execute("SELECT name FROM node WHERE id = 1").fetchone()
    assert name == "of the other"


@pytest.mark.parametrize(
    "spoil", [lambda log: b"mine" * 99, lambda log: log[:20] + b"1" + log[21:]]
)
def test_logs_that_are_none_are_harmless(walk: Path, spoil: Callable[[bytes], bytes]) -> None:
    with WalkFile.open(walk) as file:
        file.rename_node(1, "x")
        log = walk.with_name("w.vmem-wal").read_bytes()
    walk.with_name("w.vmem-wal").write_bytes(spoil(log))
    if spoil(log).startswith(b"mine"):
        _assert_refused(walk, "move it away")
    else:  # Room that a crash left unwritten.
        with WalkFile.open(walk, read_only=True) as file:
            assert file.nodes()[1].name == "x"


def test_a_journal_beside_is_not_rolled_back(walk: Path) -> None:
    walk.with_name("w.vmem-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(600))
    _assert_refused(walk, "w.vmem-journal lies beside")


def _put(walk: Path, key: PartKey, data: bytes) -> None:
    with closing(sqlite3.connect(walk, isolation_level=None)) as connection:
        connection.execute(
            "UPDATE part SET data = ?, crc = ? WHERE node = ? AND number = ? AND kind = ?",
            (data, part_crc(key, data), *key),
        )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def test_forged_parts_are_refused_when_they_are_read(walk: Path) -> None:
    good = make_record(1)
    far = np.full(9, 1 << 30, np.int32)
    with WalkFile.open(walk, read_only=True) as file:
        frame = file.frame_png(ViewId(0, 0))
    surfels = vars(good.surfels)
    links = {"link_surfel": good.link_surfel, "link_view": good.link_view}
    for key, data, words in (
        (PartKey(1, -1, "growth"), pack(surfels | links | {"link_surfel": far}), "beyond"),
        (PartKey(1, -1, "growth"), pack(surfels | links | {"link_view": -far}), "beyond"),
        (PartKey(1, -1, "growth"), pack(surfels), "link_view"),
        (PartKey(1, -1, "growth"), pack(surfels | links | {"radius": far}), "radius is int32"),
        (
            PartKey(1, -1, "growth"),
            pack(surfels | links | {"position": surfels["position"] * np.nan}),
            "not finite",
        ),
        (PartKey(1, -1, "step"), pack({}, {"request": {"seed": 1}, "note": ""}), "step 1"),
        (PartKey(1, -1, "step"), pickle.dumps(_explode), "cannot be read"),
        (
            PartKey(1, -1, "buffers"),
            pack(dict.fromkeys(("index 0", "depth 0", "cosine 0"), far.reshape(3, 3))),
            "beyond",
        ),
        (PartKey(1, -1, "answer"), pack({}, {"query": {}}), "retrieval"),
        (
            PartKey(1, 0, "camera"),
            pack({"c2w": np.zeros((4, 4)), "K": np.eye(3)}, [1, 9, 9]),
            "rigid|rotation",
        ),
        (PartKey(1, 0, "maps"), pack({"depth": np.zeros((1 << 10, 8), np.float32)}), "depth is"),
        (PartKey(1, 0, "maps"), pack({"up": np.zeros((12, 12), np.float32)}), "view 1.0"),
        (PartKey(1, 1, "geometry"), b"VMA1", "cannot be read"),
        (PartKey(1, 0, "frame"), frame[:-1], "frame"),
    ):
        with closing(sqlite3.connect(walk)) as connection:
            (before,) = connection.execute(
                "SELECT data FROM part WHERE node = ? AND number = ? AND kind = ?", key
            ).fetchone()
        _put(walk, key, data)
        with WalkFile.open(walk, read_only=True) as file:
            assert file.dropped == ()
            with pytest.raises(StoreError, match=words):
                file.record(1)
        _put(walk, key, before)


@pytest.mark.parametrize(
    "origin", ["", "[]", "{}", "[" * 9000, json.dumps(vars(ORIGIN) | {"x": 1})]
)
def test_an_origin_of_other_words_is_refused(walk: Path, origin: str) -> None:
    with closing(sqlite3.connect(walk, isolation_level=None)) as connection:
        connection.execute("UPDATE walk SET origin = ?", (origin,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _assert_refused(walk, "does not say what made it")
