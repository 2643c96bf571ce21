"""Sampling a view's colours at fractional pixels, without reaching across depth discontinuities.

A Lanczos kernel, which keeps detail when frames are warped again and again; its taps on another
surface than the sample do not count. Source: Duchon, "Lanczos filtering in one and two dimensions",
J. Appl. Meteorology 18, 1979.

Coordinates ``uv`` are pixel *indices* (column, row), integers at pixel centres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8
from numba import njit
from numpy.typing import NDArray

from vmem.arrays import F32
from vmem.kernels.parallel import read_only

LANCZOS_RADIUS = 3
"""Source pixels that the kernel reaches to each side."""
_PHASES = 64
"""Subpixel positions for which the kernel's weights are tabulated."""


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


@dataclass(frozen=True, eq=False)
class Texture:
    """An image to sample without reaching across depth discontinuities."""

    rgb: UInt8[np.ndarray, "H W 3"]
    """Colours."""
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
    rgb, depth = read_only(rgb, depth)
    return Texture(rgb, depth, smooth, max_ratio)


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
