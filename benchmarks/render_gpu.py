"""The gpu engine at 512 x 288 in a furnished house: what it draws with is part of every row.

On software Vulkan (lavapipe) these are times of the CPU, and ``auto`` does not use the engine
there. Ratios to the cpu engine come from the same run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks._scenes import cameras, house, metric, milliseconds
from vmem.cameras import Camera
from vmem.raster import NEAR, Blocks, rasterize
from vmem.raster.blocks import visible_blocks
from vmem.raster.gpu.engine import GpuEngine, GpuUnavailable
from vmem.types import Surfels

SIZES = {"50k": 50_000, "200k": 200_000, "1m": 1_000_000}
ROUNDS = 7


def run() -> Iterator[dict[str, object]]:
    """``render.gpu.SIZE.ms`` draws and reads back the index map, ``.all_blocks`` without passing
    over blocks out of sight, ``.picture`` a coloured image; ``.differs`` is the share of pixels
    unlike the cpu's, ``.upload`` the time to send the whole memory. Nothing where there is no
    adapter."""
    start = time.perf_counter()
    try:
        engine = GpuEngine.create()
    except GpuUnavailable as error:
        yield {
            **metric("render_gpu", "render.gpu.available", 0, "yes/no", "higher"),
            "why": str(error),
        }
        return
    cold = 1e3 * (time.perf_counter() - start)
    for row in (_metric("render.gpu.create.ms", cold), *_sizes(engine)):
        yield {**row, "adapter": engine.adapter}


def _metric(name: str, value: float, unit: str = "ms") -> dict[str, object]:
    return metric("render_gpu", name, value, unit)


def _sizes(engine: GpuEngine) -> Iterator[dict[str, object]]:
    engine.index_map(house(1000), cameras(1)[0], NEAR)
    for name, n in SIZES.items():
        surfels = _read_only(house(n))
        blocks = Blocks.of(surfels)
        start = time.perf_counter()
        engine.index_map(surfels, cameras(1)[0].resized((1, 1)), NEAR)
        yield _metric(f"render.gpu.{name}.upload_ms", 1e3 * (time.perf_counter() - start))

        def culled(camera: Camera, surfels: Surfels = surfels, blocks: Blocks = blocks):
            return engine.index_map(surfels, camera, NEAR, visible_blocks(blocks, camera, NEAR))

        def painted(camera: Camera, surfels: Surfels = surfels, blocks: Blocks = blocks):
            visible = visible_blocks(blocks, camera, NEAR)
            return engine.paint(surfels, surfels.color, camera, NEAR, visible)

        views = cameras()
        by_gpu, _ = milliseconds(*(partial(culled, view) for view in views), times=ROUNDS)
        whole, _ = milliseconds(
            *(partial(engine.index_map, surfels, view, NEAR) for view in views), times=ROUNDS
        )
        picture, _ = milliseconds(*(partial(painted, view) for view in views), times=ROUNDS)
        by_cpu, _ = milliseconds(
            *(partial(rasterize, surfels, view, "cpu", blocks) for view in views), times=ROUNDS
        )
        differs = np.mean(
            [culled(view) != rasterize(surfels, view, "cpu", blocks).index for view in views]
        )
        yield _metric(f"render.gpu.{name}.ms", by_gpu)
        yield _metric(f"render.gpu.{name}.all_blocks_ms", whole)
        yield _metric(f"render.gpu.{name}.picture_ms", picture)
        yield _metric(f"render.gpu.{name}.over_cpu", by_gpu / by_cpu, "ratio")
        yield _metric(f"render.gpu.{name}.differs", 1e6 * float(differs), "pixels in a million")


def _read_only(surfels: Surfels) -> Surfels:
    """Arrays as a memory hands them out: known again without a look at them."""
    parts = [np.ascontiguousarray(part) for part in vars(surfels).values()]
    for part in parts:
        part.flags.writeable = False
    return Surfels(*parts)
