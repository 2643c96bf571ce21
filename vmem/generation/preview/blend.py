"""Blending warped views: the nearest surface, mostly from the source that shows it sharpest.

For the sources k on the nearest surface, with density d and age a:

    share_k  = d_k AGE_FADE^-a_k (OBSERVED_BONUS if observed)
    weight_k = share_k^2 / sum_j share_j^2

Shares are squared, because equal shares of similar sources would blur. Of the sources that count
little beside the best, only the strongest is sampled, with the weight of them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from numba import njit
from numpy.typing import NDArray

from vmem.arrays import F32, U8
from vmem.cameras import Camera
from vmem.generation.preview.texture import Texture, accumulate, make_texture
from vmem.generation.preview.warp import Warp, tear_ratio
from vmem.kernels.parallel import read_only, slices
from vmem.kernels.vectors import FAST, INDEX
from vmem.types import Provenance

SURFACE_TOLERANCE = 0.06
"""Relative depth within which two views are taken to show the same surface."""
AGE_FADE = 4.0
"""Each resampling divides a source's share by this."""
OLDEST = 8.0
"""Age beyond which shares fade no more."""
OBSERVED_BONUS = 4.0
"""Factor on the share of pixels that were observed in the photo."""
LEAST_DENSITY = 1e-6
"""Density that a source counts with at least, so that it fills where it is the only one."""
LEAST_WEIGHT = 0.02
"""Sources below this part of the best one's weight count for nothing."""
MINOR_WEIGHT = 0.4
"""Sources below this part of the best one's weight are minor: the strongest of them stands for all,
with their weights together. Sampling each would show the same at several times the cost."""


@dataclass(frozen=True, eq=False)
class Source:
    """A view to warp from."""

    texture: Texture
    camera: Camera
    provenance: UInt8[np.ndarray, "H W"]
    """Of Provenance, as it shall appear in the new frame."""
    age: Float32[np.ndarray, "H W"]
    """Times resampled."""
    confidence: Float32[np.ndarray, "H W"]
    trust: Float32[np.ndarray, "H W"]
    """Share of a pixel of density 1."""

    @staticmethod
    def make(
        rgb: U8, camera: Camera, depth: F32, provenance: U8, age: F32, confidence: F32
    ) -> Source:
        """A source of arrays of one size."""
        texture = make_texture(rgb, depth, tear_ratio(camera))
        trust = np.exp2(-math.log2(AGE_FADE) * np.minimum(age, np.float32(OLDEST)))
        trust[provenance == Provenance.OBSERVED] *= OBSERVED_BONUS
        return Source(texture, camera, *read_only(provenance, age, confidence, trust))


@dataclass(frozen=True, eq=False)
class Merged:
    """The warped views, blended into one frame."""

    rgb: Float32[np.ndarray, "H W 3"]
    """Colours in [0, 255]."""
    depth: Float32[np.ndarray, "H W"]
    """z-depth, 0 where no view shows anything."""
    provenance: UInt8[np.ndarray, "H W"]
    """Of Provenance."""
    age: Float32[np.ndarray, "H W"]
    """Times resampled."""
    confidence: Float32[np.ndarray, "H W"]
    known: Bool[np.ndarray, "H W"]
    """Some view shows this pixel."""


def blend(
    sources: Sequence[Source],
    warps: Sequence[Warp],
    hw: tuple[int, int],
    workers: ThreadPoolExecutor,
    parts: int,
) -> Merged:
    """Warped sources merged, in ``parts`` bands of rows, whose number changes no result.

    Provenance, age and confidence are those of the source of the largest weight.
    """
    rgb = np.zeros((*hw, 3), np.float32)
    depth = np.zeros(hw, np.float32)
    provenance = np.full(hw, Provenance.EXTRAPOLATED, np.uint8)
    age = np.ones(hw, np.float32)
    confidence = np.zeros(hw, np.float32)

    def blend_rows(first: int, behind: int) -> None:
        rows = slice(first, behind)
        shown = list(zip(sources, (_rows(warp, rows) for warp in warps), strict=True))
        nearest = np.full((behind - first, hw[1]), np.inf, np.float32)
        for _, warp in shown:
            _keep_nearer(warp.depth, nearest)
        weight = np.empty((len(shown), *nearest.shape), np.float32)
        for k, (source, warp) in enumerate(shown):
            _share(warp.depth, warp.density, warp.uv, nearest, source.trust, weight[k])
        winner = np.empty(nearest.shape, np.int16)
        _weigh(weight, winner)
        for k, (source, warp) in enumerate(shown):
            accumulate(rgb[rows], weight[k], source.texture, warp.uv)
            _take(
                k,
                winner,
                weight[k],
                warp.depth,
                warp.uv,
                source.provenance,
                source.age,
                source.confidence,
                depth[rows],
                provenance[rows],
                age[rows],
                confidence[rows],
            )
        # A Lanczos kernel overshoots at edges.
        np.clip(rgb[rows], 0, 255, out=rgb[rows])

    list(workers.map(blend_rows, *zip(*slices(hw[0], parts), strict=True)))
    return Merged(rgb, depth, provenance, age, confidence, depth > 0)


