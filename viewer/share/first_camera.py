"""Where an eye stands that has never moved: behind the target, with what matters in the window."""

from __future__ import annotations

import numpy as np

from viewer.scene.camera_rig import AHEAD, BEHIND
from vmem.arrays import F64
from vmem.cameras import Camera
from vmem.types import Surfels

FOV = 1.05
"""Vertical field of view of the recording's first look, in radians."""
WINDOW = 1.5
"""Width over height of the window that the first look is made for."""
STEPS_BACK = (1.0, 1.4, 2.0, 2.8, 4.0)
"""How far behind the target the first look may stand, in the distances of the live view."""


def first_look(surfels: Surfels, target: Camera, lit: F64) -> tuple[F64, F64]:
    """Eye and look-at points, (3,) each, from which the target and most of ``lit`` (N, 3) show.

    Behind the target as in the live view, further back where that shows more.
    """
    ahead = _from(target, AHEAD)
    best, most = _from(target, BEHIND), -1
    for factor in STEPS_BACK:
        eye = _from(target, BEHIND * factor)
        if not _clear(surfels, eye, target.position[None])[0]:
            # What lies behind a wall would be looked at through its back.
            break
        shown = _framed(eye, ahead, lit) & _clear(surfels, eye, lit)
        if shown.sum() > most:
            best, most = eye, int(shown.sum())
    return best, ahead


def _from(camera: Camera, point: F64) -> F64:
    return camera.c2w[:3, :3] @ point + camera.position


def _framed(eye: F64, ahead: F64, points: F64) -> np.ndarray:
    """(N,) bool: points (N, 3) well inside the window of an eye that looks level."""
    z = (ahead - eye) / np.linalg.norm(ahead - eye)
    x = np.cross([0.0, 1.0, 0.0], z)
    x /= max(np.linalg.norm(x), 1e-9)
    offset = points - eye
    depth = offset @ z
    half = 0.9 * np.tan(FOV / 2) * depth
    return (
        (depth > 1e-3)
        & (np.abs(offset @ x) < WINDOW * half)
        & (np.abs(offset @ np.cross(z, x)) < half)
    )


def _clear(surfels: Surfels, eye: F64, points: F64) -> np.ndarray:
    """(N,) bool: no disk, from whichever side, stands between the eye and points (N, 3)."""
    offset = surfels.position - eye.astype(np.float32)
    plane = (offset * surfels.normal).sum(axis=1)
    free = np.empty(len(points), bool)
    for i, point in enumerate(points):
        way = (point - eye).astype(np.float32)
        slope = surfels.normal @ way
        along = plane / np.where(slope == 0, np.inf, slope)
        near = np.flatnonzero((along > 0.02) & (along < 0.98))
        miss = np.linalg.norm(along[near, None] * way - offset[near], axis=1)
        free[i] = not (miss < surfels.radius[near]).any()
    return free
