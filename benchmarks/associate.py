"""One new view taken into memory: links to what it saw again, surfels for what is new."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from benchmarks._metrics import Metric, Row, measured
from benchmarks._published import as_disks, times_less
from benchmarks._scenes import HW, house, look, milliseconds
from vmem.cameras import Camera, unproject
from vmem.memory import associate
from vmem.published.as_memory import PUBLISHED_POINTS, disks_of_frame
from vmem.published.merge import merge_reference
from vmem.published.surfels import Disks
from vmem.raster import Blocks, rasterize
from vmem.types import AssociationConfig, PointMaps, Surfels

SIZES = {"200k": 200_000, "1m": 1_000_000}
PUBLISHED = {"1k": 1_000, "5k": 5_000, "20k": 20_000}
"""Disks of a published memory; ours holds SURFELS_A_DISK times as many, and a frame, too."""
SURFELS_A_DISK = 16

METRICS = (
    Metric("associate.*.ms", "ms"),
    Metric("associate.*.cpu_ms", "ms"),
    Metric("associate.ratio_reference.*", "ratio", "higher", tolerance=0.25),
)


def run() -> Iterator[Row]:
    """``associate.SIZE.ms`` is wall time, ``.cpu_ms`` is the CPU time of all threads.

    The view's depth is that of the surfels themselves, with a tenth of the image replaced by a new
    surface in front, so that it links and spawns. ``associate.ratio_reference.DISKS`` is the CPU
    time of the published way (some 475 disks of such a view, merged into so many) over ours.
    """
    for name, n in SIZES.items():
        surfels = house(n)
        blocks = Blocks.of(surfels)
        calls = [_taking_in(surfels, blocks, *_seen(surfels, blocks, turn)) for turn in range(5)]
        wall, cpu = milliseconds(*calls)
        yield measured(f"associate.{name}.ms", wall)
        yield measured(f"associate.{name}.cpu_ms", cpu)
    for name, n in PUBLISHED.items():
        surfels, disks = house(SURFELS_A_DISK * n), as_disks(house(n))
        blocks = Blocks.of(surfels)
        camera, maps = _seen(surfels, blocks, 0)

        def published(disks: Disks = disks, camera: Camera = camera, maps: PointMaps = maps):
            return merge_reference(disks, disks_of_frame(maps, 0, camera, PUBLISHED_POINTS))

        ratio = times_less(published, _taking_in(surfels, blocks, camera, maps))
        yield measured(f"associate.ratio_reference.{name}", ratio)


def _seen(surfels: Surfels, blocks: Blocks, turn: int) -> tuple[Camera, PointMaps]:
    """A view, and its maps (one frame)."""
    camera = look(0.7 + 1.3 * turn, 0.12, (-3.1, -0.2, -2.6))
    depth = rasterize(surfels, camera, "cpu", blocks).depth
    depth[depth == 0] = 5
    depth[:, : HW[1] // 10] *= 0.7
    sure = np.ones((1, *HW), np.float32)
    return camera, PointMaps(unproject(depth, camera)[None], depth[None], sure)


def _taking_in(
    surfels: Surfels, blocks: Blocks, camera: Camera, maps: PointMaps
) -> Callable[[], object]:
    rgb = np.zeros((*HW, 3), np.uint8)
    view = maps.points[0], maps.depth[0], maps.confidence[0], rgb, camera
    return partial(associate, surfels, *view, AssociationConfig(), blocks=blocks)
