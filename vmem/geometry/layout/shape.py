"""The shape of a layout: a floor, walls along a line above it, perhaps a ceiling.

Seen level (see vmem.geometry.layout.level_grid), such a scene is the largest of three functions of
inverse forward distance: the floor ``v``, the walls ``w(u)`` and the ceiling ``-v / c``. A plane
wall has an affine ``w``, so walls are a piecewise linear function given by its knots, and the foot
of a wall is seen at ``v = w(u)``. Being a maximum of continuous functions the scene has no tears.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from vmem.cameras import Camera
from vmem.geometry.layout.level_grid import LevelRays

MAX_STEP = 1.08
"""Largest ratio of the depths of two neighbouring pixels."""
NEAREST = 0.15
"""Smallest depth in a scene whose largest depth, sky apart, is 1."""


@dataclass(frozen=True, eq=False)
class Shape:
    """Walls and perhaps a ceiling, in camera heights above the floor."""

    u: Float64[np.ndarray, " k"]
    """Level coordinate of the knots of the walls, ascending."""
    wall: Float64[np.ndarray, " k"]
    """Inverse distance of the walls at the knots, linear in between."""
    ceiling: float | None = None
    """Height of the ceiling above the camera; None where walls have no end."""

    def inverse_distance(self, rays: LevelRays) -> Float64[np.ndarray, "H W"]:
        """Inverse forward distance of the floor, wall or ceiling that each pixel sees."""
        seen = np.maximum(rays.v, np.interp(rays.u, self.u, self.wall))
        if self.ceiling is not None:
            seen = np.maximum(seen, -rays.v / self.ceiling)
        return seen


@dataclass(frozen=True)
class Limits:
    """How far and how steep walls may be, so that depth keeps MAX_STEP and NEAREST."""

    far: float
    """Smallest inverse distance of a wall."""
    slope: float
    """Largest change of log depth over a unit of u or v."""

    @staticmethod
    def of(camera: Camera, rays: LevelRays) -> Limits:
        """Limits for a photo by ``camera`` with the given level rays."""
        # A unit of the image plane spans fx pixels; levelling shrinks it by at most 1/forward**2.
        # Along a pixel row of a pitched view the factor 1/forward of z-depth varies as well.
        forward = float(rays.forward.min())
        pixels = float(min(camera.K[0, 0], camera.K[1, 1]))
        tilt = abs(float(camera.c2w[1, 2]))
        slope = (math.log(MAX_STEP) * pixels - tilt / forward) * forward**2
        slope = max(slope, 1.0)
        nearest_floor = max(float((rays.v * rays.forward).max()), 0.0)
        far = max(NEAREST * nearest_floor / forward, 1 / slope, 1e-2)
        return Limits(far, slope)


def limit_walls(
    wall: Float64[np.ndarray, " n"], step: float, limits: Limits
) -> Float64[np.ndarray, " n"]:
    """``wall``, sampled ``step`` apart in u, with far and steep parts drawn nearer.

    The result is the smallest curve above ``wall`` that keeps the limits.
    """
    rate = limits.slope * step * np.arange(len(wall))
    height = np.log(np.maximum(wall, limits.far))
    height = np.maximum.accumulate(height + rate) - rate
    height = (np.maximum.accumulate((height - rate)[::-1]) + rate[::-1])[::-1]
    return np.exp(height)


def close_tears(depth: Float64[np.ndarray, "H W"]) -> Float64[np.ndarray, "H W"]:
    """``depth`` with whatever lies too far behind its neighbours drawn nearer.

    The result is the largest map that is nowhere above ``depth`` and in which horizontal and
    vertical neighbours differ by a factor of MAX_STEP at most. A scene that keeps the limits comes
    back unchanged; a sky is drawn nearer where it borders on something.
    """
    height = np.log(depth)
    for axis in (0, 1):
        shape = (-1, 1) if axis == 0 else (1, -1)
        rate = math.log(MAX_STEP) * np.arange(depth.shape[axis], dtype=np.float64).reshape(shape)
        height = np.minimum.accumulate(height - rate, axis) + rate
        backwards = np.flip(height + rate, axis)
        height = np.flip(np.minimum.accumulate(backwards, axis), axis) - rate
    return np.where(height < np.log(depth) - 1e-9, np.exp(height), depth)
