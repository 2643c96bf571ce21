"""Forward warping: a view's depth map as a triangle mesh, z-buffered into another camera.

Every source pixel is a vertex; the four pixels of a cell span two triangles. A cell across a depth
discontinuity is torn: each of its pixels keeps its own quarter of the cell, at its own depth, so
that surfaces end halfway between two pixels and are not joined by a stretched triangle. Triangles
seen from behind are dropped. The rasterizer writes source coordinates, depth and sampling density;
colours are sampled afterwards (`texture`).

Source: depth-image-based rendering by meshes (Mark, McMillan & Bishop, "Post-rendering 3D
warping", I3D 1997).

Notation: ``uv`` are pixel *indices* (column, row), integers at pixel centres. A source pixel
(u, v) of depth z lies in the target at the homogeneous index q = z M (u, v, 1) + m, see
`index_homography`; its target index is q[:2] / q[2] and its target depth q[2].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64
from numba import njit

from vmem.arrays import F32, F64
from vmem.cameras import Camera
from vmem.kernels.parallel import read_only

NEAR = 0.02
"""Distance from the target camera, in scene units, below which geometry is not drawn."""
GRAZING_SLOPE = 25.0
"""Tangent of the incidence angle beyond which neighbouring pixels are not one surface."""
MAX_TEAR = 1.25
"""Depth ratio of neighbouring pixels that is a discontinuity at any resolution."""
BILLBOARD_DENSITY = 0.25
"""Factor on the density of torn quarters, which are drawn facing the source camera."""


@dataclass(frozen=True, eq=False)
class Warp:
    """For every target pixel: which source pixel shows the same surface."""

    depth: Float32[np.ndarray, "H W"]
    """z-depth in the target camera, 0 where no surface of the source lands."""
    uv: Float32[np.ndarray, "H W 2"]
    """Source pixel indices."""
    density: Float32[np.ndarray, "H W"]
    """In [0, 1]: source samples per target pixel, 1 where the source is at least as fine
    as the target, smaller where it is magnified."""


def tear_ratio(camera: Camera) -> float:
    """Ratio of neighbouring depths above which a cell of this camera's depth map is torn.

    Along a plane at incidence angle a, neighbouring depths differ by the ratio exp(tan(a) / f),
    f the focal length in pixels: finer images tear at smaller ratios.
    """
    return min(MAX_TEAR, math.exp(GRAZING_SLOPE / float(camera.K[0, 0])))


def warp_depth(depth: Float32[np.ndarray, "h w"], source: Camera, target: Camera) -> Warp:
    """Rasterize the mesh of ``depth``, at the size of ``source``, into ``target`` of any size.

    Pixels whose depth is not finite or not positive are absent. Deterministic.
    """
    h, w = target.hw
    out_depth = np.zeros((h, w), np.float32)
    out_uv = np.zeros((h, w, 2), np.float32)
    out_density = np.zeros((h, w), np.float32)
    linear, offset = index_homography(source, target)
    _rasterize(
        read_only(np.asarray(depth, np.float32))[0],
        linear,
        offset,
        tear_ratio(source),
        out_depth,
        out_uv,
        out_density,
    )
    return Warp(out_depth, out_uv, out_density)


def index_homography(
    source: Camera, target: Camera
) -> tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, " 3"]]:
    """``M`` and ``m`` with ``q = z * M @ (u, v, 1) + m``.

    (u, v) is a source pixel index with depth z, ``q[:2] / q[2]`` the target index, ``q[2]`` the
    target depth.
    """
    # Source index -> ray -> target frame -> target index:
    #   q = K' (R z K^-1 (u, v, 1) + t), so M = K' R K^-1 and m = K' t,
    # with K and K' shifted by half a pixel, from pixel coordinates to indices.
    relative = target.w2c @ source.c2w
    to_index = np.array([[1.0, 0, -0.5], [0, 1.0, -0.5], [0, 0, 1.0]])
    K_source = to_index @ source.K
    K_target = to_index @ target.K
    linear = K_target @ relative[:3, :3] @ np.linalg.inv(K_source)
    return np.ascontiguousarray(linear), np.ascontiguousarray(K_target @ relative[:3, 3])


@njit(cache=True, nogil=True)
def _project(u: float, v: float, z: float, linear: F64, offset: F64) -> tuple[float, float, float]:
    """Target index and depth of a source point; depth -1 if it is nearer than NEAR or behind."""
    depth = z * (linear[2, 0] * u + linear[2, 1] * v + linear[2, 2]) + offset[2]
    if depth < NEAR:
        return 0.0, 0.0, -1.0
    x = (z * (linear[0, 0] * u + linear[0, 1] * v + linear[0, 2]) + offset[0]) / depth
    y = (z * (linear[1, 0] * u + linear[1, 1] * v + linear[1, 2]) + offset[1]) / depth
    return x, y, depth


@njit(cache=True, nogil=True)
def _draw_triangle(
    corners: F64,
    a: int,
    b: int,
    c: int,
    density_scale: float,
    out_depth: F32,
    out_uv: F32,
    out_density: F32,
) -> None:
    """Z-buffer one triangle; rows of ``corners`` are (x, y, depth, u, v)."""
    x0, y0, z0, u0, v0 = corners[a]
    x1, y1, z1, u1, v1 = corners[b]
    x2, y2, z2, u2, v2 = corners[c]
    if z0 < 0 or z1 < 0 or z2 < 0:
        return
    # Twice the signed area in target pixels. y points down: seen from behind it is negative.
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    if area <= 1e-9:
        return
    h, w = out_depth.shape
    slack = 1e-4
    left = max(0, math.ceil(min(x0, x1, x2) - slack))
    right = min(w - 1, math.floor(max(x0, x1, x2) + slack))
    top = max(0, math.ceil(min(y0, y1, y2) - slack))
    bottom = min(h - 1, math.floor(max(y0, y1, y2) + slack))
    if left > right or top > bottom:
        return
    inv_area = 1.0 / area
    # A triangle is half a source cell, its doubled area the target pixels a cell covers.
    i0, i1, i2 = 1.0 / z0, 1.0 / z1, 1.0 / z2
    density = min(1.0, inv_area) * density_scale
    for y in range(top, bottom + 1):
        for x in range(left, right + 1):
            # Barycentric weights on the screen, w0 + w1 + w2 = 1; all positive inside.
            w1 = ((x - x0) * (y2 - y0) - (x2 - x0) * (y - y0)) * inv_area
            w2 = ((x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)) * inv_area
            w0 = 1.0 - w1 - w2
            if w0 < -slack or w1 < -slack or w2 < -slack:
                continue
            # Perspective-correct: 1/z, u/z and v/z are affine on the screen, z, u, v are not.
            #   1/z = sum w_k / z_k,   u = z sum w_k u_k / z_k
            p0, p1, p2 = w0 * i0, w1 * i1, w2 * i2
            depth = 1.0 / (p0 + p1 + p2)
            before = out_depth[y, x]
            if before <= 0 or depth < before:
                out_depth[y, x] = depth
                out_uv[y, x, 0] = depth * (p0 * u0 + p1 * u1 + p2 * u2)
                out_uv[y, x, 1] = depth * (p0 * v0 + p1 * v1 + p2 * v2)
                out_density[y, x] = density


@njit(cache=True, nogil=True)
def _rasterize(
    depth: F32,
    linear: F64,
    offset: F64,
    tear: float,
    out_depth: F32,
    out_uv: F32,
    out_density: F32,
) -> None:
    """Z-buffer the mesh of ``depth`` (h, w) into the three maps (H, W), which start at 0."""
    h, w = depth.shape
    target_h, target_w = out_depth.shape
    # Project every pixel once: target index and depth, depth -1 where there is nothing to draw.
    screen = np.empty((h, w, 3))
    for i in range(h):
        for j in range(w):
            z = depth[i, j]
            x, y, q = 0.0, 0.0, -1.0
            if z > 0 and math.isfinite(z):
                x, y, q = _project(j, i, z, linear, offset)
            screen[i, j, 0] = x
            screen[i, j, 1] = y
            screen[i, j, 2] = q
    # Cell (i, j) has its corners at pixels (i, j), (i, j+1), (i+1, j), (i+1, j+1), numbered so.
    # Cells start one pixel outside, so that border pixels are drawn to their outer edge.
    corners = np.empty((4, 5))
    for i in range(-1, h):
        for j in range(-1, w):
            whole = 0 <= i < h - 1 and 0 <= j < w - 1
            if whole:
                z0, z1, z2, z3 = depth[i, j], depth[i, j + 1], depth[i + 1, j], depth[i + 1, j + 1]
                whole = max(z0, z1, z2, z3) <= min(z0, z1, z2, z3) * tear
            if whole:
                # Cells entirely beside the target image are skipped, on either axis.
                for axis in range(2):
                    a, b = screen[i, j, axis], screen[i, j + 1, axis]
                    c, d = screen[i + 1, j, axis], screen[i + 1, j + 1, axis]
                    size = target_h if axis else target_w
                    if max(a, b, c, d) < 0 or min(a, b, c, d) > size - 1:
                        whole = False
                if not whole:
                    continue
                for k in range(4):
                    row, col = i + k // 2, j + k % 2
                    corners[k, 0] = screen[row, col, 0]
                    corners[k, 1] = screen[row, col, 1]
                    corners[k, 2] = screen[row, col, 2]
                    corners[k, 3] = col
                    corners[k, 4] = row
                _draw_triangle(corners, 0, 1, 2, 1.0, out_depth, out_uv, out_density)
                _draw_triangle(corners, 3, 2, 1, 1.0, out_depth, out_uv, out_density)
                continue
            for k in range(4):
                row, col = i + k // 2, j + k % 2
                if not (0 <= row < h and 0 <= col < w) or screen[row, col, 2] < 0:
                    continue
                _draw_quarter(
                    depth[row, col],
                    row,
                    col,
                    i + 0.5,
                    j + 0.5,
                    linear,
                    offset,
                    corners,
                    out_depth,
                    out_uv,
                    out_density,
                )


@njit(cache=True, nogil=True)
def _draw_quarter(
    z: float,
    row: int,
    col: int,
    mid_row: float,
    mid_col: float,
    linear: F64,
    offset: F64,
    corners: F64,
    out_depth: F32,
    out_uv: F32,
    out_density: F32,
) -> None:
    """One pixel's share of a torn cell: the square between it and the cell's middle."""
    left, right = min(col, mid_col), max(col, mid_col)
    top, bottom = min(row, mid_row), max(row, mid_row)
    for k in range(4):
        u = right if k % 2 else left
        v = bottom if k // 2 else top
        x, y, q = _project(u, v, z, linear, offset)
        corners[k, 0] = x
        corners[k, 1] = y
        corners[k, 2] = q
        # All of the quarter has the colour of its pixel: beyond it another surface begins.
        corners[k, 3] = col
        corners[k, 4] = row
    # A quarter of a cell holds a quarter of a sample.
    scale = BILLBOARD_DENSITY / 4
    _draw_triangle(corners, 0, 1, 2, scale, out_depth, out_uv, out_density)
    _draw_triangle(corners, 3, 2, 1, scale, out_depth, out_uv, out_density)
