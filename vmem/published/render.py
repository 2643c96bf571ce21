"""Drawing disks as published: 16-gons at integer pixels, one mean depth a disk.

The baseline of the benchmarks: a Python loop over surfels, pixels and edges.
``render_fast.render_polygons`` gives the same bits.

Differs from ours (vmem.raster): a disk is drawn only if its centre is 0.1 to 1000 units away and
within 50 pixels of the image, and corners behind the camera are dropped. Of equal depths the lower
index wins in both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int

from vmem.published.arithmetic import dot, length
from vmem.published.surfels import Disks
from vmem.types import SurfelBuffers

VERTICES = 16
MARGIN = 50
"""Pixels beyond the border up to which the centre of a disk may lie."""
NEAR, FAR = 0.1, 1000.0
EDGE_EPS = 1e-15

_ANGLES = 2 * np.pi * np.arange(VERTICES) / VERTICES
COSINES, SINES = np.cos(_ANGLES), np.sin(_ANGLES)


@dataclass(frozen=True, eq=False)
class QueryCamera:
    """The camera from which memory is drawn."""

    c2w: Float[np.ndarray, "4 4"]
    """Pose with OpenCV axes, f32 or f64."""
    fx: float
    """Focal length along x, in pixels."""
    fy: float
    """Focal length along y, in pixels."""
    cx: float
    """Principal point along x, in pixels."""
    cy: float
    """Principal point along y, in pixels."""
    width: int
    """Pixels of the image."""
    height: int
    """Pixels of the image."""

    def world_to_camera(self) -> tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, " 3"]]:
        """Rotation and translation, inverted in the pose's own dtype."""
        rotation = np.linalg.inv(self.c2w[:3, :3])
        translation = -rotation @ self.c2w[:3, 3]
        return rotation.astype(np.float64), translation.astype(np.float64)


def to_camera(
    points: Float64[np.ndarray, "*batch 3"], camera: QueryCamera
) -> Float64[np.ndarray, "*batch 3"]:
    """Camera coordinates of world points; one order of sums everywhere."""
    R, t = camera.world_to_camera()
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    return np.stack([R[i, 0] * x + R[i, 1] * y + R[i, 2] * z + t[i] for i in range(3)], axis=-1)


def in_sight(disks: Disks, camera: QueryCamera) -> Int[np.ndarray, " n"]:
    """Indices of the disks whose centre is in front of the camera and near the image."""
    x, y, z = to_camera(disks.position.astype(np.float64), camera).T
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        u, v = camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy
    inside = (z > NEAR) & (z < FAR)
    inside &= (u >= -MARGIN) & (u < camera.width + MARGIN)
    inside &= (v >= -MARGIN) & (v < camera.height + MARGIN)
    return np.flatnonzero(inside)


def facing(
    position: Float32[np.ndarray, "*batch 3"],
    normal: Float64[np.ndarray, "*batch 3"],
    camera: QueryCamera,
) -> Float64[np.ndarray, "*batch"] | np.floating:
    """Cosine between unit normals and the way to positions from the camera; that way is worked out
    in the pose's own dtype. Of a single position it is a number."""
    away = position - camera.c2w[:3, 3]
    return dot(normal, away / np.asarray(length(away))[..., None])


def disk_frame(
    normal: Float64[np.ndarray, "*batch 3"],
) -> tuple[Float64[np.ndarray, "*batch 3"], Float64[np.ndarray, "*batch 3"]]:
    """Two unit vectors that span the disks with unit normals."""
    upright = np.abs(normal[..., 2:]) > 0.9
    up = np.where(upright, np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]))
    first = np.cross(normal, up)
    first = first / np.asarray(length(first))[..., None]
    second = np.cross(normal, first)
    return first, second / np.asarray(length(second))[..., None]


def render_reference(disks: Disks, camera: QueryCamera) -> SurfelBuffers:
    """Index (-1 for none), mean depth and cosine (0 for none) maps, per surfel and per pixel.

    Disks seen from the side to which their normals point are skipped; a vertex behind the camera is
    dropped; on equal depth the lower index keeps the pixel.
    """
    h, w = camera.height, camera.width
    index = np.full((h, w), -1, np.int32)
    depth = np.full((h, w), np.inf, np.float32)
    cosine = np.zeros((h, w), np.float32)
    for i in in_sight(disks, camera):
        position = disks.position[i].astype(np.float64)
        normal = disks.normal[i].astype(np.float64)
        norm = length(normal)
        if not norm >= 1e-12:
            continue
        normal = normal / norm
        towards = facing(disks.position[i], normal, camera)
        if not towards >= 0:
            continue
        first, second = disk_frame(normal)
        circle = COSINES[:, None] * first + SINES[:, None] * second
        vertices = to_camera(position + float(disks.radius[i]) * circle, camera)
        vertices = vertices[vertices[:, 2] > 0]
        if len(vertices) < 3:
            continue
        z = np.ascontiguousarray(vertices[:, 2])
        u = camera.fx * vertices[:, 0] / z + camera.cx
        v = camera.fy * vertices[:, 1] / z + camera.cy
        # Numbers, not rows of an array: indexing those took more than half of all time.
        polygon = list(zip(u, v, strict=True))
        mean_depth = float(np.mean(z))
        for y in range(max(0, math.floor(v.min())), min(h - 1, math.ceil(v.max())) + 1):
            for x in range(max(0, math.floor(u.min())), min(w - 1, math.ceil(u.max())) + 1):
                if inside_polygon(x, y, polygon) and mean_depth < depth[y, x]:
                    depth[y, x] = mean_depth
                    index[y, x] = i
                    cosine[y, x] = towards
    depth[np.isinf(depth)] = 0
    return SurfelBuffers(index, depth, cosine)


def inside_polygon(x: int, y: int, polygon: list[tuple[np.float64, np.float64]]) -> bool:
    """Even-odd test of a point against n corners."""
    inside = False
    j = len(polygon) - 1
    for i in range(len(polygon)):
        xi, yi = polygon[i]
        xj, yj = polygon[j]
        if (yi > y) != (yj > y) and x < (xj - xi) * (y - yi) / (yj - yi + EDGE_EPS) + xi:
            inside = not inside
        j = i
    return inside
