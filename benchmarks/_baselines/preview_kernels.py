"""The preview's kernels as they were before its speed was worked on: what ratios are against.

Only measurements read this; it is not kept in step with the product.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vmem.arrays import F32, F64
from vmem.cameras import Camera
from vmem.generation.preview.texture import LANCZOS_RADIUS, Texture
from vmem.generation.preview.warp import Warp, index_homography, tear_ratio
from vmem.kernels.parallel import read_only
from vmem.types import Provenance

NEAR = 0.02
BILLBOARD_DENSITY = 0.25
SURFACE_TOLERANCE = 0.06
AGE_FADE = 4.0
OBSERVED_BONUS = 4.0
DOMINANCE = 2.0
_PHASES = 64
_OBSERVED = int(Provenance.OBSERVED)


def warp_depth(depth: F32, source: Camera, target: Camera) -> Warp:
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


def _lanczos_table() -> F32:
    """(phases + 1, 2 * radius) f32 weights that sum to 1, for samples phase / phases past a pixel.

    lanczos(x) = sinc(x) sinc(x / radius) for |x| < radius, 0 beyond.
    """
    phase = np.arange(_PHASES + 1)[:, None] / _PHASES
    tap = np.arange(2 * LANCZOS_RADIUS)[None] - (LANCZOS_RADIUS - 1)
    x = tap - phase
    table = np.sinc(x) * np.sinc(x / LANCZOS_RADIUS) * (np.abs(x) < LANCZOS_RADIUS)
    return (table / table.sum(axis=1, keepdims=True)).astype(np.float32)


_LANCZOS = _lanczos_table()


def accumulate(
    total: F32,
    weight: F32,
    texture: Texture,
    uv: F32,
) -> None:
    """Add ``weight`` times ``texture`` sampled at ``uv`` to ``total`` in place.

    Kernel taps on another surface than the pixel nearest to ``uv`` do not count; beyond the image
    the samples are mirrored.
    """
    _accumulate(
        total,
        weight,
        texture.rgb,
        texture.depth,
        texture.smooth,
        uv,
        texture.max_ratio,
        _LANCZOS,
    )


@njit(cache=True, nogil=True)
def _mirrored(index: int, size: int) -> int:
    """The index within 0 to size - 1, mirrored about the border pixel where it is beyond."""
    if index < 0:
        index = -index
    if index >= size:
        index = 2 * (size - 1) - index
    return min(max(index, 0), size - 1)


@njit(cache=True, nogil=True)
def _accumulate(
    total: F32,
    weight: F32,
    rgb: NDArray[np.uint8],
    depth: F32,
    smooth: NDArray[np.bool_],
    uv: F32,
    max_ratio: float,
    table: NDArray[np.float32],
) -> None:
    """total += weight * sum_ab table[a] table[b] rgb[a, b] / norm, pixel by pixel."""
    h, w = depth.shape
    taps = table.shape[1]
    before = taps // 2 - 1
    for i in range(total.shape[0]):
        for j in range(total.shape[1]):
            share = weight[i, j]
            if share <= 0:
                continue
            u, v = uv[i, j, 0], uv[i, j, 1]
            col, row = math.floor(u), math.floor(v)
            weights_u = table[int((u - col) * _PHASES + 0.5)]
            weights_v = table[int((v - row) * _PHASES + 0.5)]
            nearest_row = _mirrored(math.floor(v + 0.5), h)
            nearest_col = _mirrored(math.floor(u + 0.5), w)
            red, green, blue = np.float32(0), np.float32(0), np.float32(0)
            norm = np.float32(1)
            # On one surface all taps count and their weights sum to 1: no depths are read.
            inside = before <= row < h - before - 1 and before <= col < w - before - 1
            if inside and smooth[nearest_row, nearest_col]:
                for a in range(taps):
                    y = row + a - before
                    for b in range(taps):
                        x = col + b - before
                        tap = weights_v[a] * weights_u[b]
                        red += tap * rgb[y, x, 0]
                        green += tap * rgb[y, x, 1]
                        blue += tap * rgb[y, x, 2]
            else:
                norm = np.float32(0)
                centre = depth[nearest_row, nearest_col]
                low, high = centre / max_ratio, centre * max_ratio
                for a in range(taps):
                    y = _mirrored(row + a - before, h)
                    for b in range(taps):
                        x = _mirrored(col + b - before, w)
                        if low <= depth[y, x] <= high:
                            tap = weights_v[a] * weights_u[b]
                            red += tap * rgb[y, x, 0]
                            green += tap * rgb[y, x, 1]
                            blue += tap * rgb[y, x, 2]
                            norm += tap
            if norm > 0.5:
                total[i, j, 0] += share * red / norm
                total[i, j, 1] += share * green / norm
                total[i, j, 2] += share * blue / norm
            else:
                # Dividing by what little is left of the kernel would amplify its negative lobes.
                for k in range(3):
                    total[i, j, k] += share * rgb[nearest_row, nearest_col, k]


@njit(cache=True, nogil=True)
def weigh(
    depth: F32,
    weight: F32,
    age: F32,
    provenance: NDArray[np.uint8],
    out_depth: F32,
    out_provenance: NDArray[np.uint8],
    out_age: F32,
    out_winner: NDArray[np.int64],
) -> None:
    """Turn densities in ``weight`` (n, H, W) into blending weights that sum to 1, in place.

    ``out_winner`` gets the index of the source of the largest weight, and keeps its value where no
    source shows anything. For the sources k on the nearest surface, with density d, age a:

        share_k = d_k AGE_FADE^-a_k (OBSERVED_BONUS if observed)
        weight_k = share_k^DOMINANCE / sum_j share_j^DOMINANCE
    """
    n, h, w = depth.shape
    for i in range(h):
        for j in range(w):
            nearest = np.inf
            for k in range(n):
                if 0 < depth[k, i, j] < nearest:
                    nearest = depth[k, i, j]
            if nearest == np.inf:
                continue
            best, winner = 0.0, -1
            for k in range(n):
                share = 0.0
                if 0 < depth[k, i, j] <= nearest * (1 + SURFACE_TOLERANCE):
                    share = max(weight[k, i, j], 1e-6) * AGE_FADE ** -min(age[k, i, j], 8.0)
                    if provenance[k, i, j] == _OBSERVED:
                        share *= OBSERVED_BONUS
                weight[k, i, j] = share
                if share > best:
                    best, winner = share, k
            total = 0.0
            for k in range(n):
                share = (weight[k, i, j] / best) ** DOMINANCE
                # Sources below 2 % of the best are not sampled at all.
                share = share if share > 0.02 else 0.0
                weight[k, i, j] = share
                total += share
            surface = 0.0
            for k in range(n):
                weight[k, i, j] /= total
                surface += weight[k, i, j] * depth[k, i, j]
            out_depth[i, j] = surface
            out_provenance[i, j] = provenance[winner, i, j]
            out_age[i, j] = age[winner, i, j] + 1
            out_winner[i, j] = winner
