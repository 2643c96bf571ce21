"""How near a point is to what memory holds, and what of it a camera sees from behind."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32, Float64
from numba import njit

from vmem.arrays import F32, F64
from vmem.cameras import Camera
from vmem.kernels.parallel import read_only
from vmem.memory.snapshot import MemorySnapshot
from vmem.raster import NEAR, rasterize
from vmem.raster.blocks import BLOCK, Blocks, visible_blocks
from vmem.types import Surfels


def clearance(
    memory: MemorySnapshot, points: Float64[np.ndarray, "P 3"], reach: float
) -> Float64[np.ndarray, " P"]:
    """Distance of each point to the nearest disk of memory, scene units, at most ``reach``.

    The sky has no disks and does not count. Blocks of disks that are farther away are not opened.
    """
    surfels = memory.surfels
    nearest = np.full(len(points), float(reach))
    position, normal, radius = read_only(surfels.position, surfels.normal, surfels.radius)
    where = np.ascontiguousarray(points, np.float64)
    _lower(position, normal, radius, memory.blocks.sphere, BLOCK, where, nearest)
    return nearest


def depth_from_behind(memory: MemorySnapshot, camera: Camera) -> Float32[np.ndarray, "H W"]:
    """z-depth of the nearest disk that ``camera`` sees from behind, 0 where there is none.

    Disks that face the camera neither count nor hide what is behind them.
    """
    known, surfels = memory.blocks, memory.surfels
    away = Blocks(known.sphere, known.cone * np.array([-1, -1, -1, 1], np.float32), known.n_surfels)
    # In their order, so that only the last can be a part of a block.
    chosen = np.sort(visible_blocks(away, camera, NEAR))
    if not len(chosen):
        return np.zeros(camera.hw, np.float32)
    rows = (chosen[:, None].astype(np.int64) * BLOCK + np.arange(BLOCK)).ravel()
    rows = rows[rows < len(surfels)]
    turned = Surfels(
        surfels.position[rows], -surfels.normal[rows], surfels.radius[rows], surfels.color[rows]
    )
    few = Blocks(away.sphere[chosen], away.cone[chosen], len(rows))
    # On the CPU: an engine that holds copies of memory would be given these few in its place.
    return rasterize(turned, camera, "cpu", few).depth


@njit(cache=True, nogil=True)
def _lower(
    position: F32, normal: F32, radius: F32, sphere: F32, size: int, points: F64, nearest: F64
) -> None:
    """Lower ``nearest`` to the distances of disks that are nearer."""
    for p in range(points.shape[0]):
        X, Y, Z = points[p, 0], points[p, 1], points[p, 2]
        for block in range(sphere.shape[0]):
            dx, dy, dz = X - sphere[block, 0], Y - sphere[block, 1], Z - sphere[block, 2]
            within = nearest[p] + sphere[block, 3]
            if dx * dx + dy * dy + dz * dz >= within * within:
                continue
            for s in range(block * size, min(position.shape[0], (block + 1) * size)):
                if not radius[s] > 0:
                    continue
                dx, dy, dz = X - position[s, 0], Y - position[s, 1], Z - position[s, 2]
                height = dx * normal[s, 0] + dy * normal[s, 1] + dz * normal[s, 2]
                along = math.sqrt(max(0.0, dx * dx + dy * dy + dz * dz - height * height))
                beyond = max(0.0, along - radius[s])
                distance = math.sqrt(height * height + beyond * beyond)
                if distance < nearest[p]:
                    nearest[p] = distance
