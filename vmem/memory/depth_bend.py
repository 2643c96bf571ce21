"""The smooth part of a frame's depth error against the memory, apart from what is new in it.

Depth networks make errors that are smooth over a frame and different in every frame. Where a view
overlaps the memory, the log ratio r of the two depths shows this error, but also every new surface:
an occluder, something that came into sight. Errors vary gently, surfaces begin at a step. So the
field f is grown from the largest region of r without a step, from coarse to fine, and takes in only
pixels with r near f; elsewhere it fades to 0. It is used only if depth disagrees over most of the
overlap, and f explains it.

The field only decides what is the same surface; it changes no depth. Drawn disks lean to the front,
and points pulled to them pull the next frame's further: with four fifths of the field applied to
depth of 2 % error, what was drawn after a walk out and back was 8 % too near in the median, against
4 % without.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from vmem.arrays import F32

GATE = 0.0025
"""Log ratio: there is no field where a quarter of the overlap is nearer to memory than this."""
GAIN = 0.5
"""A field is used if it leaves at most this share of the median |r|."""
MIN_OVERLAP = 0.1
"""Share of the image that must show memory, for a field to be tried."""
MIN_EXPLAINED = 0.5
"""Share of the overlap that must come to within NEAR_FIELD of the field."""
NEAR_FIELD = 0.05
"""Log ratio."""
LARGEST = 0.3
"""Log ratio beyond which memory and view show different surfaces, whatever the error."""
CELLS = 32
"""Number of cells of the field along the longer side."""
WIDTHS = (5.0, 2.5, 1.25, 1.0, 1.0)
"""Standard deviations, in cells, of the Gaussian means whose sum the field is, in their order."""
PULL = 0.02
"""Weight of 0 in each mean, against 1 for a full neighbourhood: far from all data nothing is added
to the field."""
CUTOFF = (0.03, 0.1)
"""Least and largest log ratio from the field so far beyond which a pixel has no weight."""
STEP = (0.01, 0.06)
"""Least and largest change of the log ratio, from pixel to pixel, that counts as a step."""


@dataclass(frozen=True, eq=False)
class Bend:
    """The smooth difference of a view's depth from the memory's."""

    field: Float32[np.ndarray, "h w"] | None = None
    """A coarse grid over the image: log(memory's depth / view's depth). None if there
    is no smooth difference."""
    residual: float = 0.0
    """Median absolute log ratio that is left; 0 if no field was sought."""

    def applied(self, depth: Float32[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W"]:
        """Depth of the whole image times exp(field)."""
        if self.field is None:
            return depth
        return depth * np.exp(_enlarged(self.field, depth.shape))


STRAIGHT = Bend()


def bend(measured: Float32[np.ndarray, "H W"], known: Float32[np.ndarray, "H W"]) -> Bend:
    """The smooth difference of ``measured`` from ``known``, both z-depth, 0 or not finite where
    they cannot be compared."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(known / measured).astype(np.float32)
    usable = np.abs(ratio) <= LARGEST  # False where not finite
    if usable.sum() < max(8, MIN_OVERLAP * usable.size):
        return STRAIGHT
    ratio[~usable] = 0
    quarter, before = (float(q) for q in np.quantile(np.abs(ratio[usable]), (0.25, 0.5)))
    if quarter <= GATE:
        return Bend(None, before)

    # Seed: the largest connected region of r without a step. A new object has steps all around.
    gentle = usable & ~_beside_step(ratio, usable)
    if not gentle.any():
        return Bend(None, before)
    weight = _largest_region(gentle).astype(np.float32)
    scale = CELLS / max(ratio.shape)
    field = np.zeros([max(2, round(side * scale)) for side in ratio.shape], np.float32)
    # f = sum over widths of the weighted Gaussian mean of what the field so far leaves, r - f. The
    # weights are Tukey's (1 - (r - f)^2 / c^2)^2 on all pixels beside no step, so the fitted region
    # grows from the seed to whatever continues it.
    left = ratio
    for width in WIDTHS:
        field += _local_mean(left, weight, field.shape, width)
        left = ratio - _enlarged(field, ratio.shape)
        cutoff = np.clip(4 * np.median(np.abs(left[weight > 0])), *CUTOFF)
        weight = gentle * np.square(np.clip(1 - np.square(left / cutoff), 0, None))
    after = float(np.median(np.abs(left[usable])))
    explained = (np.abs(left[usable]) <= NEAR_FIELD).mean()
    if after > GAIN * before or explained < MIN_EXPLAINED:
        return Bend(None, before)
    return Bend(field, after)


def _enlarged(field: F32, hw: tuple[int, ...]) -> F32:
    """The field (h, w) at the size of the image (H, W)."""
    large = cv2.resize(field, (hw[1], hw[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.float32)


def _local_mean(values: F32, weight: F32, size: tuple[int, ...], width: float) -> F32:
    """Gaussian mean of ``values`` (H, W) with ``weight`` (H, W), in cells (h, w); 0 far from all
    weight."""
    total, amount = (
        cv2.GaussianBlur(
            cv2.resize(part, (size[1], size[0]), interpolation=cv2.INTER_AREA),
            (0, 0),
            width,
            borderType=cv2.BORDER_CONSTANT,
        )
        for part in (values * weight, weight)
    )
    return np.asarray(total / (amount + PULL), np.float32)


def _beside_step(ratio: F32, usable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(H, W) where the ratio jumps to a neighbour, on both sides of the jump."""
    down = np.abs(np.diff(ratio, axis=0)) * (usable[1:] & usable[:-1])
    across = np.abs(np.diff(ratio, axis=1)) * (usable[:, 1:] & usable[:, :-1])
    # One surfel covers several pixels, between which r does not change: only changes are typical.
    changes = np.concatenate([down[down > 0], across[across > 0]])
    limit = np.clip(4 * np.median(changes), *STEP) if len(changes) else STEP[0]
    found = np.zeros(ratio.shape, bool)
    found[1:] |= down > limit
    found[:-1] |= down > limit
    found[:, 1:] |= across > limit
    found[:, :-1] |= across > limit
    return found


def _largest_region(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(H, W) the largest 4-connected region of ``mask`` (H, W), which has one."""
    _, label, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    return label == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
