"""The view memory against a list-based oracle, and snapshots that never change."""

from __future__ import annotations

import threading
import tracemalloc
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from numpy.typing import NDArray

from tests.support.fakes import HW, box_photo, open_box
from vmem.cameras import Camera, Cameras, default_K, unproject
from vmem.memory import (
    LinkIndex,
    MemorySnapshot,
    MemoryStateError,
    ViewMemory,
    make_record,
)
from vmem.raster import Blocks
from vmem.types import AssociationConfig, Frames, PointMaps, StepRecord, SurfelError, Surfels, View

PHOTO = box_photo()
FIELDS = ("position", "normal", "radius", "color")


def record(rng: np.random.Generator, known: MemorySnapshot, n_surfels: int) -> StepRecord:
    """A step of one to three views that spawns surfels and links old and new ones."""
    n_views = int(rng.integers(1, 4))
    camera = Camera(np.eye(4), default_K(HW), HW)
    flat = np.ones(HW, np.float32)
    view = View(PHOTO, camera, len(known.steps), flat, flat)
    total = len(known.surfels) + n_surfels
    n_links = int(rng.integers(0, 2 * n_surfels + 1)) if total else 0
    normal = rng.normal(size=(n_surfels, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return StepRecord(
        views=(view,) * n_views,
        surfels=Surfels(
            rng.normal(size=(n_surfels, 3)).astype(np.float32),
            normal.astype(np.float32),
            rng.uniform(0.1, 1, n_surfels).astype(np.float32),
            rng.integers(0, 256, (n_surfels, 3), np.uint8),
        ),
        link_surfel=rng.integers(0, max(total, 1), n_links, np.int32),
        link_view=rng.integers(0, len(known.views) + n_views, n_links, np.int32),
        retrieval=None,
    )


def arrays(memory: MemorySnapshot) -> list[NDArray]:
    surfels = [getattr(memory.surfels, name) for name in FIELDS]
    return [*surfels, memory.link_surfel, memory.link_view]


def rows_of(index: LinkIndex) -> list[NDArray]:
    """The views of each surfel."""
    return [
        index.views[start:stop] for start, stop in zip(index.start[:-1], index.stop, strict=True)
    ]


def normalized_K(view: View) -> NDArray:
    return view.camera.resized((1, 1)).K


def assert_equals_records(memory: MemorySnapshot, records: list[StepRecord]) -> None:
    """The oracle: everything concatenated anew."""
    expected = Surfels.concatenate([Surfels.empty(), *(r.surfels for r in records)])
    none = [np.zeros(0, np.int32)]
    columns = [getattr(expected, name) for name in FIELDS]
    columns.append(np.concatenate(none + [r.link_surfel for r in records]))
    columns.append(np.concatenate(none + [r.link_view for r in records]))
    for got, wanted in zip(arrays(memory), columns, strict=True):
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)
    assert memory.views == tuple(view for r in records for view in r.views)
    assert memory.retrievals == tuple(r.retrieval for r in records)
    blocks, seen_by = (
        Blocks.of(expected),
        LinkIndex.of(len(expected), len(memory.views), *columns[4:]),
    )
    pairs = [
        (memory.seen_by.stop - memory.seen_by.start[:-1], np.diff(seen_by.start)),
        (np.concatenate([np.zeros(0, np.uint16), *rows_of(memory.seen_by)]), seen_by.views),
        (
            memory.K_normalized,
            np.reshape([normalized_K(view) for view in memory.views], (-1, 3, 3)),
        ),
        (memory.poses, np.reshape([view.camera.c2w for view in memory.views], (-1, 4, 4))),
        # The last block of a truncated memory may keep wider bounds.
        (memory.blocks.sphere[:-1], blocks.sphere[:-1]),
        (memory.blocks.cone[:-1], blocks.cone[:-1]),
    ]
    for got, wanted in pairs:
        np.testing.assert_array_equal(got, wanted)
    assert memory.blocks.n_surfels == len(expected)
    ends = [(len(r.views), len(r.surfels), len(r.link_surfel)) for r in records]
    sums = np.cumsum(np.reshape(ends, (-1, 3)), axis=0)
    assert [(e.n_views, e.n_surfels, e.n_links) for e in memory.steps] == [*map(tuple, sums)]


@dataclass
class Kept:
    """A snapshot with copies of what it held when it was taken."""

    snapshot: MemorySnapshot
    views: tuple[View, ...] = field(init=False)
    copies: list[NDArray] = field(init=False)

    def __post_init__(self) -> None:
        self.views = self.snapshot.views
        self.copies = [array.copy() for array in arrays(self.snapshot)]

    def assert_unchanged(self) -> None:
        assert self.snapshot.views is self.views
        for array, copy in zip(arrays(self.snapshot), self.copies, strict=True):
            np.testing.assert_array_equal(array, copy)


class MemoryMachine(RuleBasedStateMachine):
    """Any order of appends, truncates and snapshots."""

    @initialize(seed=st.integers(0, 2**31))
    def begin(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.memory = ViewMemory()
        self.records: list[StepRecord] = []
        self.undone: list[StepRecord] = []
        self.kept: list[Kept] = []

    @rule(n=st.sampled_from([0, 1, 30, 400, 1500]))
    def append(self, n: int) -> None:
        step = record(self.rng, self.memory.snapshot(), n)
        self.memory.append(step)
        self.records.append(step)
        self.undone.clear()

    @precondition(lambda self: self.records)
    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        step = data.draw(st.integers(0, len(self.records) - 1))
        self.memory.truncate(step)
        self.undone = self.records[step + 1 :] + self.undone
        del self.records[step + 1 :]

    @precondition(lambda self: self.undone)
    @rule()
    def redo(self) -> None:
        step = self.undone.pop(0)
        self.memory.append(step)
        self.records.append(step)

    @rule()
    def take_snapshot(self) -> None:
        self.kept.append(Kept(self.memory.snapshot()))

    @invariant()
    def memory_equals_the_oracle(self) -> None:
        if hasattr(self, "memory"):
            assert_equals_records(self.memory.snapshot(), self.records)

    @invariant()
    def snapshots_never_change(self) -> None:
        for kept in getattr(self, "kept", []):
            kept.assert_unchanged()


TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


@given(st.integers(0, 2**31), st.integers(1, 6), st.data())
def test_undo_then_redo_restores_every_bit(seed, n_steps, data):
    rng = np.random.default_rng(seed)
    memory = ViewMemory()
    records = []
    for _ in range(n_steps):
        records.append(record(rng, memory.snapshot(), int(rng.integers(0, 50))))
        memory.append(records[-1])
    whole = memory.snapshot()
    back_to = data.draw(st.integers(0, n_steps - 1))
    memory.truncate(back_to)
    for step in records[back_to + 1 :]:
        memory.append(step)
    for again, before in zip(arrays(memory.snapshot()), arrays(whole), strict=True):
        assert again.tobytes() == before.tobytes()
    assert memory.snapshot().steps == whole.steps


def test_snapshots_cannot_be_written(walk):
    view, index, blocks = walk.views[1], walk.seen_by, walk.blocks
    maps = [view.rgb, view.depth, view.confidence, view.provenance, view.age]
    derived = [walk.poses, walk.K_normalized, index.start, index.views, blocks.sphere, blocks.cone]
    for array in (*arrays(walk), *derived, *(part for part in maps if part is not None)):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_branch_after_an_undo_leaves_the_old_snapshot():
    rng = np.random.default_rng(0)
    memory = ViewMemory()
    memory.append(record(rng, memory.snapshot(), 10))
    memory.append(record(rng, memory.snapshot(), 10))
    old = Kept(memory.snapshot())
    memory.truncate(0)
    memory.append(record(rng, memory.snapshot(), 10))
    old.assert_unchanged()
    assert not np.array_equal(memory.snapshot().surfels.position, old.snapshot.surfels.position)


@pytest.mark.parametrize("step", [-1, 2, 100])
def test_there_is_no_going_back_to_a_step_that_never_was(step):
    rng = np.random.default_rng(0)
    memory = ViewMemory()
    for _ in range(2):
        memory.append(record(rng, memory.snapshot(), 5))
    before = memory.snapshot()
    with pytest.raises(MemoryStateError, match=f"step {step}"):
        memory.truncate(step)
    with pytest.raises(MemoryStateError, match=f"no step {step}"):
        before.at_step(step)
    assert memory.snapshot() is before


def test_an_empty_memory_cannot_be_truncated():
    with pytest.raises(MemoryStateError):
        ViewMemory().truncate(0)


def test_readers_never_see_half_a_step():
    """Snapshots taken while a writer appends and truncates are whole, and stay as they were."""
    memory = ViewMemory()
    memory.append(record(np.random.default_rng(0), memory.snapshot(), 20))
    stop = threading.Event()
    failures: list[BaseException] = []

    def write() -> None:
        rng = np.random.default_rng(1)
        try:
            while not stop.is_set():
                memory.append(record(rng, memory.snapshot(), int(rng.integers(0, 300))))
                if rng.random() < 0.4:
                    memory.truncate(int(rng.integers(0, len(memory.snapshot().steps))))
        except BaseException as error:
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        kept = []
        for _ in range(300):
            kept.append(Kept(memory.snapshot()))
            end, snapshot = kept[-1].snapshot.steps[-1], kept[-1].snapshot
            assert len(snapshot.surfels) == len(snapshot.surfels.radius) == end.n_surfels
            assert len(snapshot.link_surfel) == len(snapshot.link_view) == end.n_links
            assert len(snapshot.views) == end.n_views
    finally:
        stop.set()
        writer.join()
    assert not failures
    for one in kept:
        one.assert_unchanged()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("position", np.nan, "position that is not finite"),
        ("position", np.inf, "position that is not finite"),
        ("radius", 0.0, "radius that is not positive"),
        ("radius", -1.0, "radius that is not positive"),
        ("radius", np.inf, "radius that is not positive"),
        ("normal", 0.0, "normal that is not of unit length"),
        ("normal", np.nan, "normal that is not of unit length"),
        ("normal", 2.0, "normal that is not of unit length"),
    ],
)
def test_surfels_that_no_disk_can_be_are_refused_and_change_nothing(field, value, message):
    rng = np.random.default_rng(0)
    memory = ViewMemory()
    memory.append(record(rng, memory.snapshot(), 5))
    before = Kept(memory.snapshot())
    bad = record(rng, memory.snapshot(), 5)
    getattr(bad.surfels, field)[3] = value
    with pytest.raises(SurfelError, match=f"surfel 3 has a {message}"):
        memory.append(bad)
    assert memory.snapshot() is before.snapshot
    before.assert_unchanged()


