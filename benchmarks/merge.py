"""Merging by radius, and our drawing, against the published algorithms in Python."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks._scenes import cameras, house, metric
from vmem.published.grid import HashGridMerge
from vmem.published.merge import merge_reference
from vmem.published.render import QueryCamera, render_reference
from vmem.published.surfels import Disks
from vmem.raster import Blocks, rasterize
from vmem.types import Surfels

MEASURED = 1334
"""Surfels for which the published program's look-up was timed."""
FRAMES, A_FRAME = 10, 475
"""Ten frames of 25 x 19 points."""
REPEATS = 7


def run() -> Iterator[dict[str, object]]:
    """Ratios are reference time over ours, on the same surfels in the same run."""
    yield metric("render", "render.ratio_reference", _render_ratio(), "ratio", "higher")
    yield metric("merge", "merge.ratio_reference", _merge_ratio(), "ratio", "higher")
    into_1m, into_100k = _into(1_000_000), _into(100_000)
    yield metric("merge", "merge.10k_into_1m.ms", 1e3 * into_1m, "ms")
    yield metric("merge", "merge.growth_1m_over_100k", into_1m / into_100k, "ratio")


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _render_ratio() -> float:
    surfels, camera = house(MEASURED), cameras()[0]
    K, (h, w) = camera.K, camera.hw
    query = QueryCamera(camera.c2w, K[0, 0], K[1, 1], K[0, 2], K[1, 2], w, h)
    blocks = Blocks.of(surfels)
    rasterize(surfels, camera, "cpu", blocks)
    ours = statistics.median(
        _seconds(lambda: rasterize(surfels, camera, "cpu", blocks)) for _ in range(REPEATS)
    )
    return _seconds(lambda: render_reference(_published(surfels), query)) / ours


def _merge_ratio() -> float:
    frames = _frames(FRAMES, A_FRAME)
    kept: list[Disks] = []

    def reference() -> None:
        existing = frames[0]
        for frame in frames[1:]:
            new = frame[merge_reference(existing, frame).kept]
            existing = Disks(
                np.concatenate([existing.position, new.position]),
                np.concatenate([existing.normal, new.normal]),
                np.concatenate([existing.radius, new.radius]),
            )
        kept.append(existing)

    def ours() -> None:
        grid = HashGridMerge()
        grid.append(frames[0])
        for frame in frames[1:]:
            grid.merge(frame)
        kept.append(grid.disks)

    ours()
    fast = statistics.median(_seconds(ours) for _ in range(REPEATS))
    slow = _seconds(reference)
    if not np.array_equal(kept[0].position, kept[-1].position):
        raise AssertionError("the two merges disagree")
    return slow / fast


def _into(existing: int) -> float:
    """Median seconds to merge 10,000 new disks into ``existing``, at the density of that many.

    The new ones lie all over the house, both in the tiled order in which views append them.
    """
    surfels = house(existing + 10_000)
    new = np.linspace(0, len(surfels) - 1, 10_000).astype(int)
    old = np.setdiff1d(np.arange(len(surfels)), new)
    grid = HashGridMerge()
    grid.append(_published(surfels[old]))
    grid.merge(_published(surfels[new[:100]]))
    disks = _published(surfels[new[100:]])
    copies = (copy.deepcopy(grid) for _ in range(REPEATS))
    seconds = statistics.median(_seconds(lambda c=c: c.merge(disks)) for c in copies)
    return seconds * len(new) / len(disks)


def _frames(count: int, size: int) -> list[Disks]:
    disks = _published(house(count * size))
    order = np.random.default_rng(0).permutation(len(disks))[: count * size]
    return [disks[part] for part in np.array_split(order, count)]


def _published(surfels: Surfels) -> Disks:
    """The same disks with normals away from the camera, as the published program has them."""
    return Disks(surfels.position, -surfels.normal, surfels.radius)
