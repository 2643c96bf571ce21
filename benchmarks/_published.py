"""The published behaviour as what ours is measured against: its disks, and loops in Python."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from unittest.mock import patch

import numpy as np

from benchmarks._scenes import HW, house, view_of
from vmem.cameras import Camera, unproject
from vmem.memory import MemorySnapshot
from vmem.published.as_memory import PUBLISHED_POINTS, published_memory
from vmem.published.render import QueryCamera, render_reference
from vmem.published.surfels import Disks, PublishedConfig
from vmem.raster import Blocks, rasterize
from vmem.retrieval.strategies import published as strategy
from vmem.types import PointMaps, Surfels

T = TypeVar("T")
DENSE = 200_000
"""Surfels of the house of which views are taken."""
ROUNDS = 7


def timed(call: Callable[[], T]) -> tuple[T, float]:
    """What it gives, and the CPU seconds of all threads: whatever else runs does not count."""
    begin = time.process_time()
    result = call()
    return result, time.process_time() - begin


def times_less(published: Callable[[], object], ours: Callable[[], object]) -> float:
    """CPU time of one call of the published way over the median of ours before and after it."""
    ours()
    before = [timed(ours)[1] for _ in range(ROUNDS)]
    slow = timed(published)[1]
    return slow / statistics.median(before + [timed(ours)[1] for _ in range(ROUNDS)])


def query(camera: Camera) -> QueryCamera:
    """Our camera in the published code's form: pose, focal lengths, principal point, size."""
    K, (h, w) = camera.K, camera.hw
    return QueryCamera(camera.c2w, K[0, 0], K[1, 1], K[0, 2], K[1, 2], w, h)


def as_disks(surfels: Surfels) -> Disks:
    """Our surfels as published disks, whose normals look away from the camera."""
    return Disks(surfels.position, -surfels.normal, surfels.radius)


def walked(walk: list[Camera]) -> MemorySnapshot:
    """What the published code remembers of these views of the house."""
    surfels = house(DENSE)
    blocks, sure = Blocks.of(surfels), np.ones((1, *HW), np.float32)
    steps = []
    for camera in walk:
        depth = rasterize(surfels, camera, "cpu", blocks).depth
        depth[depth == 0] = 5
        maps = PointMaps(unproject(depth, camera)[None], depth[None], sure)
        steps.append(((view_of(camera),), maps))
    return published_memory(steps, PUBLISHED_POINTS)


def widened(camera: Camera) -> Camera:
    """The camera from which the published code looks into memory, at 512 x 288."""
    K = camera.K.copy()
    K[0, 0] *= PublishedConfig.focal_scale
    K[1, 1] *= PublishedConfig.focal_scale
    return Camera(camera.c2w, K, camera.hw)


@contextmanager
def drawn_in_python() -> Iterator[None]:
    """Within it the strategy ``reference`` draws pixel by pixel, as published."""
    with patch.object(strategy, "render_polygons", render_reference):
        yield
