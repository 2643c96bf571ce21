"""What a depth or point-map network predicts for new frames, and its depth on their pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from vmem.arrays import F32
from vmem.cameras import LARGEST
from vmem.types import PointMapError

DOUBT = 2.0
"""exp(c) at which confidence is one half, so that a network confidence of 3, from which on the
published alignment trusts a pixel, becomes 0.5."""
EDGE = 0.05
"""Relative change of depth between neighbours from which on nothing is interpolated."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """Point maps of T frames at the network's own size (h, w)."""

    points_self: Float32[np.ndarray, "T h w 3"]
    """In each camera's own frame, up to scale; a depth network gives z alone."""
    confidence: Float32[np.ndarray, "T h w"]
    """1 + exp(c) >= 1 with the network's logit c, as CUT3R gives it."""
    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """Left, top, right, bottom of the part of the frame that the network was shown, as shares of
    the frame's sides."""
    points_world: Float32[np.ndarray, "T h w 3"] | None = None
    """The points in one frame common to all views, if the network predicts that."""
    poses: Float[np.ndarray, "T 4 4"] | None = None
    """c2w in the common frame, if the network gives poses."""
    origin: Float64[np.ndarray, "4 4"] | None = None
    """Known c2w of the camera whose frame the common one is (CUT3R: the first view of the
    run), if it is a camera's."""

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


def mapped_confidence(raw: Float32[np.ndarray, "*batch"]) -> Float32[np.ndarray, "*batch"]:
    """Confidence 0..1 of a network's 1 + exp(c): ``exp(c) / (exp(c) + DOUBT)``; 0 where not finite.

    Monotone, and not normalised by frame: a frame of low confidence keeps it.
    """
    finite = np.isfinite(raw)
    odds = np.where(finite, np.maximum(raw, 1), 1) - 1
    return (odds / (odds + DOUBT)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class FramedDepth:
    """Predicted depth on the pixels of the frames."""

    depth: Float32[np.ndarray, "T H W"]
    """z-depth up to scale, 0 where there is none."""
    confidence: Float32[np.ndarray, "T H W"]
    """In 0..1, 0 where there is no depth."""
    inside: Bool[np.ndarray, "H W"]
    """Whether a pixel was shown to the network."""


def framed(predicted: Predicted, hw: tuple[int, int]) -> FramedDepth:
    """The predicted z-depth on the pixels of frames of ``hw``: interpolated on surfaces, the
    nearest pixel's at edges."""
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