def _rows(warp: Warp, rows: slice) -> Warp:
    return Warp(warp.depth[rows], warp.uv[rows], warp.density[rows])


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _keep_nearer(depth: F32, nearest: F32) -> None:
    """nearest = min(nearest, depth) where there is depth."""
    for i in range(INDEX(depth.shape[0])):
        for j in range(INDEX(depth.shape[1])):
            z, before = depth[i, j], nearest[i, j]
            nearest[i, j] = z if (z > 0) & (z < before) else before


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _pixel(uv: F32, h: int, w: int) -> tuple[np.uintp, np.uintp]:
    """Row and column of the pixel nearest to index ``uv``, within the image."""
    half = np.float32(0.5)
    row = min(max(np.int32(np.floor(uv[1] + half)), 0), h - 1)
    col = min(max(np.int32(np.floor(uv[0] + half)), 0), w - 1)
    return INDEX(row), INDEX(col)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _share(depth: F32, density: F32, uv: F32, nearest: F32, trust: F32, out: F32) -> None:
    """One source's shares, 0 where it does not show the nearest surface."""
    h, w = trust.shape
    reach, least = np.float32(1 + SURFACE_TOLERANCE), np.float32(LEAST_DENSITY)
    for i in range(INDEX(depth.shape[0])):
        for j in range(INDEX(depth.shape[1])):
            z, share = depth[i, j], np.float32(0)
            if z > 0 and z <= nearest[i, j] * reach:
                row, col = _pixel(uv[i, j], h, w)
                share = max(density[i, j], least) * trust[row, col]
            out[i, j] = share


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _weigh(weight: F32, out_winner: NDArray[np.int16]) -> None:
    """Turn the shares in ``weight`` (n, H, W) into weights that sum to 1, in place.

    ``out_winner`` gets the first source of the largest weight, -1 where no source has a share.
    """
    n, h, w = weight.shape
    zero, least, minor = np.float32(0), np.float32(LEAST_WEIGHT), np.float32(MINOR_WEIGHT)
    for i in range(INDEX(h)):
        for j in range(INDEX(w)):
            best, winner = zero, -1
            for k in range(INDEX(n)):
                share = weight[k, i, j]
                if share > best:
                    best, winner = share, np.int64(k)
            out_winner[i, j] = winner
            if winner < 0:
                continue
            scale, total = np.float32(1) / best, zero
            strongest, pooled, pool = zero, zero, INDEX(0)
            for k in range(INDEX(n)):
                share = (weight[k, i, j] * scale) ** 2
                share = share if share > least else zero
                total += share
                if share < minor:
                    pooled += share
                    if share > strongest:
                        strongest, pool = share, k
                    share = zero
                weight[k, i, j] = share
            if pooled > zero:
                weight[pool, i, j] = pooled
            scale = np.float32(1) / total
            for k in range(INDEX(n)):
                weight[k, i, j] *= scale


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _take(
    k: int,
    winner: NDArray[np.int16],
    weight: F32,
    depth: F32,
    uv: F32,
    provenance: NDArray[np.uint8],
    age: F32,
    confidence: F32,
    out_depth: F32,
    out_provenance: NDArray[np.uint8],
    out_age: F32,
    out_confidence: F32,
) -> None:
    """Add source ``k``'s part of the depth, and where it won take over what it says of a pixel."""
    h, w = age.shape
    for i in range(INDEX(weight.shape[0])):
        for j in range(INDEX(weight.shape[1])):
            out_depth[i, j] += weight[i, j] * depth[i, j]
            if winner[i, j] == k:
                row, col = _pixel(uv[i, j], h, w)
                out_provenance[i, j] = provenance[row, col]
                out_age[i, j] = age[row, col] + np.float32(1)
                out_confidence[i, j] = confidence[row, col]
