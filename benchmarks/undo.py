"""Taking a step back in a long walk: the shorter memory, and what its next query needs of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks._metrics import Metric, Row, measured
from benchmarks._scenes import alternately, house, memory_of, stroll, view_of
from vmem.memory import MemorySnapshot, ViewMemory
from vmem.types import StepRecord

SURFELS, VIEWS, STEP_VIEWS, STEP_SURFELS, LINKS_A_VIEW = 1_000_000, 1_000, 4, 500, 6_000
SIDE = 128
"""Pixels of the drawings that say which view saw what."""

METRICS = (
    Metric("undo.1m.links", "M", "higher", tolerance=0.01),
    Metric("undo.1m.ms", "ms"),
    Metric("undo.1m.cpu_ms", "ms"),
    Metric("undo.1m.ratio_before", "ratio", tolerance=0.5),
)


def run() -> Iterator[Row]:
    """``undo.1m.ms`` is wall time, of ``.ratio_before`` both in CPU time: link index and poses made
    anew, as before issue 13."""
    walk = stroll(VIEWS)
    memory = _with_a_step(memory_of(house(SURFELS), walk, SIDE))
    assert np.array_equal(_votes(_anew(memory)), _votes(_undone(memory)))
    was, now = alternately(lambda: _used(_anew(memory)), lambda: _used(_undone(memory)), times=21)
    yield measured("undo.1m.links", len(memory.link_surfel) / 1e6)
    yield measured("undo.1m.ms", now[0])
    yield measured("undo.1m.cpu_ms", now[1])
    yield measured("undo.1m.ratio_before", now[1] / was[1])


def _with_a_step(long: MemorySnapshot) -> MemorySnapshot:
    """The memory of a walk, and one more step of few surfels."""
    memory, surfels, n = ViewMemory(), long.surfels, len(long.surfels) - STEP_SURFELS
    kept = long.link_surfel < n
    old = long.link_surfel[kept], long.link_view[kept]
    memory.append(StepRecord(long.views, surfels[:n], *old, None))
    views = tuple(view_of(view.camera, 1) for view in long.views[:STEP_VIEWS])
    seen = np.linspace(0, n + STEP_SURFELS - 1, LINKS_A_VIEW * STEP_VIEWS).astype(np.int32)
    by = np.repeat(np.arange(STEP_VIEWS, dtype=np.int32) + len(long.views), LINKS_A_VIEW)
    memory.append(StepRecord(views, surfels[n:], seen, by, None))
    return _used(memory.snapshot())


def _undone(memory: MemorySnapshot) -> MemorySnapshot:
    return memory.at_step(0)


def _anew(memory: MemorySnapshot) -> MemorySnapshot:
    end = memory.steps[0]
    return MemorySnapshot(
        memory.surfels[: end.n_surfels],
        memory.link_surfel[: end.n_links],
        memory.link_view[: end.n_links],
        memory.views[: end.n_views],
        memory.steps[:1],
        memory.retrievals[:1],
        memory.blocks,
    )


def _used(memory: MemorySnapshot) -> MemorySnapshot:
    """What a query uses is there."""
    assert len(memory.seen_by.stop) == len(memory.surfels)
    assert len(memory.poses) == len(memory.K_normalized)
    return memory


def _votes(memory: MemorySnapshot) -> np.ndarray:
    """Links of each surfel."""
    return memory.seen_by.stop - memory.seen_by.start[:-1]
