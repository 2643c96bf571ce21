"""How much of what a target can see lies in the frustums of views, walls or no walls."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from numba import njit

from vmem.cameras import Cameras, invert_pose, pixel_rays

FRUSTUM_GRID = 6
"""Samples across and down a target's image."""
FRUSTUM_DEPTHS = (0.5, 1.0, 2.0)
"""Depths of those samples, in target depths."""
FRUSTUM_END = 2.5
"""Where a frustum ends, in target depths: farther away there are mostly other rooms."""


def frustum_overlap(
    poses: Float64[np.ndarray, "V 4 4"],
    K_normalized: Float64[np.ndarray, "V 3 3"],
    targets: Cameras,
    target_depth: float,
) -> Float64[np.ndarray, " V"]:
    """Share of the targets' frustum samples that lie in each view's frustum.

    poses: c2w of the views · K_normalized: rows 0 and 1 are over the image's width and height. The
    samples are a grid over the image at three depths about ``target_depth``; walls count for
    nothing, which is what this measure lacks.
    """
    grid = targets.resized((FRUSTUM_GRID, FRUSTUM_GRID))
    points = np.concatenate(
        [
            depth * target_depth * pixel_rays(target).reshape(-1, 3) @ target.c2w[:3, :3].T
            + target.position
            for target in grid
            for depth in FRUSTUM_DEPTHS
        ]
    )
    origin = grid[0].position  # about it, so that float32 serves however far away it is
    w2c = invert_pose(poses)
    w2c[:, :3, 3] += (w2c[:, :3, :3] @ origin[:, None])[..., 0]
    projection = (K_normalized @ w2c[:, :3]).astype(np.float32)
    inside = np.empty(len(poses), np.int64)
    end = np.float32(FRUSTUM_END * target_depth)
    _count_inside(projection, (points - origin).astype(np.float32), end, inside)
    return inside / len(points)


@njit(cache=True, nogil=True)
def _count_inside(projection, points, end, inside):
    """How many points (N, 3) fall into each image of unit size, nearer than ``end``."""
    for view in range(projection.shape[0]):
        P = projection[view]
        n = 0
        for i in range(points.shape[0]):
            X, Y, Z = points[i, 0], points[i, 1], points[i, 2]
            z = P[2, 0] * X + P[2, 1] * Y + P[2, 2] * Z + P[2, 3]
            x = P[0, 0] * X + P[0, 1] * Y + P[0, 2] * Z + P[0, 3]
            y = P[1, 0] * X + P[1, 1] * Y + P[1, 2] * Z + P[1, 3]
            n += (z > 0) & (z <= end) & (x >= 0) & (x <= z) & (y >= 0) & (y <= z)
        inside[view] = n
