"""What a pointer means: the surfel under a ray, the view under a pixel, the
frustum that was clicked."""

from __future__ import annotations

import numpy as np
import viser
import viser.transforms as vtf

from vmem.arrays import F64
from vmem.memory import MemorySnapshot
from vmem.types import Surfels

REACH = 0.06
"""How far from a view's camera the pointer may be, as a share of the window's height."""

ON_LINE = 0.004
"""Radians between a ray and a line that is still hit: some three pixels of a window."""


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


def pick_frustum(poses: F64, sizes: F64, origin: F64, direction: F64) -> int:
    """Index of the frustum that a ray (3,), (3,) was meant for; the ray is known to meet one.

    poses (V, 4, 4); sizes (V, 3) half width, half height and depth. The nearest whose picture or
    one of whose lines is within ON_LINE of the ray; if there is none, that with the nearest line.
    """
    rotation, apex = poses[:, :3, :3], poses[:, :3, 3]
    start = np.einsum("vji,vj->vi", rotation, origin - apex)
    ray = np.einsum("vji,j->vi", rotation, direction)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (sizes[:, 2] - start[:, 2]) / ray[:, 2]
        at = np.abs(start[:, :2] + t[:, None] * ray[:, :2])
    on_picture = (t > 0) & (at <= sizes[:, :2]).all(axis=1)
    angle, distance = _lines_from_ray(sizes, start, ray)
    line = angle.argmin(axis=1)
    rows = np.arange(len(poses))
    angle, distance = angle[rows, line], distance[rows, line]
    reached = np.where(angle <= ON_LINE, distance, np.inf)
    reached = np.minimum(reached, np.where(on_picture, t, np.inf))
    return int(np.argmin(reached if np.isfinite(reached).any() else angle))


def _lines_from_ray(sizes: F64, start: F64, ray: F64) -> tuple[F64, F64]:
    """Angle in radians (V, N) between each ray and N points on each frustum's lines, and the
    points' distance (V, N); rays (V, 3), (V, 3) in the frustums' own frames."""
    corners = np.array([(-1, -1, 1), (1, -1, 1), (1, 1, 1), (-1, 1, 1)], float)
    ends = [*zip(corners, np.roll(corners, -1, axis=0), strict=True)]
    ends += [(np.zeros(3), corner) for corner in corners]
    ends.append((np.array([0, -1.2, 1]), np.array([0, -1.0, 1])))
    shares = np.linspace(0, 1, 65)[:, None]
    points = np.concatenate([(1 - shares) * a + shares * b for a, b in ends])
    offset = points * sizes[:, None] - start[:, None]
    along = np.einsum("vni,vi->vn", offset, ray)
    across = np.linalg.norm(offset - along[..., None] * ray[:, None], axis=2)
    return np.arctan2(across, along), np.linalg.norm(offset, axis=2)
