"""Sampling a view's colours at fractional pixels, without reaching across depth discontinuities.

A Lanczos kernel, which keeps detail when frames are warped again and again; its taps on another
surface than the sample do not count. Source: Duchon, "Lanczos filtering in one and two dimensions",
J. Appl. Meteorology 18, 1979.

Coordinates ``uv`` are pixel *indices* (column, row), integers at pixel centres.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8
from numba import njit
from numpy.typing import NDArray

from vmem.arrays import F32
from vmem.kernels.parallel import read_only
from vmem.kernels.vectors import FAST, INDEX

LANCZOS_RADIUS = 3
"""Source pixels that the kernel reaches to each side."""
_TAPS = 2 * LANCZOS_RADIUS
_LANES = 8
"""Columns that are weighed at once, the last two by nothing."""
_BEFORE = LANCZOS_RADIUS - 1
"""Taps before the pixel that a sample lies in."""
_PHASES = 64
"""Subpixel positions for which the kernel's weights are tabulated."""


def _lanczos_table() -> F32:
    """(phases + 1, lanes) f32 weights that sum to 1, for samples phase / phases past a pixel.

    lanczos(x) = sinc(x) sinc(x / radius) for |x| < radius, 0 beyond.
    """
    phase = np.arange(_PHASES + 1)[:, None] / _PHASES
    tap = np.arange(_TAPS)[None] - _BEFORE
    x = tap - phase
    table = np.sinc(x) * np.sinc(x / LANCZOS_RADIUS) * (np.abs(x) < LANCZOS_RADIUS)
    table /= table.sum(axis=1, keepdims=True)
    return np.pad(table, ((0, 0), (0, _LANES - _TAPS))).astype(np.float32)


_LANCZOS = _lanczos_table()


@dataclass(frozen=True, eq=False)
class Texture:
    """An image to sample without reaching across depth discontinuities."""

    rgb: UInt8[np.ndarray, "H W 3"]
    """Colours."""
    planes: UInt8[np.ndarray, "H 3 W+2"]
    """Row by row red, green and blue, each with room for the kernel's idle lanes."""
    depth: Float32[np.ndarray, "H W"]
    """z-depth."""
    smooth: Bool[np.ndarray, "H W"]
    """The whole kernel around the pixel lies on one surface."""
    max_ratio: float
    """Depth ratio up to which two taps of the kernel are on one surface."""


def make_texture(
    rgb: UInt8[np.ndarray, "h w 3"], depth: Float32[np.ndarray, "h w"], tear: float
) -> Texture:
    """Texture of an image with z-depth whose cells tear at ratio ``tear``."""
    # A surface may change by the tearing ratio at each of the pixels that the kernel reaches.
    max_ratio = tear**LANCZOS_RADIUS
    smooth = smooth_pixels(depth, LANCZOS_RADIUS, max_ratio)
    planes = np.zeros((len(rgb), 3, rgb.shape[1] + _LANES - _TAPS), np.uint8)
    for channel in range(3):
        planes[:, channel, : rgb.shape[1]] = rgb[..., channel]
    rgb, planes, depth = read_only(rgb, planes, depth)
    return Texture(rgb, planes, depth, smooth, max_ratio)


def smooth_pixels(
    depth: Float32[np.ndarray, "h w"], radius: int, max_ratio: float
) -> Bool[np.ndarray, "h w"]:
    """Where depths in the window of ``radius`` pixels differ by at most ``max_ratio``."""
    kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    return cv2.dilate(depth, kernel) <= cv2.erode(depth, kernel) * max_ratio


def accumulate(
    total: Float32[np.ndarray, "h w 3"],
    weight: Float32[np.ndarray, "h w"],
    texture: Texture,
    uv: Float32[np.ndarray, "h w 2"],
) -> None:
    """Add ``weight`` times ``texture`` sampled at ``uv`` to ``total`` in place.

    Kernel taps on another surface than the pixel nearest to ``uv`` do not count; beyond the image
    the samples are mirrored.
    """
    _accumulate(
        total,
        weight,
        texture.planes,
        texture.depth,
        texture.smooth,
        uv,
        texture.max_ratio,
        _LANCZOS,
    )


