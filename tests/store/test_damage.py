"""Truncation and flipped bits: what opens is what was saved, and what is missing is said."""

from __future__ import annotations

import random
import sqlite3
import tracemalloc
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.store.records import files_in, make_record, same, save_walk
from vmem.store import StoreError, WalkFile
from vmem.types import ViewId


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return save_walk(tmp_path_factory.mktemp("saved") / "w.vmem", 2).read_bytes()


def _mutated(data: bytes, rng: random.Random) -> bytes:
    """Bits flipped, a stretch zeroed or taken from elsewhere, numbers of a page's head changed, or
    the end cut off."""
    changed = bytearray(data)
    at, other = rng.randrange(len(data)), rng.randrange(len(data))
    match rng.choice(("flip", "flip", "flip", "zero", "splice", "page", "cut")):
        case "flip":
            for _ in range(rng.choice((1, 1, 4))):
                changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case "zero":
            length = min(rng.choice((8, 512, 4096)), len(data) - at)
            changed[at : at + length] = bytes(length)
        case "splice":
            length = min(rng.choice((16, 8192)), len(data) - max(at, other))
            changed[at : at + length] = data[other : other + length]
        case "page":
            at = at // 8192 * 8192 + rng.randrange(120)
            changed[at : at + 4] = rng.randbytes(4)
        case "cut":
            del changed[at:]
    return bytes(changed)


def test_a_thousand_mutations(saved: bytes, tmp_path: Path) -> None:
    path, rng = tmp_path / "w.vmem", random.Random(5)
    records = [make_record(node) for node in range(3)]
    opened = dropped = 0
    path.write_bytes(saved)
    for number in range(1000):
        data = _mutated(saved, rng)
        with path.open("r+b") as file:  # In place: to make it anew takes the disk longer.
            file.write(data)
            file.truncate()
        watched = number % 20 == 0
        if watched:
            tracemalloc.start()
        try:
            # A damaged file that is to be written opens to be read.
            with WalkFile.open(path, read_only=number % 100 > 0) as file:
                whole = [row.id for row in file.nodes()]
                assert bool(file.dropped) or whole == [0, 1, 2]
                opened += 1
                dropped += bool(file.dropped)
                if watched or (file.dropped and number % 4 == 0):
                    assert all(same(file.record(node), records[node]) for node in whole)
                untouched = file.read_only
        except StoreError:
            untouched = True
        if watched:
            assert tracemalloc.get_traced_memory()[1] < 3e6
            tracemalloc.stop()
        if untouched:
            assert files_in(tmp_path) == {"w.vmem": data}
    assert opened > 300
    assert dropped > 50


def test_a_damaged_view_costs_its_step_and_those_after_it(tmp_path: Path) -> None:
    path = tmp_path / "w.vmem"
    with WalkFile.create(path, WalkFile.open(save_walk(tmp_path / "a.vmem", 0)).origin) as file:
        for node, parent, depth in ((0, None, 0), (1, 0, 1), (2, 1, 2), (3, 0, 1), (4, 2, 3)):
            file.add(node, parent, "w", make_record(node, depth), {})
        file.rename_node(3, "branch")
        file.move_head(3)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(
            "UPDATE part SET data = zeroblob(99) WHERE node = 2 AND number = 1 AND kind = 'maps'"
        )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with WalkFile.open(path) as file:
        assert [row.id for row in file.nodes()] == [0, 1, 3]
        assert file.dropped == (
            "step 2 'w': maps of view 2.1 damaged",
            "step 4: made from what is left out",
        )
        assert file.head() == 3
        assert file.nodes()[1].recent is None
        assert same(file.record(3), make_record(3, 1))
        with pytest.raises(StoreError, match="is damaged: save the walk under another name"):
            file.move_head(0)
        damaged = path.read_bytes()
        file.copy_to(tmp_path / "rescued.vmem")
    assert path.read_bytes() == damaged
    with WalkFile.open(tmp_path / "rescued.vmem") as file:
        assert file.dropped == ()
        assert [(row.id, row.parent, row.recent) for row in file.nodes()] == [
            (0, None, 2),
            (1, 0, None),
            (2, 0, None),
        ]
        assert (file.head(), file.nodes()[2].name) == (2, "branch")
        views = tuple(
            replace(view, id=ViewId(2, number))
            for number, view in enumerate(make_record(3, 1).views)
        )
        assert same(file.record(2), replace(make_record(3, 1), views=views))
        file.add(3, 2, "w", make_record(3, 2), {})


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM part WHERE node = 1 AND kind = 'answer'", "a part of it is missing"),
        ("UPDATE part SET node = 9 WHERE node = 1 AND kind = 'step'", "a part of it is missing"),
        ("UPDATE node SET surfels = 8 WHERE id = 1", "step 1: damaged"),
        ("UPDATE node SET parent = 0 WHERE id = 2", "step 2: damaged"),
        ("DELETE FROM node WHERE id = 1", "step 2: made from what is left out"),
    ],
)
def test_rows_that_changed_are_left_out(
    saved: bytes, tmp_path: Path, statement: str, words: str
) -> None:
    path = tmp_path / "w.vmem"
    path.write_bytes(saved)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with WalkFile.open(path, read_only=True) as file:
        assert words in " ".join(file.dropped)
        assert same(file.record(0), make_record(0))


def test_a_damaged_log_says_that_steps_may_be_missing(saved: bytes, tmp_path: Path) -> None:
    path, log = tmp_path / "w.vmem", tmp_path / "w.vmem-wal"
    path.write_bytes(saved)
    with WalkFile.open(path) as file:
        ends = []
        for node in (3, 4, 5):
            file.add(node, node - 1, "w", make_record(node), {})
            ends.append(log.stat().st_size)
        hot = {name: data for name, data in files_in(tmp_path).items() if "shm" not in name}
    frame = 24 + 8192
    for at, steps, said in (
        (None, 6, False),
        (40, 3, True),  # a salt
        (20, 3, True),  # the salt of all
        (ends[0] + 30, 4, True),
        (ends[2] - 5, 5, True),
        (ends[2] - frame - 5, 5, True),
    ):
        whole = bytearray(hot["w.vmem-wal"])
        if at is not None:
            whole[at] ^= 4
        path.write_bytes(hot["w.vmem"])
        log.write_bytes(whole)
        with WalkFile.open(path) as file:
            assert (len(file.nodes()), bool(file.dropped)) == (steps, said)
            file.add(steps, steps - 1, "w", make_record(steps), {})
        with WalkFile.open(path, read_only=True) as file:
            assert file.dropped == ()
    # A transaction that was interrupted was never said to be saved.
    path.write_bytes(hot["w.vmem"])
    log.write_bytes(hot["w.vmem-wal"][: ends[2] - frame])
    with WalkFile.open(path, read_only=True) as file:
        assert (len(file.nodes()), file.dropped) == (5, ())
