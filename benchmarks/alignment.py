"""Predicted depth aligned with a memory of 5, 50 and 200 views: its cost must not grow."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks._scenes import HW, house, metric, milliseconds, stroll
from vmem.cameras import Camera, Cameras, pixel_rays
from vmem.geometry.alignment import align
from vmem.geometry.predicted import Predicted
from vmem.memory import MemorySnapshot, StepRecord, ViewMemory
from vmem.raster import Blocks, rasterize
from vmem.surfels import Surfels
from vmem.views import View

VIEWS = (5, 50, 200)
SURFELS = 200_000
STEP = 4
"""New frames."""


def run() -> Iterator[dict[str, object]]:
    """``align.N.ms`` is wall time for four new frames of 512 x 288, ``.cpu_ms`` the CPU time of all
    threads; ``align.growth_N_over_5`` the ratio of wall times, from the same rounds.

    The new frames are the same each time, beside the first views; memory holds the surfels that
    its views saw. Depth is that of the surfels at a wrong scale, with noise and outliers.
    """
    surfels, walk = house(SURFELS), stroll(max(VIEWS))
    blocks = Blocks.of(surfels)
    seen = [rasterize(surfels, camera, "cpu", blocks) for camera in walk]
    new = Cameras.stack([_beside(walk[i]) for i in range(STEP)])
    rng = np.random.default_rng(0)
    depths = [rasterize(surfels, camera, "cpu", blocks).depth for camera in new]
    given = _spoilt(new, np.stack(depths), rng)
    calls = []
    for n in VIEWS:
        shown = np.unique(np.concatenate([one.index[one.index >= 0] for one in seen[:n]]))
        memory = _memory(surfels[shown], walk[:n], [one.depth for one in seen[:n]])
        calls.append(partial(_align_anew, given, new, memory))
    rounds = [_times(calls) for _ in range(15)]
    wall, cpu = np.median(np.array(rounds), axis=0).T
    for n, ms, cpu_ms in zip(VIEWS, wall, cpu, strict=True):
        yield metric("alignment", f"align.{n}.ms", ms, "ms")
        yield metric("alignment", f"align.{n}.cpu_ms", cpu_ms, "ms")
    for n, ms, cpu_ms in zip(VIEWS[1:], wall[1:], cpu[1:], strict=True):
        yield metric("alignment", f"align.growth_{n}_over_{VIEWS[0]}", ms / wall[0], "ratio")
        yield metric("alignment", f"align.growth_cpu_{n}_over_{VIEWS[0]}", cpu_ms / cpu[0], "ratio")


def _align_anew(given: Predicted, new: Cameras, memory: MemorySnapshot) -> None:
    """Poses are gathered from all views once a snapshot, so once a step."""
    vars(memory).pop("poses", None)
    align(given, new, memory)


def _times(calls: list[partial]) -> list[tuple[float, float]]:
    """One turn of each, so that whatever else slows the machine slows all alike."""
    return [milliseconds(call, times=1) for call in calls]


def _beside(camera: Camera) -> Camera:
    c2w = camera.c2w.copy()
    c2w[:3, 3] += 0.05 * c2w[:3, 0]
    return camera.moved_to(c2w)


def _spoilt(cameras: Cameras, depth: np.ndarray, rng: np.random.Generator) -> Predicted:
    depth = np.where(depth > 0, depth, 5) / 2 * np.exp(0.02 * rng.normal(size=depth.shape))
    depth *= np.where(rng.uniform(size=depth.shape) < 0.2, 2.5, 1)
    rays = np.stack([pixel_rays(camera) for camera in cameras])
    points = (rays * depth[..., None]).astype(np.float32)
    return Predicted(points, np.full(depth.shape, 8, np.float32))


def _memory(surfels: Surfels, walk: list[Camera], depths: list[np.ndarray]) -> MemorySnapshot:
    none = np.zeros(0, np.int32)
    rgb, sure = np.zeros((*HW, 3), np.uint8), np.ones(HW, np.float32)
    views = tuple(
        View(rgb, camera, 0, depth, sure) for camera, depth in zip(walk, depths, strict=True)
    )
    memory = ViewMemory()
    memory.append(StepRecord(views, surfels, none, none, None))
    return memory.snapshot()
