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
from numpy.typing import NDArray

from vmem.arrays import F32, F64
from vmem.cameras import Camera
from vmem.kernels.parallel import read_only
from vmem.kernels.vectors import FAST, INDEX

NEAR = 0.02
"""Distance from the target camera, in scene units, below which geometry is not drawn."""
GRAZING_SLOPE = 25.0
"""Tangent of the incidence angle beyond which neighbouring pixels are not one surface."""
MAX_TEAR = 1.25
"""Depth ratio of neighbouring pixels that is a discontinuity at any resolution."""
BILLBOARD_DENSITY = 0.25
"""Factor on the density of torn quarters, which are drawn facing the source camera."""
_SLACK = 1e-4
"""Share of a triangle beyond its edges that is drawn too, so that no crack opens between two."""
_X, _Y, _DEPTH, _INVERSE, _SOURCE = (INDEX(k) for k in range(5))
"""Rows of a projected row of pixels, see `_project_row`."""


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
    slack = _SLACK
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
    # Cell (i, j) has its corners at pixels (i, j), (i, j+1), (i+1, j), (i+1, j+1), numbered so.
    # Cells start one pixel outside, so that border pixels are drawn to their outer edge.
    lines = np.empty((2, 5, w), np.float32)
    box = np.empty((4, w), np.int32)
    whole = np.zeros(w + 1, np.bool_)  # of cells -1 to w - 1
    corners = np.empty((4, 5))
    for i in range(-1, h):
        if i + 1 < h:
            _project_row(depth[i + 1], i + 1, linear, offset, lines[(i + 1) % 2])
        if 0 <= i < h - 1:
            upper, lower = lines[i % 2], lines[(i + 1) % 2]
            _find_whole_cells(upper, lower, tear, whole[1:w])
            _bound_cells(upper, lower, out_depth.shape, box)
            _draw_whole_cells(i, upper, lower, whole[1:w], box, out_depth, out_uv, out_density)
        else:
            whole[:] = False
        for j in range(-1, w):
            if whole[j + 1]:
                continue
            for k in range(4):
                row, col = i + k // 2, j + k % 2
                if not (0 <= row < h and 0 <= col < w) or lines[row % 2, _DEPTH, col] < 0:
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


