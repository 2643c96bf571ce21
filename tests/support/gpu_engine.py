"""For tests of the gpu engine: whether there is one here, its distance from the CPU, a room."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vmem.cameras import Camera
from vmem.raster import NEAR, rasterize
from vmem.raster.gpu import engine as gpu
from vmem.raster.gpu.engine import GpuEngine, GpuUnavailable
from vmem.types import Surfels

DIFFERENT = 1e-3
"""Share of pixels that rims and ties may decide otherwise than the oracle or the CPU."""


def no_adapter() -> str | None:
    """Why there is nothing to draw with, or None."""
    try:
        gpu.request_adapter()
    except GpuUnavailable as error:
        return str(error)
    return None


WHY_NOT = no_adapter()
needs_engine = pytest.mark.skipif(WHY_NOT is not None, reason=f"no gpu engine: {WHY_NOT}")


def share_unlike_cpu(engine: GpuEngine, surfels: Surfels, camera: Camera) -> float:
    expected = rasterize(surfels, camera, "cpu").index
    return float((engine.index_map(surfels, camera, NEAR) != expected).mean())


def room(n: int, rng: np.random.Generator) -> Surfels:
    """Disks that tile the inside of a box around the origin, facing it."""
    side = math.sqrt(24 / n)
    wall = rng.uniform(-1, 1, (n, 3))
    axis, sign = rng.integers(0, 3, n), rng.choice([-1.0, 1.0], n)
    wall[np.arange(n), axis] = sign + rng.normal(size=n) * 0.01
    normal = rng.normal(size=(n, 3)) * 0.1
    normal[np.arange(n), axis] -= sign
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    radius = 0.9 * side * rng.uniform(0.8, 1.25, n)
    return Surfels(
        wall.astype(np.float32),
        normal.astype(np.float32),
        radius.astype(np.float32),
        rng.integers(0, 256, (n, 3), np.uint8),
    )