def test_a_memory_at_a_step_is_the_memory_of_then():
    rng = np.random.default_rng(0)
    memory, then = ViewMemory(), []
    for _ in range(4):
        memory.append(record(rng, memory.snapshot(), 300))
        then.append(memory.snapshot())
    for step, snapshot in enumerate(then):
        again = memory.snapshot().at_step(step)
        for got, wanted in zip(arrays(again), arrays(snapshot), strict=True):
            np.testing.assert_array_equal(got, wanted)
        assert (again.views, again.steps) == (snapshot.views, snapshot.steps)
        assert again.retrievals == snapshot.retrievals
        for got, wanted in zip(rows_of(again.seen_by), rows_of(snapshot.seen_by), strict=True):
            np.testing.assert_array_equal(got, wanted)
        np.testing.assert_array_equal(again.poses, snapshot.poses)
        assert again.blocks.n_surfels == snapshot.blocks.n_surfels


def test_bytes_held_are_those_of_the_arrays_and_some_room():
    rng = np.random.default_rng(0)
    memory = ViewMemory()
    for _ in range(20):
        memory.append(record(rng, memory.snapshot(), 2000))
    now = memory.snapshot()
    least = sum(getattr(now.surfels, name).nbytes for name in FIELDS)
    assert least < memory.nbytes["surfels"] <= 64 * len(now.surfels)
    assert 10 * len(now.link_surfel) <= memory.nbytes["links"] <= 14 * len(now.link_surfel)


