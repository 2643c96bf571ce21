"""What a rasterizer returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32


@dataclass(frozen=True, eq=False, repr=False)
class SurfelBuffers:
    """Which disk each pixel shows, and how."""

    index: Int32[np.ndarray, "H W"]
    """The disk, -1 where there is none."""
    depth: Float32[np.ndarray, "H W"]
    """z-depth, 0 where there is no disk."""
    cosine: Float32[np.ndarray, "H W"]
    """Between the disk's normal and the direction back to the eye, 0 where there is none."""

    def __repr__(self) -> str:
        h, w = self.index.shape
        return f"<SurfelBuffers: {w} x {h} px, {(self.index >= 0).mean():.0%} covered>"


def overlaid(first: SurfelBuffers, second: SurfelBuffers, offset: int) -> SurfelBuffers:
    """One drawing of two sets of surfels drawn apart: the nearer wins, ``first`` if equal.

    The indices of ``second`` grow by ``offset``, the number of surfels behind ``first``.
    """
    front = second.index >= 0
    front &= (first.index < 0) | (second.depth < first.depth)
    return SurfelBuffers(
        np.where(front, second.index + np.int32(offset), first.index),
        np.where(front, second.depth, first.depth),
        np.where(front, second.cosine, first.cosine),
    )
