"""What a rasterizer returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vmem.arrays import F32, I32


@dataclass(frozen=True, eq=False)
class SurfelBuffers:
    """index (H, W) i32, -1 where no disk · depth (H, W) f32 z-depth, 0 where none · cosine (H, W)
    f32 between the disk's normal and the direction back to the eye, 0 where none."""

    index: I32
    depth: F32
    cosine: F32


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
