"""One new view taken into memory: links to what it saw again, surfels for what is new."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks._scenes import HW, house, look, metric, milliseconds
from vmem.cameras import unproject
from vmem.memory import associate
from vmem.raster import Blocks, rasterize
from vmem.types import AssociationConfig

SIZES = {"200k": 200_000, "1m": 1_000_000}


def run() -> Iterator[dict[str, object]]:
    """``associate.SIZE.ms`` is wall time, ``.cpu_ms`` is the CPU time of all threads.

    The view's depth is that of the surfels themselves, with a tenth of the image replaced by a new
    surface in front, so that it links and spawns.
    """
    rgb = np.zeros((*HW, 3), np.uint8)
    sure = np.ones(HW, np.float32)
    for name, n in SIZES.items():
        surfels = house(n)
        blocks = Blocks.of(surfels)
        calls = []
        for turn in range(5):
            camera = look(0.7 + 1.3 * turn, 0.12, (-3.1, -0.2, -2.6))
            depth = rasterize(surfels, camera, "cpu", blocks).depth
            depth[depth == 0] = 5
            depth[:, : HW[1] // 10] *= 0.7
            points = unproject(depth, camera)
            calls.append(
                partial(
                    associate,
                    surfels,
                    points,
                    depth,
                    sure,
                    rgb,
                    camera,
                    AssociationConfig(),
                    blocks=blocks,
                )
            )
        wall, cpu = milliseconds(*calls)
        yield metric("associate", f"associate.{name}.ms", wall, "ms")
        yield metric("associate", f"associate.{name}.cpu_ms", cpu, "ms")
