"""Predicted depth aligned with a memory of 5, 50 and 200 views: its cost must not grow."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks._metrics import Metric, Row, measured
from benchmarks._scenes import beside, house, milliseconds, spoilt, stored, stroll
from vmem.cameras import Camera, Cameras
from vmem.geometry.alignment.fit_views import align
from vmem.geometry.alignment.predicted import Predicted
from vmem.memory import MemorySnapshot, ViewMemory
from vmem.raster import Blocks, rasterize
from vmem.types import StepRecord, Surfels

VIEWS = (5, 50, 200)
SURFELS = 200_000
STEP = 4
"""New frames."""

METRICS = (
    Metric("align.*.ms", "ms"),
    Metric("align.*.cpu_ms", "ms"),
    Metric("align.growth_*", "ratio", tolerance=0.4),
)


def run() -> Iterator[Row]:
    """``align.N.ms`` is wall time for four new frames of 512 x 288, ``.cpu_ms`` the CPU time of all
    threads; ``align.growth_N_over_5`` the ratio of wall times, from the same rounds.

    The new frames are the same each time, beside the first views; memory holds the surfels that
    its views saw. Depth is that of the surfels at a wrong scale, with noise and outliers.
    """
    surfels, walk = house(SURFELS), stroll(max(VIEWS))
    blocks = Blocks.of(surfels)
    seen = [rasterize(surfels, camera, "cpu", blocks) for camera in walk]
    new = Cameras.stack([beside(walk[i]) for i in range(STEP)])
    rng = np.random.default_rng(0)
    depths = [rasterize(surfels, camera, "cpu", blocks).depth for camera in new]
    given = spoilt(new, np.stack(depths), rng)
    calls = []
    for n in VIEWS:
        shown = np.unique(np.concatenate([one.index[one.index >= 0] for one in seen[:n]]))
        memory = _memory(surfels[shown], walk[:n], [one.depth for one in seen[:n]])
        calls.append(partial(_align_anew, given, new, memory))
    rounds = [_times(calls) for _ in range(15)]
    wall, cpu = np.median(np.array(rounds), axis=0).T
    for n, ms, cpu_ms in zip(VIEWS, wall, cpu, strict=True):
        yield measured(f"align.{n}.ms", ms)
        yield measured(f"align.{n}.cpu_ms", cpu_ms)
    for n, ms, cpu_ms in zip(VIEWS[1:], wall[1:], cpu[1:], strict=True):
        yield measured(f"align.growth_{n}_over_{VIEWS[0]}", ms / wall[0])
        yield measured(f"align.growth_cpu_{n}_over_{VIEWS[0]}", cpu_ms / cpu[0])


def _align_anew(given: Predicted, new: Cameras, memory: MemorySnapshot) -> None:
    """Poses are gathered from all views once a snapshot, so once a step."""
    vars(memory).pop("poses", None)
    align(given, new, memory)


def _times(calls: list[partial]) -> list[tuple[float, float]]:
    """One turn of each, so that whatever else slows the machine slows all alike."""
    return [milliseconds(call, times=1) for call in calls]


def _memory(surfels: Surfels, walk: list[Camera], depths: list[np.ndarray]) -> MemorySnapshot:
    none = np.zeros(0, np.int32)
    memory = ViewMemory()
    memory.append(StepRecord(stored(walk, depths), surfels, none, none, None))
    return memory.snapshot()