@njit(cache=True, nogil=True)
def _mirrored(index: int | np.int32, size: int) -> int | np.int32:
    """The index within 0 to size - 1, mirrored about the border pixel where it is beyond."""
    if index < 0:
        index = -index
    if index >= size:
        index = 2 * (size - 1) - index
    return min(max(index, 0), size - 1)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _accumulate(
    total: F32,
    weight: F32,
    planes: NDArray[np.uint8],
    depth: F32,
    smooth: NDArray[np.bool_],
    uv: F32,
    max_ratio: float,
    table: NDArray[np.float32],
) -> None:
    """total += weight * sum_ab table[a] table[b] rgb[a, b] / norm, pixel by pixel."""
    h, w = depth.shape
    half, phases = np.float32(0.5), np.float32(_PHASES)
    # Not a constant for the compiler, which would write the loop out instead of using vectors; but
    # known to be a multiple of 8.
    lanes = INDEX(table.shape[1]) & INDEX(0xF8)
    for i in range(INDEX(total.shape[0])):
        for j in range(INDEX(total.shape[1])):
            share = weight[i, j]
            if share <= 0:
                continue
            u, v = uv[i, j, 0], uv[i, j, 1]
            left, above = np.floor(u), np.floor(v)
            weights_u = table[np.int32((u - left) * phases + half)]
            weights_v = table[np.int32((v - above) * phases + half)]
            col, row = np.int32(left) - _BEFORE, np.int32(above) - _BEFORE
            near_row = _mirrored(np.int32(np.floor(v + half)), h)
            near_col = _mirrored(np.int32(np.floor(u + half)), w)
            red, green, blue = np.float32(0), np.float32(0), np.float32(0)
            norm = np.float32(1)
            # On one surface all taps count and their weights sum to 1: no depths are read.
            inside = 0 <= row <= h - _TAPS and 0 <= col <= w - _TAPS
            if inside and smooth[near_row, near_col]:
                y0, x0 = INDEX(row), INDEX(col)
                y1, y2, y3 = y0 + INDEX(1), y0 + INDEX(2), y0 + INDEX(3)
                y4, y5 = y0 + INDEX(4), y0 + INDEX(5)
                v0, v1, v2 = weights_v[0], weights_v[1], weights_v[2]
                v3, v4, v5 = weights_v[3], weights_v[4], weights_v[5]
                # A loop over one vector's length of columns, for all three colours.
                for b in range(lanes):
                    x, tap = x0 + b, weights_u[b]
                    red += tap * (
                        v0 * planes[y0, 0, x]
                        + v1 * planes[y1, 0, x]
                        + v2 * planes[y2, 0, x]
                        + v3 * planes[y3, 0, x]
                        + v4 * planes[y4, 0, x]
                        + v5 * planes[y5, 0, x]
                    )
                    green += tap * (
                        v0 * planes[y0, 1, x]
                        + v1 * planes[y1, 1, x]
                        + v2 * planes[y2, 1, x]
                        + v3 * planes[y3, 1, x]
                        + v4 * planes[y4, 1, x]
                        + v5 * planes[y5, 1, x]
                    )
                    blue += tap * (
                        v0 * planes[y0, 2, x]
                        + v1 * planes[y1, 2, x]
                        + v2 * planes[y2, 2, x]
                        + v3 * planes[y3, 2, x]
                        + v4 * planes[y4, 2, x]
                        + v5 * planes[y5, 2, x]
                    )
            else:
                norm = np.float32(0)
                centre = depth[near_row, near_col]
                low, high = centre / max_ratio, centre * max_ratio
                for a in range(_TAPS):
                    y = INDEX(_mirrored(row + a, h))
                    for b in range(_TAPS):
                        x = INDEX(_mirrored(col + b, w))
                        if low <= depth[y, x] <= high:
                            tap = weights_v[a] * weights_u[b]
                            red += tap * planes[y, 0, x]
                            green += tap * planes[y, 1, x]
                            blue += tap * planes[y, 2, x]
                            norm += tap
            if norm > half:
                share /= norm
            else:
                # Dividing by what little is left of the kernel would amplify its negative lobes.
                red = np.float32(planes[near_row, 0, near_col])
                green = np.float32(planes[near_row, 1, near_col])
                blue = np.float32(planes[near_row, 2, near_col])
            total[i, j, 0] += share * red
            total[i, j, 1] += share * green
            total[i, j, 2] += share * blue
