"""The camera with which a recorded scene opens: behind the target, the chosen views in sight."""

from __future__ import annotations

import numpy as np

from viewer.scene.camera_rig import AHEAD, BEHIND
from vmem.arrays import F64
from vmem.cameras import Camera
from vmem.types import Surfels

FOV = 1.05
"""Vertical field of view, in radians."""
WINDOW = 1.5
"""Width over height of the window that the camera is placed for."""
STEPS_BACK = (1.0, 1.4, 2.0, 2.8, 4.0)
"""Distances behind the target that are tried, as multiples of the live view's."""


def first_camera(surfels: Surfels, target: Camera, chosen: F64) -> tuple[F64, F64]:
    """Position and look-at point, (3,) each, that show the target and most of ``chosen`` (N, 3).

    Starts where the live view stands and goes further back if that shows more chosen positions.
    """
    ahead = _from(target, AHEAD)
    best, most = _from(target, BEHIND), -1
    for factor in STEPS_BACK:
        position = _from(target, BEHIND * factor)
        if not _clear(surfels, position, target.position[None])[0]:
            break  # behind a wall, whose back would hide the target
        shown = _framed(position, ahead, chosen) & _clear(surfels, position, chosen)
        if shown.sum() > most:
            best, most = position, int(shown.sum())
    return best, ahead


def _from(camera: Camera, point: F64) -> F64:
    """The world position of ``point`` (3,) in the camera's frame."""
    return camera.c2w[:3, :3] @ point + camera.position


def _framed(position: F64, ahead: F64, points: F64) -> np.ndarray:
    """(N,) bool: points (N, 3) well inside the window of a camera without roll."""
    z = (ahead - position) / np.linalg.norm(ahead - position)
    x = np.cross([0.0, 1.0, 0.0], z)
    x /= max(np.linalg.norm(x), 1e-9)
    offset = points - position
    depth = offset @ z
    half = 0.9 * np.tan(FOV / 2) * depth
    return (
        (depth > 1e-3)
        & (np.abs(offset @ x) < WINDOW * half)
        & (np.abs(offset @ np.cross(z, x)) < half)
    )


def _clear(surfels: Surfels, position: F64, points: F64) -> np.ndarray:
    """(N,) bool: no surfel, seen from either side, lies between ``position`` and points (N, 3)."""
    offset = surfels.position - position.astype(np.float32)
    # The line position + t (point - position) meets a surfel's plane where
    # t = (offset . normal) / ((point - position) . normal).
    plane = (offset * surfels.normal).sum(axis=1)
    free = np.empty(len(points), bool)
    for i, point in enumerate(points):
        way = (point - position).astype(np.float32)
        slope = surfels.normal @ way
        t = plane / np.where(slope == 0, np.inf, slope)
        near = np.flatnonzero((t > 0.02) & (t < 0.98))
        miss = np.linalg.norm(t[near, None] * way - offset[near], axis=1)
        free[i] = not (miss < surfels.radius[near]).any()
    return free