# Whole cells, nearly all of a mesh, are drawn row by row: what can be said of a row in single
# precision without a branch is, which compilers turn into vector instructions.


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _project_row(depth: F32, row: int, linear: F64, offset: F64, out: F32) -> None:
    """One row of pixels in the target: ``out`` (5, w) of x, y, depth, 1 / depth, source depth.

    Depth is -1 where there is nothing to draw, source depth 0 where it is absent.
    """
    zero, one, near, largest = np.float32(0), np.float32(1), np.float32(NEAR), np.float32(3e38)
    x_u, y_u, z_u = np.float32(linear[0, 0]), np.float32(linear[1, 0]), np.float32(linear[2, 0])
    x_1 = np.float32(linear[0, 1] * row + linear[0, 2])
    y_1 = np.float32(linear[1, 1] * row + linear[1, 2])
    z_1 = np.float32(linear[2, 1] * row + linear[2, 2])
    x_t, y_t, z_t = np.float32(offset[0]), np.float32(offset[1]), np.float32(offset[2])
    for j in range(INDEX(len(depth))):
        u = np.float32(np.int32(j))
        z = depth[j]
        z = z if (z > zero) & (z < largest) else zero
        q = z * (z_u * u + z_1) + z_t
        drawn = (z > zero) & (q >= near)
        inverse = one / (q if drawn else one)
        out[_X, j] = (z * (x_u * u + x_1) + x_t) * inverse
        out[_Y, j] = (z * (y_u * u + y_1) + y_t) * inverse
        out[_DEPTH, j] = q if drawn else -one
        out[_INVERSE, j] = inverse
        out[_SOURCE, j] = z


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _find_whole_cells(upper: F32, lower: F32, tear: float, out: NDArray[np.bool_]) -> None:
    """Which cells between two rows are one surface."""
    ratio = np.float32(tear)
    for j in range(INDEX(len(out))):
        k = j + INDEX(1)
        a, b, c, d = upper[_SOURCE, j], upper[_SOURCE, k], lower[_SOURCE, j], lower[_SOURCE, k]
        out[j] = max(max(a, b), max(c, d)) <= min(min(a, b), min(c, d)) * ratio


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _bound_cells(upper: F32, lower: F32, hw: tuple[int, int], out: NDArray[np.int32]) -> None:
    """Target pixels that each cell between two rows may cover.

    Rows of ``out``: first column, column behind the last, first row, row behind the last.
    """
    zero, one, slack = np.float32(0), np.float32(1), np.float32(_SLACK)
    for axis in range(INDEX(2)):
        size = np.float32(hw[1] if axis == _X else hw[0])
        first, behind = INDEX(2) * axis, INDEX(2) * axis + INDEX(1)
        for j in range(INDEX(upper.shape[1] - 1)):
            k = j + INDEX(1)
            a, b, c, d = upper[axis, j], upper[axis, k], lower[axis, j], lower[axis, k]
            low = min(min(a, b), min(c, d)) - slack
            high = max(max(a, b), max(c, d)) + slack
            out[first, j] = np.int32(np.ceil(min(max(low, zero), size)))
            out[behind, j] = np.int32(np.floor(max(min(high, size - one), -one)) + one)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _draw_whole_cells(
    row: int,
    upper: F32,
    lower: F32,
    whole: NDArray[np.bool_],
    box: NDArray[np.int32],
    out_depth: F32,
    out_uv: F32,
    out_density: F32,
) -> None:
    """Z-buffer both triangles of every whole cell of a row: what `_draw_triangle` does with the
    corners 0, 1, 2 and 3, 2, 1, without a division for pixels that are not drawn."""
    zero, one, smallest = np.float32(0), np.float32(1), np.float32(1e-9)
    v = np.float32(row)
    for j in range(INDEX(len(whole))):
        left, right, top, bottom = box[0, j], box[1, j], box[2, j], box[3, j]
        if not whole[j] or left >= right or top >= bottom:
            continue
        k = j + INDEX(1)
        x0, x1, x2, x3 = upper[_X, j], upper[_X, k], lower[_X, j], lower[_X, k]
        y0, y1, y2, y3 = upper[_Y, j], upper[_Y, k], lower[_Y, j], lower[_Y, k]
        if upper[_DEPTH, k] < zero or lower[_DEPTH, j] < zero:
            continue  # corners of both triangles
        area_a = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        area_b = (x2 - x3) * (y1 - y3) - (x1 - x3) * (y2 - y3)
        draw_a = (area_a > smallest) & (upper[_DEPTH, j] >= zero)
        draw_b = (area_b > smallest) & (lower[_DEPTH, k] >= zero)
        i0, i1, i2, i3 = (
            upper[_INVERSE, j],
            upper[_INVERSE, k],
            lower[_INVERSE, j],
            lower[_INVERSE, k],
        )
        least_a, least_b = -np.float32(_SLACK) * area_a, -np.float32(_SLACK) * area_b
        u = np.float32(np.int32(j))
        for y in range(INDEX(top), INDEX(bottom)):
            dy0, dy3 = np.float32(np.int32(y)) - y0, np.float32(np.int32(y)) - y3
            for x in range(INDEX(left), INDEX(right)):
                dx0, dx3 = np.float32(np.int32(x)) - x0, np.float32(np.int32(x)) - x3
                # Barycentric weights times the area, and from them, perspective-correct,
                #   z = area / sum e_k / z_k,   u = z / area sum e_k / z_k u_k,
                # with u_k one more at corners 1 and 3, v_k at 2 and 3.
                e1 = dx0 * (y2 - y0) - (x2 - x0) * dy0
                e2 = (x1 - x0) * dy0 - dx0 * (y1 - y0)
                e0 = area_a - e1 - e2
                if draw_a and min(min(e0, e1), e2) >= least_a:
                    p1, p2, area = e1 * i1, e2 * i2, area_a
                    inverse = one / (e0 * i0 + p1 + p2)
                    right_share, lower_share = p1 * inverse, p2 * inverse
                else:
                    e2 = dx3 * (y1 - y3) - (x1 - x3) * dy3
                    e1 = (x2 - x3) * dy3 - dx3 * (y2 - y3)
                    e3 = area_b - e1 - e2
                    if not draw_b or min(min(e3, e1), e2) < least_b:
                        continue
                    p1, p2, area = e1 * i1, e2 * i2, area_b
                    inverse = one / (e3 * i3 + p1 + p2)
                    right_share, lower_share = one - p2 * inverse, one - p1 * inverse
                depth = area * inverse
                before = out_depth[y, x]
                if before <= zero or depth < before:
                    out_depth[y, x] = depth
                    out_uv[y, x, 0] = u + right_share
                    out_uv[y, x, 1] = v + lower_share
                    out_density[y, x] = min(one, one / area)


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
