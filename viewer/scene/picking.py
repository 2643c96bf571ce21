"""What a pointer means: the surfel under a ray, the view under a pixel."""

from __future__ import annotations

import numpy as np
import viser
import viser.transforms as vtf

from vmem.arrays import F64
from vmem.memory import MemorySnapshot
from vmem.types import Surfels

REACH = 0.06
"""How far from a view's camera the pointer may be, as a share of the window's height."""


def pick_surfel(surfels: Surfels, origin: F64, direction: F64) -> int | None:
    """Index of the nearest disk that a ray (3,), (3,) meets, from either side; None if none."""
    offset = surfels.position - origin.astype(np.float32)
    slope = surfels.normal @ direction.astype(np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.sum(surfels.normal * offset, axis=1) / slope
        miss = np.linalg.norm(t[:, None] * direction - offset, axis=1)
    hit = np.flatnonzero(np.isfinite(t) & (t > 0) & (miss <= surfels.radius))
    return int(hit[np.argmin(t[hit])]) if len(hit) else None


def pointer_ray(camera: viser.CameraHandle, pointer: tuple[float, float]) -> tuple[F64, F64]:
    """Origin (3,) and unit direction (3,), in the world, of the ray through ``pointer`` (x, y in
    [0, 1] of the window)."""
    half = np.tan(camera.fov / 2)
    x, y = (np.array(pointer) - 0.5) * 2 * half * [camera.aspect, 1.0]
    direction = vtf.SO3(camera.wxyz).as_matrix() @ [x, y, 1.0]
    return np.array(camera.position), direction / np.linalg.norm(direction)


def nearest_view(
    memory: MemorySnapshot, camera: viser.CameraHandle, pointer: tuple[float, float]
) -> int | None:
    """The view whose camera is drawn nearest to ``pointer`` (x, y in [0, 1] of the window).

    None if no view's camera is in front of the browser's and within REACH of the pointer.
    """
    rotation = vtf.SO3(camera.wxyz).as_matrix()
    stops = np.array([view.camera.position for view in memory.views])
    seen = (stops - camera.position) @ rotation
    front = seen[:, 2] > 1e-3
    with np.errstate(divide="ignore", invalid="ignore"):
        xy = seen[:, :2] / seen[:, 2:] / (2 * np.tan(camera.fov / 2))
    at = (np.array(pointer) - 0.5) * [camera.aspect, 1.0]
    distance = np.where(front, np.linalg.norm(xy - at, axis=1), np.inf)
    best = int(np.argmin(distance))
    return best if distance[best] < REACH else None
