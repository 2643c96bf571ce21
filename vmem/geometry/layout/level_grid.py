"""The photo as a level camera would have taken it, where floor, ceiling and walls become simple.

With gravity known, a point with level coordinates (X right, Y down, F forward) is seen at
``u = X / F`` and ``v = Y / F``. In these coordinates vertical lines are columns, the horizon is
``v = 0``, and the *inverse forward distance* ``1 / F`` of every plane is affine in (u, v): the
floor one unit below the camera has ``1 / F = v``, a ceiling at height c has ``-v / c``, and a
vertical wall does not depend on v at all. A scene of planes seen from inside is the largest of
these functions. The camera's height above the floor is the unit of length.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64

from vmem.cameras import Camera, pixel_rays

MIN_FORWARD = 0.2
"""Smallest forward part of a pixel ray: rays nearer to the vertical are held here."""
CELLS = 112
"""Grid cells along the shorter image side."""
MAX_CELLS = 224
"""Most grid cells along any side, however stretched or pitched the image is."""


def level_rotation(camera: Camera) -> Float64[np.ndarray, "3 3"]:
    """Rotation of camera vectors into the level frame: x right, y down, z the heading."""
    down = camera.c2w[1, :3]
    # Looking straight down or up, "forward" is where the top (or bottom) of the image points.
    axis = np.array([0.0, -np.sign(down[2]), 0.0]) if abs(down[2]) > 0.999 else np.eye(3)[2]
    forward = axis - down * (axis @ down)
    forward = forward / np.linalg.norm(forward)
    return np.stack([np.cross(down, forward), down, forward])


@dataclass(frozen=True, eq=False)
class LevelRays:
    """Level coordinates of every pixel."""

    u: Float64[np.ndarray, "H W"]
    """X / F of the pixel's ray."""
    v: Float64[np.ndarray, "H W"]
    """Y / F of the pixel's ray."""
    forward: Float64[np.ndarray, "H W"]
    """F of the ray with z = 1, so z-depth is F / forward."""

    @staticmethod
    def of(camera: Camera) -> LevelRays:
        """Maps for the pixels of ``camera``."""
        rays = pixel_rays(camera) @ level_rotation(camera).T
        forward = np.maximum(rays[..., 2], MIN_FORWARD)
        return LevelRays(rays[..., 0] / forward, rays[..., 1] / forward, forward)


@dataclass(frozen=True, eq=False)
class LevelGrid:
    """A regular grid over (u, v) that covers the photo, of m rows and n columns."""

    u: Float64[np.ndarray, " n"]
    """Centres of the columns."""
    v: Float64[np.ndarray, " m"]
    """Centres of the rows."""
    step: float
    """Distance between centres, in both directions."""
    area: Float64[np.ndarray, "m n"]
    """Share of the photo that each cell covers: 0 outside of it, 1 in total."""
    column: Float32[np.ndarray, "m n"]
    """Place of each cell across the photo, from 0 to 1."""
    row: Float32[np.ndarray, "m n"]
    """Place of each cell down the photo, from 0 to 1."""

    @staticmethod
    def over(camera: Camera, rays: LevelRays) -> LevelGrid:
        """The grid over all pixels of ``camera``, whose level rays are given."""
        extent = max(np.ptp(rays.u), np.ptp(rays.v))
        step = max(min(camera.hw) / camera.K[0, 0] / CELLS, extent / MAX_CELLS)
        u = np.arange(rays.u.min() - step / 2, rays.u.max() + step, step)
        v = np.arange(rays.v.min() - step / 2, rays.v.max() + step, step)

        level = np.stack(np.broadcast_arrays(u[None], v[:, None], 1.0), axis=-1)
        seen = level @ level_rotation(camera)
        ahead = np.maximum(seen[..., 2], 1e-6)
        h, w = camera.hw
        column = (seen[..., 0] / ahead * camera.K[0, 0] + camera.K[0, 2]) / w
        row = (seen[..., 1] / ahead * camera.K[1, 1] + camera.K[1, 2]) / h
        inside = (column >= 0) & (column <= 1) & (row >= 0) & (row <= 1) & (seen[..., 2] > 0)
        area = np.where(inside, ahead**-3.0, 0.0)
        area = area / max(area.sum(), 1e-12)
        return LevelGrid(u, v, step, area, column.astype(np.float32), row.astype(np.float32))

    @property
    def inside(self) -> Bool[np.ndarray, "m n"]:
        """True for cells within the photo."""
        return self.area > 0

    def sample(
        self, image: Float32[np.ndarray, "H W *channels"]
    ) -> Float32[np.ndarray, "m n *channels"]:
        """``image`` over the photo, of any size, read at the cells."""
        h, w = image.shape[:2]
        return cv2.remap(
            image,
            self.column * w - 0.5,
            self.row * h - 0.5,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ).astype(np.float32)

    def position(self, v: Float64[np.ndarray, "*batch"]) -> Float64[np.ndarray, "*batch"]:
        """Rows counted from the upper edge of the first cell, for heights ``v``."""
        return (v - self.v[0]) / self.step + 0.5


def level_points(pixels: Float64[np.ndarray, "N 2"], camera: Camera) -> Float64[np.ndarray, "N 2"]:
    """Level coordinates (u, v) of pixel positions."""
    focal = np.array([camera.K[0, 0], camera.K[1, 1]])
    rays = np.pad((pixels - camera.K[:2, 2]) / focal, ((0, 0), (0, 1)), constant_values=1)
    rays = rays @ level_rotation(camera).T
    return rays[:, :2] / np.maximum(rays[:, 2:], MIN_FORWARD)
