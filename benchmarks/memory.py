"""Bytes that a memory holds for each surfel and for each link, room for growth included."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks._metrics import Metric, Row, measured
from benchmarks._scenes import house, stroll, view_of
from vmem.cameras import Camera
from vmem.memory import MemorySnapshot, ViewMemory
from vmem.raster import Blocks, rasterize
from vmem.types import StepRecord, Surfels

STEPS = 40
VIEWS = 4

METRICS = (Metric("memory.bytes_per_*", "bytes", tolerance=0.02),)


def run() -> Iterator[Row]:
    """A memory of 200k surfels that grew in steps of four views, as walks do.

    ``..._worst`` is the largest figure after any step past the first quarter: room that was
    just made is the emptiest.
    """
    memory, surfels = ViewMemory(), house(200_000)
    held: dict[str, list[float]] = {"surfel": [], "link": []}
    walk = stroll(STEPS * VIEWS)
    for step in range(STEPS):
        memory.append(_record(memory.snapshot(), surfels, step, walk))
        if step < STEPS // 4:
            continue
        now, held_bytes = memory.snapshot(), memory.nbytes
        held["surfel"].append(held_bytes["surfels"] / len(now.surfels))
        held["link"].append(held_bytes["links"] / len(now.link_surfel))
    for kind, each in held.items():
        yield measured(f"memory.bytes_per_{kind}", each[-1])
        yield measured(f"memory.bytes_per_{kind}_worst", max(each))


def _record(known: MemorySnapshot, surfels: Surfels, step: int, walk: list[Camera]) -> StepRecord:
    """The next part of the house, and what four views see of all parts so far."""
    first, stop = (len(surfels) * i // STEPS for i in (step, step + 1))
    so_far = surfels[:stop]
    blocks = Blocks.of(so_far)
    cameras = walk[step * VIEWS : (step + 1) * VIEWS]
    small = (144, 256)
    seen = [np.unique(rasterize(so_far, c.resized(small), "cpu", blocks).index) for c in cameras]
    seen = [one[one >= 0].astype(np.int32) for one in seen]
    view = np.arange(VIEWS, dtype=np.int32) + len(known.views)
    return StepRecord(
        tuple(view_of(camera, step) for camera in cameras),
        surfels[first:stop],
        np.concatenate(seen),
        np.repeat(view, [len(one) for one in seen]),
        None,
    )