# --- steps of a real walk --------------------------------------------------------------------


def test_a_walk_is_consistent(walk):
    assert len(walk.views) == 1 + 8 * 4
    assert [end.n_views for end in walk.steps] == list(range(1, 34, 4))
    assert [view.step for view in walk.views] == [0] + [s for s in range(1, 9) for _ in range(4)]
    walk.surfels.validated()
    assert walk.link_surfel.min() >= 0
    assert walk.link_surfel.max() < len(walk.surfels)
    links = np.stack([walk.link_surfel, walk.link_view], axis=1)
    assert len(np.unique(links, axis=0)) == len(links), "a view saw a surfel twice"
    # Every surfel was seen by the view that made it; every view saw something.
    assert set(walk.link_surfel) == set(range(len(walk.surfels)))
    assert set(walk.link_view) == set(range(len(walk.views)))
    first_sight = np.full(len(walk.surfels), len(walk.views))
    np.minimum.at(first_sight, walk.link_surfel, walk.link_view)
    assert (np.diff(first_sight) >= 0).all()


def test_memory_does_not_grow_by_looking_again():
    session = open_box()
    for word in "wwww":
        session.move(word)
    grown = len(session.memory.surfels)
    for word in "ssswww":
        session.move(word)
    assert len(session.memory.surfels) <= 1.05 * grown


def test_a_step_takes_far_less_room_than_the_memory_it_meets():
    """Nothing copies all surfels, not even where coarse ones must be looked behind."""
    camera = Camera(np.eye(4), default_K(HW), HW)
    rng = np.random.default_rng(0)
    n = 400_000
    direction = rng.normal(size=(n, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    surfels = Surfels(
        (1.5 * direction).astype(np.float32),
        (-direction).astype(np.float32),
        rng.uniform(0.005, 0.2, n).astype(np.float32),
        np.zeros((n, 3), np.uint8),
    )
    memory = ViewMemory()
    none, depth = np.zeros(0, np.int32), np.ones(HW, np.float32)
    memory.append(StepRecord((View(PHOTO, camera, 0, depth, depth),), surfels, none, none, None))
    known = memory.snapshot()
    cameras = Cameras.stack([camera] * 3)
    one = np.full((3, *HW), 1.4, np.float32)
    maps = PointMaps(np.stack([unproject(d, camera) for d in one]), one, np.ones_like(one))
    frames = Frames(np.zeros((3, *HW, 3), np.uint8))

    def step() -> StepRecord:
        return make_record(known, frames, cameras, maps, None, AssociationConfig())

    assert len(step().link_surfel) > 0  # and everything is compiled
    tracemalloc.start()
    try:
        step()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 31 * n / 2
