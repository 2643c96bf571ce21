"""Drawing disks as published, with compiled loops: ``render.render_reference`` bit for bit."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from vmem.published.arithmetic import length
from vmem.published.render import (
    COSINES,
    EDGE_EPS,
    SINES,
    QueryCamera,
    disk_frame,
    facing,
    in_sight,
    to_camera,
)
from vmem.published.surfels import Disks
from vmem.types import SurfelBuffers


def render_polygons(disks: Disks, camera: QueryCamera) -> SurfelBuffers:
    """What ``render_reference`` gives, thousands of times faster."""
    seen = in_sight(disks, camera)
    normal = disks.normal[seen].astype(np.float64)
    norm = np.asarray(length(normal))
    proper = norm >= 1e-12
    seen, normal = seen[proper], normal[proper] / norm[proper, None]
    towards = np.asarray(facing(disks.position[seen], normal, camera))
    ahead = towards >= 0
    seen, normal, towards = seen[ahead], normal[ahead], towards[ahead]
    position = disks.position[seen].astype(np.float64)

    first, second = disk_frame(normal)
    circle = COSINES[:, None] * first[:, None] + SINES[:, None] * second[:, None]
    radius = disks.radius[seen].astype(np.float64)[:, None, None]
    vertices = to_camera(position[:, None] + radius * circle, camera)
    z = np.ascontiguousarray(vertices[..., 2])
    mean_depth = np.mean(z, axis=1)
    for i in np.flatnonzero((z <= 0).any(axis=1)):
        kept = z[i][z[i] > 0]
        mean_depth[i] = np.mean(kept) if len(kept) else np.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        u = camera.fx * vertices[..., 0] / z + camera.cx
        v = camera.fy * vertices[..., 1] / z + camera.cy

    index = np.full((camera.height, camera.width), -1, np.int32)
    depth = np.full(index.shape, np.inf, np.float32)
    cosine = np.zeros(index.shape, np.float32)
    _fill(seen, u, v, z, mean_depth, towards, EDGE_EPS, index, depth, cosine)
    depth[np.isinf(depth)] = 0
    return SurfelBuffers(index, depth, cosine)


@njit(cache=True, nogil=True)
def _fill(seen, u_all, v_all, z_all, mean_depth, towards, edge_eps, index, depth, cosine):
    h, w = index.shape
    u, v = np.empty(u_all.shape[1]), np.empty(u_all.shape[1])
    for d in range(len(seen)):
        n = 0
        for k in range(u_all.shape[1]):
            if z_all[d, k] > 0:
                u[n], v[n] = u_all[d, k], v_all[d, k]
                n += 1
        if n < 3:
            continue
        low_u, high_u, low_v, high_v = u[0], u[0], v[0], v[0]
        for k in range(1, n):
            low_u, high_u = min(low_u, u[k]), max(high_u, u[k])
            low_v, high_v = min(low_v, v[k]), max(high_v, v[k])
        # Clipped before they become integers: a vertex close to the camera's plane is far away.
        x0, x1 = math.floor(min(max(low_u, 0.0), w + 1.0)), math.ceil(max(min(high_u, w - 1.0), -1))
        y0, y1 = math.floor(min(max(low_v, 0.0), h + 1.0)), math.ceil(max(min(high_v, h - 1.0), -1))
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                if not mean_depth[d] < depth[y, x]:
                    continue
                inside = False
                j = n - 1
                for i in range(n):
                    if (v[i] > y) != (v[j] > y) and x < (u[j] - u[i]) * (y - v[i]) / (
                        v[j] - v[i] + edge_eps
                    ) + u[i]:
                        inside = not inside
                    j = i
                if inside:
                    depth[y, x] = mean_depth[d]
                    index[y, x] = seen[d]
                    cosine[y, x] = towards[d]
