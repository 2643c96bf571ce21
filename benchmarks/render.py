"""Index, depth and cosine at 512 x 288 in a furnished house, on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks._scenes import cameras, house, metric, milliseconds
from vmem.raster import Blocks, rasterize

SIZES = {"50k": 50_000, "200k": 200_000, "1m": 1_000_000}


def run() -> Iterator[dict[str, object]]:
    """``render.cpu.SIZE.ms`` is wall time, ``.cpu_ms`` is the CPU time of all threads."""
    for name, n in SIZES.items():
        surfels = house(n)
        blocks = Blocks.of(surfels)
        draws = [partial(rasterize, surfels, camera, "cpu", blocks) for camera in cameras()]
        wall, cpu = milliseconds(*draws)
        yield metric("render", f"render.cpu.{name}.ms", wall, "ms")
        yield metric("render", f"render.cpu.{name}.cpu_ms", cpu, "ms")
