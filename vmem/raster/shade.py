"""From an index map to depth and cosine: one look-up a pixel, shared by all engines."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Int32
from numba import njit

from vmem.cameras import Camera
from vmem.kernels.parallel import read_only, run_sliced, thread_count
from vmem.types import SurfelBuffers, Surfels

PIXELS_A_THREAD = 65_536
"""Below this a second thread costs more than it saves."""


def shade(index: Int32[np.ndarray, "H W"], surfels: Surfels, camera: Camera) -> SurfelBuffers:
    """Depth and cosine on the planes of the disks that ``index`` names, exact per pixel."""
    h, _ = index.shape
    depth = np.empty(index.shape, np.float32)
    cosine = np.empty(index.shape, np.float32)
    intrinsics = camera.K[[0, 1, 0, 1], [0, 1, 2, 2]]
    rotation, eye = np.ascontiguousarray(camera.c2w[:3, :3]), np.ascontiguousarray(camera.position)

    position, normal = read_only(surfels.position, surfels.normal)

    def rows(part: int, start: int, stop: int) -> None:
        _shade_rows(
            index[start:stop],
            start,
            position,
            normal,
            rotation,
            eye,
            intrinsics,
            depth[start:stop],
            cosine[start:stop],
        )

    run_sliced(rows, h, max(1, min(thread_count(), index.size // PIXELS_A_THREAD)))
    return SurfelBuffers(index, depth, cosine)


@njit(cache=True, nogil=True)
def _shade_rows(index, first_row, position, normal, rotation, eye, intrinsics, depth, cosine):
    fx, fy, cx, cy = intrinsics
    per_x, per_y = 1 / fx, 1 / fy
    known, plane, nx, ny, nz = -1, 0.0, 0.0, 0.0, 0.0
    for row in range(index.shape[0]):
        y = (first_row + row + 0.5 - cy) * per_y
        for column in range(index.shape[1]):
            i = index[row, column]
            if i < 0:
                depth[row, column] = 0
                cosine[row, column] = 0
                continue
            if i != known:  # neighbours mostly show the same disk
                known, plane, nx, ny, nz = i, 0.0, 0.0, 0.0, 0.0
                for k in range(3):
                    n = np.float64(normal[i, k])
                    plane += n * (position[i, k] - eye[k])
                    nx += n * rotation[k, 0]
                    ny += n * rotation[k, 1]
                    nz += n * rotation[k, 2]
            x = (column + 0.5 - cx) * per_x
            slope = nx * x + ny * y + nz
            depth[row, column] = plane / slope
            cosine[row, column] = -slope / math.sqrt(x * x + y * y + 1.0)
