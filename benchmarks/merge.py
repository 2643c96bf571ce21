"""Merging by radius over a hash grid, and against the published octree in Python."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Iterator

import numpy as np

from benchmarks._metrics import Metric, Row, measured
from benchmarks._published import as_disks, timed, times_less
from benchmarks._scenes import house
from vmem.published.grid import HashGridMerge
from vmem.published.merge import merge_reference
from vmem.published.surfels import Disks

FRAMES, A_FRAME = 10, 475
"""Ten frames of 25 x 19 points."""
REPEATS = 7

METRICS = (
    Metric("merge.ratio_reference", "ratio", "higher", tolerance=0.25),
    Metric("merge.10k_into_1m.cpu_ms", "ms"),
    Metric("merge.growth_1m_over_100k", "ratio", tolerance=0.3),
)


def run() -> Iterator[Row]:
    """Ratios are of CPU time: published over ours, on the same disks; of a million over 100,000."""
    yield measured("merge.ratio_reference", _merge_ratio())
    into_1m, into_100k = _into(1_000_000), _into(100_000)
    yield measured("merge.10k_into_1m.cpu_ms", 1e3 * into_1m)
    yield measured("merge.growth_1m_over_100k", into_1m / into_100k)


def _merge_ratio() -> float:
    frames = _frames(FRAMES, A_FRAME)
    kept: dict[str, Disks] = {}

    def reference() -> None:
        existing = frames[0]
        for frame in frames[1:]:
            new = frame[merge_reference(existing, frame).kept]
            existing = Disks.concatenate([existing, new])
        kept["published"] = existing

    def ours() -> None:
        grid = HashGridMerge()
        grid.append(frames[0])
        for frame in frames[1:]:
            grid.merge(frame)
        kept["ours"] = grid.disks

    ratio = times_less(reference, ours)
    if not np.array_equal(kept["ours"].position, kept["published"].position):
        raise AssertionError("the two merges disagree")
    return ratio


def _into(existing: int) -> float:
    """Median CPU seconds to merge 10,000 new disks into ``existing``, at the density of that many.

    The new ones lie all over the house, both in the tiled order in which views append them.
    """
    surfels = house(existing + 10_000)
    new = np.linspace(0, len(surfels) - 1, 10_000).astype(int)
    old = np.setdiff1d(np.arange(len(surfels)), new)
    grid = HashGridMerge()
    grid.append(as_disks(surfels[old]))
    grid.merge(as_disks(surfels[new[:100]]))
    disks = as_disks(surfels[new[100:]])
    copies = (copy.deepcopy(grid) for _ in range(REPEATS))
    seconds = statistics.median(timed(lambda c=c: c.merge(disks))[1] for c in copies)
    return seconds * len(new) / len(disks)


def _frames(count: int, size: int) -> list[Disks]:
    disks = as_disks(house(count * size))
    order = np.random.default_rng(0).permutation(len(disks))[: count * size]
    return [disks[part] for part in np.array_split(order, count)]
