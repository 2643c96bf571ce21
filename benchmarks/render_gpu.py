"""The gpu engine at 512 x 288 in a furnished house: what it draws with is part of every row.

On software Vulkan (lavapipe) these are times of the CPU, and ``auto`` does not use the engine
there. Ratios to the cpu engine come from the same run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks._metrics import Metric, Row, measured
from benchmarks._scenes import cameras, house, milliseconds
from vmem.cameras import Camera
from vmem.raster import NEAR, Blocks, rasterize
from vmem.raster.blocks import visible_blocks
from vmem.raster.gpu.engine import GpuEngine, GpuUnavailable
from vmem.types import Surfels

SIZES = {"50k": 50_000, "200k": 200_000, "1m": 1_000_000}
ROUNDS = 7

METRICS = (
    Metric("render.gpu.available", "yes/no", "higher"),
    Metric("render.gpu.*.ms", "ms"),
    Metric("render.gpu.*.upload_ms", "ms"),
    Metric("render.gpu.*.all_blocks_ms", "ms"),
    Metric("render.gpu.*.picture_ms", "ms"),
    Metric("render.gpu.*.over_cpu", "ratio", of_machine=True),
    Metric("render.gpu.*.differs", "pixels in a million", tolerance=1.0, optional=True),
)


def run() -> Iterator[Row]:
    """``render.gpu.SIZE.ms`` draws and reads back the index map, ``.all_blocks`` without passing
    over blocks out of sight, ``.picture`` a coloured image; ``.differs`` is the share of pixels
    unlike the cpu's, ``.upload`` the time to send the whole memory. Nothing where there is no
    adapter."""
    start = time.perf_counter()
    try:
        engine = GpuEngine.create()
    except GpuUnavailable as error:
        yield {
            **measured("render.gpu.available", 0),
            "why": str(error),
        }
        return
    cold = 1e3 * (time.perf_counter() - start)
    for row in (measured("render.gpu.create.ms", cold), *_sizes(engine)):
        yield {**row, "adapter": engine.adapter}


def _sizes(engine: GpuEngine) -> Iterator[Row]:
    engine.index_map(house(1000), cameras(1)[0], NEAR)
    for name, n in SIZES.items():
        surfels = _read_only(house(n))
        blocks = Blocks.of(surfels)
        start = time.perf_counter()
        engine.index_map(surfels, cameras(1)[0].resized((1, 1)), NEAR)
        yield measured(f"render.gpu.{name}.upload_ms", 1e3 * (time.perf_counter() - start))

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
        yield measured(f"render.gpu.{name}.ms", by_gpu)
        yield measured(f"render.gpu.{name}.all_blocks_ms", whole)
        yield measured(f"render.gpu.{name}.picture_ms", picture)
        yield measured(f"render.gpu.{name}.over_cpu", by_gpu / by_cpu)
        yield measured(f"render.gpu.{name}.differs", 1e6 * float(differs))


def _read_only(surfels: Surfels) -> Surfels:
    """Arrays as a memory hands them out: known again without a look at them."""
    parts = [np.ascontiguousarray(part) for part in vars(surfels).values()]
    for part in parts:
        part.flags.writeable = False
    return Surfels(*parts)
