"""The CPU engine: exact disks by a centred conic, a private depth buffer a thread.

With d = (du, dv) the pixel's offset from the disk centre's projection, inverse depth on the disk's
plane is linear, ``w = w0 + wu du + wv dv``, and the pixel's ray meets the disk where
``A du^2 + 2 B du dv + C dv^2 <= r^2 w^2``. Centring keeps this stable in float32 and needs no
division a pixel. Private buffers need no atomics and make the result independent of timing.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vmem.cameras import Camera
from vmem.parallel import run_sliced, thread_count
from vmem.surfels import Surfels

SURFELS_A_THREAD = 4096
"""Below this a second thread costs more than it saves."""


def index_map(surfels: Surfels, camera: Camera, near: float) -> NDArray[np.int32]:
    """(H, W) i32 index of the nearest front-facing disk a pixel's ray meets, -1 where none."""
    h, w = camera.hw
    n = len(surfels)
    parts = max(1, min(thread_count(), n // SURFELS_A_THREAD))
    inverse_depth = np.zeros((parts, h, w), np.float32)
    index = np.full((parts, h, w), -1, np.int32)
    w2c = camera.w2c.astype(np.float32)
    intrinsics = camera.K[[0, 1, 0, 1], [0, 1, 2, 2]].astype(np.float32)

    def draw(part: int, start: int, stop: int) -> None:
        _draw_disks(
            surfels.position[start:stop],
            surfels.normal[start:stop],
            surfels.radius[start:stop],
            np.int32(start),
            w2c,
            intrinsics,
            np.float32(near),
            inverse_depth[part],
            index[part],
        )

    run_sliced(draw, n, parts)
    nearest, best = inverse_depth[0], index[0]
    for part in range(1, parts):
        # Slices are in index order: on equal depth the earlier slice keeps the pixel.
        nearer = inverse_depth[part] > nearest
        nearest[nearer] = inverse_depth[part][nearer]
        best[nearer] = index[part][nearer]
    return best


@njit(cache=True, nogil=True)
def _extent(centre, reach, depth_low, depth_high):
    """Bounds of x / z over ``centre +- reach`` with z in [depth_low, depth_high]."""
    low, high = centre - reach, centre + reach
    first = low / depth_low if low < 0 else low / depth_high
    last = high / depth_low if high > 0 else high / depth_high
    return first, last


@njit(cache=True, nogil=True, fastmath={"contract", "arcp", "nsz"})
def _draw_disks(position, normal, radius, first_index, w2c, intrinsics, near, inverse_depth, index):
    h, w = index.shape
    fx, fy, cx, cy = intrinsics
    half, one, zero = np.float32(0.5), np.float32(1), np.float32(0)
    for i in range(position.shape[0]):
        X, Y, Z = position[i, 0], position[i, 1], position[i, 2]
        r = radius[i]
        pz = w2c[2, 0] * X + w2c[2, 1] * Y + w2c[2, 2] * Z + w2c[2, 3]
        if pz + r <= near:
            continue
        px = w2c[0, 0] * X + w2c[0, 1] * Y + w2c[0, 2] * Z + w2c[0, 3]
        py = w2c[1, 0] * X + w2c[1, 1] * Y + w2c[1, 2] * Z + w2c[1, 3]
        a, b, c = normal[i, 0], normal[i, 1], normal[i, 2]
        nx = w2c[0, 0] * a + w2c[0, 1] * b + w2c[0, 2] * c
        ny = w2c[1, 0] * a + w2c[1, 1] * b + w2c[1, 2] * c
        nz = w2c[2, 0] * a + w2c[2, 1] * b + w2c[2, 2] * c
        plane = nx * px + ny * py + nz * pz
        if plane >= zero:  # seen from behind, or edge-on
            continue

        # Bounding box: a disk reaches r * sqrt(1 - n_k^2) along axis k.
        reach_z = r * math.sqrt(max(zero, one - nz * nz))
        depth_low, depth_high = max(pz - reach_z, near), pz + reach_z
        if depth_high <= near:
            continue
        x0, x1 = _extent(px, r * math.sqrt(max(zero, one - nx * nx)), depth_low, depth_high)
        y0, y1 = _extent(py, r * math.sqrt(max(zero, one - ny * ny)), depth_low, depth_high)
        u0, u1 = x0 * fx + cx - half, x1 * fx + cx - half
        v0, v1 = y0 * fy + cy - half, y1 * fy + cy - half
        if u1 < zero or v1 < zero or u0 > w - 1 or v0 > h - 1:
            continue
        column0, column1 = max(0, math.ceil(u0)), min(w - 1, math.floor(u1))
        row0, row1 = max(0, math.ceil(v0)), min(h - 1, math.floor(v1))

        # Where the centre is behind the near plane its projection is far off or undefined: expand
        # about the principal point instead, where the same quadratic holds without centring.
        if pz > near:
            ox, oy = px / pz, py / pz
        else:
            ox, oy = zero, zero
        wu, wv = nx / (plane * fx), ny / (plane * fy)
        w0 = (nx * ox + ny * oy + nz) / plane
        # |ray - w p|^2 <= r^2 w^2 with ray = (ox + du/fx, oy + dv/fy, 1)
        ex, ey, ez = ox - w0 * px, oy - w0 * py, one - w0 * pz
        ux, uy, uz = one / fx - wu * px, -wu * py, -wu * pz
        vx, vy, vz = -wv * px, one / fy - wv * py, -wv * pz
        A = ux * ux + uy * uy + uz * uz
        B = ux * vx + uy * vy + uz * vz
        C = vx * vx + vy * vy + vz * vz
        D = ux * ex + uy * ey + uz * ez
        E = vx * ex + vy * ey + vz * ez
        F = ex * ex + ey * ey + ez * ez
        rr = r * r
        limit = one / near
        centre_u, centre_v = ox * fx + cx - half, oy * fy + cy - half
        for row in range(row0, row1 + 1):
            dv = np.float32(row) - centre_v
            w_row = w0 + wv * dv
            quadratic_row = (C * dv + E + E) * dv + F
            linear_row = B * dv + D
            for column in range(column0, column1 + 1):
                du = np.float32(column) - centre_u
                inverse = w_row + wu * du
                distance = (A * du + linear_row + linear_row) * du + quadratic_row
                if (
                    distance <= rr * inverse * inverse
                    and inverse > inverse_depth[row, column]
                    and inverse < limit
                ):
                    inverse_depth[row, column] = inverse
                    index[row, column] = first_index + i
