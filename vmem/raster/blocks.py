"""Blocks of consecutive surfels with bounds, so that whole blocks out of sight are passed over.

Surfels are appended tile by tile (vmem/memory/association.py), so consecutive ones are neighbours
with similar normals, and nothing ever needs sorting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32
from numba import njit

from vmem.arrays import freeze
from vmem.cameras import Camera
from vmem.kernels.parallel import read_only
from vmem.types import Surfels

BLOCK = 256
"""Surfels in a block; the last one may hold fewer."""
_EVERY_WAY = 2.0
"""Sine kept for a cone of more than a hemisphere: larger than any sine, so never culled."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Bounds of the B blocks of ``n_surfels`` surfels; block b holds surfels 256 b to 256 b + 255.

    Disks that no engine draws (not finite, radius not positive) do not count.
    """

    sphere: Float32[np.ndarray, "B 4"]
    """Centre in the world and radius of a ball around all disks of the block."""
    cone: Float32[np.ndarray, "B 4"]
    """Mean normal, and the sine of the widest angle to it, above 1 if that is more than 90
    degrees."""
    n_surfels: int
    """Number of surfels in all blocks."""

    def __post_init__(self) -> None:
        freeze(self, "sphere", "cone")

    def __len__(self) -> int:
        return len(self.sphere)

    @staticmethod
    def empty() -> Blocks:
        """No blocks."""
        four = np.zeros((0, 4), np.float32)
        return Blocks(four, four, 0)

    @staticmethod
    def of(surfels: Surfels) -> Blocks:
        """All blocks anew."""
        return extended(Blocks.empty(), surfels)


def extended(blocks: Blocks, surfels: Surfels) -> Blocks:
    """Blocks of all ``surfels``, of which ``blocks`` bounds the first ``blocks.n_surfels``.

    Costs what the new surfels cost: full blocks are kept, the last partial one is done again.
    """
    kept = blocks.n_surfels // BLOCK
    rest = surfels[kept * BLOCK :]
    added = -(-len(rest) // BLOCK)
    sphere = np.zeros((kept + added, 4), np.float32)
    cone = np.zeros((kept + added, 4), np.float32)
    sphere[:kept], cone[:kept] = blocks.sphere[:kept], blocks.cone[:kept]
    position, normal, radius = read_only(rest.position, rest.normal, rest.radius)
    _bound(position, normal, radius, sphere[kept:], cone[kept:])
    return Blocks(sphere, cone, len(surfels))


def truncated(blocks: Blocks, n_surfels: int) -> Blocks:
    """Blocks of the first ``n_surfels`` alone; the last one's bounds may be wider than need be."""
    kept = -(-n_surfels // BLOCK)
    return Blocks(blocks.sphere[:kept], blocks.cone[:kept], n_surfels)


def visible_blocks(blocks: Blocks, camera: Camera, near: float) -> Int32[np.ndarray, " M"]:
    """Blocks, nearest first, that may show: beyond ``near``, in the frustum, not facing
    away as a whole. Conservative: no disk that a pixel sees is in any other block."""
    h, w = camera.hw
    fx, fy, cx, cy = camera.K[[0, 1, 0, 1], [0, 1, 2, 2]]
    # Inward normals of the image's four sides in the camera frame; z is the way ahead.
    sides = np.array([[fx, 0, cx], [-fx, 0, w - cx], [0, fy, cy], [0, -fy, h - cy]])
    sides = sides / np.linalg.norm(sides, axis=1, keepdims=True)
    visible = np.empty(len(blocks), np.int32)
    nearest = np.empty(len(blocks), np.float32)
    n = _visible(
        blocks.sphere, blocks.cone, camera.w2c, camera.position, sides, near, visible, nearest
    )
    return visible[:n][np.argsort(nearest[:n], kind="stable")]


@njit(cache=True, nogil=True)
def _bound(position, normal, radius, sphere, cone):
    n = position.shape[0]
    low, high, axis = np.empty(3, np.float64), np.empty(3, np.float64), np.empty(3, np.float64)
    for block in range(sphere.shape[0]):
        start, stop = block * BLOCK, min(n, (block + 1) * BLOCK)
        low[:], high[:], axis[:] = np.inf, -np.inf, 0.0
        for i in range(start, stop):
            if not (radius[i] > 0 and np.isfinite(radius[i] + position[i].sum())):
                continue
            for k in range(3):
                low[k] = min(low[k], position[i, k])
                high[k] = max(high[k], position[i, k])
                axis[k] += normal[i, k]
        length = math.sqrt(axis[0] ** 2 + axis[1] ** 2 + axis[2] ** 2)
        for k in range(3):
            sphere[block, k] = (low[k] + high[k]) / 2 if low[k] <= high[k] else 0.0
            cone[block, k] = axis[k] / length if length > 0 else 0.0
        reach, least = 0.0, 1.0
        for i in range(start, stop):
            if not (radius[i] > 0 and np.isfinite(radius[i] + position[i].sum())):
                continue
            away, along = 0.0, 0.0
            for k in range(3):
                away += (np.float64(position[i, k]) - sphere[block, k]) ** 2
                along += np.float64(normal[i, k]) * cone[block, k]
            reach = max(reach, math.sqrt(away) + radius[i])
            least = min(least, along)
        # A little wider than exact, for what float32 rounds away here and when drawing.
        sphere[block, 3] = reach * 1.0001
        narrow = least > 1e-3
        cone[block, 3] = math.sqrt(max(0.0, 1 - least * least)) + 1e-3 if narrow else _EVERY_WAY


@njit(cache=True, nogil=True)
def _visible(sphere, cone, w2c, eye, sides, near, visible, nearest):
    n = 0
    for block in range(sphere.shape[0]):
        X, Y, Z, reach = sphere[block, 0], sphere[block, 1], sphere[block, 2], sphere[block, 3]
        z = w2c[2, 0] * X + w2c[2, 1] * Y + w2c[2, 2] * Z + w2c[2, 3]
        if z + reach <= near:
            continue
        x = w2c[0, 0] * X + w2c[0, 1] * Y + w2c[0, 2] * Z + w2c[0, 3]
        y = w2c[1, 0] * X + w2c[1, 1] * Y + w2c[1, 2] * Z + w2c[1, 3]
        outside = False
        for k in range(4):
            outside |= sides[k, 0] * x + sides[k, 1] * y + sides[k, 2] * z < -reach
        if outside:
            continue
        # A disk faces away if its normal runs along the way from the eye to it. The way to any
        # point of the ball differs from the way to its centre by at most its radius.
        dx, dy, dz = X - eye[0], Y - eye[1], Z - eye[2]
        distance = math.sqrt(dx * dx + dy * dy + dz * dz)
        along = cone[block, 0] * dx + cone[block, 1] * dy + cone[block, 2] * dz
        if along > cone[block, 3] * distance + reach:
            continue
        visible[n], nearest[n] = block, max(z - reach, near)
        n += 1
    return n
