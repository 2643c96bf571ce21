"""What a depth or point-map network says of new frames, brought onto the frames' pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vmem.arrays import F32, F64
from vmem.cameras import LARGEST
from vmem.types import PointMapError

DOUBT = 2.0
"""exp(c) at which confidence is one half, so that a network confidence of 3, from which on the
published alignment trusts a pixel, becomes 0.5."""
EDGE = 0.05
"""Relative change of depth between neighbours from which on nothing is interpolated."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """Point maps of T frames at the network's own size (h, w).

    points_self (T, h, w, 3) f32 in each camera's own frame, up to scale; of a depth network z alone
    matters · confidence (T, h, w) f32, 1 + exp(c) >= 1 as CUT3R's · window (left, top, right,
    bottom): the part of the frame that the network saw, as shares of its sides · points_world (T,
    h, w, 3) f32 the same points in one frame of the network's, if it has one · poses (T, 4, 4)
    c2w in that frame · origin (4, 4): known c2w of the camera that this frame is, if it is one
    (CUT3R: the first view of the run).
    """

    points_self: F32
    confidence: F32
    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    points_world: F32 | None = None
    poses: NDArray[np.floating] | None = None
    origin: F64 | None = None

    def validated(self, n: int) -> Predicted:
        """Self, or PointMapError if shapes do not belong together or to ``n`` frames."""
        maps = self.confidence.shape
        left, top, right, bottom = self.window
        wrong = [
            name
            for name, fine in (
                ("confidence", len(maps) == 3 and maps[0] == n and min(maps) > 0),
                ("points_self", self.points_self.shape == (*maps, 3)),
                (
                    "points_world",
                    self.points_world is None or self.points_world.shape == (*maps, 3),
                ),
                ("poses", self.poses is None or self.poses.shape == (n, 4, 4)),
                ("origin", self.origin is None or self.origin.shape == (4, 4)),
                ("window", 0 <= left < right <= 1 and 0 <= top < bottom <= 1),
            )
            if not fine
        ]
        if wrong:
            raise PointMapError(f"prediction of {n} frames: {', '.join(wrong)} does not fit")
        return self


def mapped_confidence(raw: F32) -> F32:
    """Confidence 0..1 of a network's 1 + exp(c): ``exp(c) / (exp(c) + DOUBT)``; 0 where not finite.

    Monotone, and the same for every frame: one of which nothing is sure stays so.
    """
    finite = np.isfinite(raw)
    odds = np.where(finite, np.maximum(raw, 1), 1) - 1
    return (odds / (odds + DOUBT)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class FramedDepth:
    """depth (T, H, W) f32 at the frames' size, 0 where there is none · confidence (T, H, W) f32, 0
    there · inside (H, W) whether the network saw a pixel."""

    depth: F32
    confidence: F32
    inside: NDArray[np.bool_]


def framed(predicted: Predicted, hw: tuple[int, int]) -> FramedDepth:
    """The predicted z-depth on the pixels of frames of ``hw``: interpolated on surfaces, the
    nearest pixel's across edges. Known rays give the direction (vmem/geometry/alignment.py)."""
    z = predicted.points_self[..., 2]
    fine = np.isfinite(predicted.points_self).all(axis=-1) & (z > 1 / LARGEST) & (z < LARGEST)
    fine &= np.isfinite(predicted.confidence)
    depth = np.where(fine, z, 0).astype(np.float32)
    sure = np.where(fine, mapped_confidence(predicted.confidence), 0).astype(np.float32)
    h, w = z.shape[1:]
    left, top, right, bottom = predicted.window
    x = ((np.arange(hw[1]) + 0.5) / hw[1] - left) / (right - left) * w - 0.5
    y = ((np.arange(hw[0]) + 0.5) / hw[0] - top) / (bottom - top) * h - 0.5
    inside = ((y >= -0.5) & (y < h - 0.5))[:, None] & ((x >= -0.5) & (x < w - 0.5))
    if (h, w) == tuple(hw) and inside.all():
        return FramedDepth(depth, sure, inside)
    columns, rows = (a.astype(np.float32) for a in np.meshgrid(x, y))

    def sampled(image: F32, how: int) -> F32:
        values = cv2.remap(image, columns, rows, how, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(values, np.float32)

    depths, confidences = [], []
    for one, mine, known in zip(depth, sure, fine.astype(np.float32), strict=True):
        nearest = sampled(one, cv2.INTER_NEAREST)
        smooth = sampled(one, cv2.INTER_LINEAR)
        surface = (sampled(known, cv2.INTER_LINEAR) > 0.999) & (
            np.abs(smooth - nearest) <= EDGE * nearest
        )
        depths.append(np.where(surface, smooth, nearest) * inside)
        confidences.append(sampled(mine, cv2.INTER_LINEAR) * (nearest > 0) * inside)
    return FramedDepth(
        np.stack(depths).astype(np.float32), np.stack(confidences).astype(np.float32), inside
    )
