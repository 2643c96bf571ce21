"""Filling holes in images: push-pull, and a variant that continues the background.

Source: Gortler, Grzeszczuk, Szeliski & Cohen, "The Lumigraph" (SIGGRAPH 1996), section 3.5:
average what is known into a pyramid, then let coarser levels fill what finer ones lack.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from jaxtyping import Bool, Float32
from numpy.typing import NDArray

from vmem.arrays import F32

Mask = NDArray[np.bool_]

RIM_WIDTH = 0.015
"""Width of the rim that a hole is filled from, as a share of the image height."""
FAR_POWER = 12.0
"""Power of (depth / farthest depth nearby) that weighs the pixels of a rim: far ones dominate."""


def push_pull(
    values: Float32[np.ndarray, "h w c"],
    known: Bool[np.ndarray, "h w"],
    weight: Float32[np.ndarray, "h w"] | None = None,
) -> Float32[np.ndarray, "h w c"]:
    """``values`` with unknown pixels filled smoothly from the known ones, which stay unchanged.

    ``weight`` in (0, 1]: how much each known pixel counts in the holes, 1 by default. All zeros if
    nothing is known.
    """
    if known.all():
        return values
    if not known.any():
        return np.zeros_like(values)
    # Pull: level by level, sums of weighted values and of weights, halved until one pixel is left.
    sums = [np.where(known[..., None], values, np.float32(0))]
    weights = [known.astype(np.float32)]
    if weight is not None:
        weights[0] *= weight
        sums[0] *= weights[0][..., None]
    while max(sums[-1].shape[:2]) > 1:
        sums.append(_pyramid_down(sums[-1]))
        weights.append(_pyramid_down(weights[-1])[..., 0])
    # Push: back to the finest level, each pixel its own mean as far as it has support, the rest
    # from the coarser level.
    filled = _mean(sums[-1], weights[-1])
    for total, w in zip(sums[-2:0:-1], weights[-2:0:-1], strict=True):
        # A level is trusted once a quarter of its support is known.
        trust = np.clip(4 * w, 0, 1)[..., None]
        coarse = _pyramid_up(filled, total)
        filled = (trust * _mean(total, w) + (1 - trust) * coarse).astype(np.float32, copy=False)
    # Unknown pixels of the finest level have no support of their own.
    return np.where(known[..., None], values, _pyramid_up(filled, values))


def fill_from_background(
    rgb: Float32[np.ndarray, "h w 3"],
    depth: Float32[np.ndarray, "h w"],
    known: Bool[np.ndarray, "h w"],
) -> tuple[Float32[np.ndarray, "h w 3"], Float32[np.ndarray, "h w"]]:
    """Colour and z-depth with holes continued from their far side.

    What a hole uncovers lies behind its near rim, so its colour is like that of the far rim. Depths
    are averaged as inverse depths, so planes stay planes. If nothing is known: black at depth 1.
    """
    if known.all():
        return rgb, depth
    if not known.any():
        return np.zeros_like(rgb), np.ones_like(depth)
    # Only rims count, and the far side is the farthest depth within reach of the widest hole.
    width = max(2, round(RIM_WIDTH * depth.shape[0]))
    half_hole = float(cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, 3).max())
    reach = min(math.ceil(2 * half_hole) + width, max(depth.shape) // 4 + 1)
    rim = known & (cv2.dilate((~known).astype(np.uint8), _square(width)) > 0)
    visible = np.where(known, depth, 0).astype(np.float32)
    farthest = cv2.dilate(visible, _square(reach))
    farness = np.clip(visible / np.maximum(farthest, 1e-6), 0, 1)
    weight = np.clip(farness**FAR_POWER + 1e-4, 0, 1).astype(np.float32)
    inverse = np.where(known, 1 / np.maximum(depth, 1e-6), 0).astype(np.float32)
    filled = push_pull(np.concatenate([rgb, inverse[..., None]], axis=2), rim, weight)
    closest = float(depth[known].min())
    furthest = float(depth[known].max())
    guess = np.clip(1 / np.maximum(filled[..., 3], 1e-9), closest, furthest)
    filled_rgb = np.where(known[..., None], rgb, filled[..., :3])
    return filled_rgb, np.where(known, depth, guess).astype(np.float32)


def _square(radius: int) -> NDArray[np.uint8]:
    return np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)


def _pyramid_down(image: F32) -> F32:
    return np.atleast_3d(cv2.pyrDown(image)).astype(np.float32, copy=False)


def _pyramid_up(image: F32, like: F32) -> F32:
    larger = cv2.pyrUp(image, dstsize=(like.shape[1], like.shape[0]))
    return np.atleast_3d(larger).astype(np.float32, copy=False)


def _mean(total: F32, weight: F32) -> F32:
    return np.divide(total, np.maximum(weight, 1e-20)[..., None], dtype=np.float32)
