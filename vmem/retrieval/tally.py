"""Visible surfels vote for the views that saw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32
from numba import njit

from vmem.memory import LinkError, LinkIndex
from vmem.raster import SurfelBuffers


@dataclass(frozen=True, eq=False)
class Tally:
    """What drawings of S surfels say about V views."""

    surfel_weight: Float32[np.ndarray, " S"]
    """Vote of each surfel: ``cos / (1 + depth)`` or part of it, summed over its pixels."""
    surfel_pixels: Float32[np.ndarray, " S"]
    """Number of these pixels."""
    votes: Float64[np.ndarray, " V"]
    """Votes of the surfels that a view saw, summed."""
    pixels: Float64[np.ndarray, " V"]
    """Pixels of the surfels that a view saw, summed."""
    visible: Int32[np.ndarray, " n"]
    """Surfels with a pixel, each once, as they first appear."""


def tally(
    buffers: Sequence[SurfelBuffers],
    index: LinkIndex,
    n_views: int,
    by_slant: bool = True,
    by_depth: bool = True,
) -> Tally:
    """Sum pixels by surfel, then surfels by view; only visible surfels are touched.

    A pixel's vote is ``cos / (1 + depth)``; without ``by_slant`` or ``by_depth`` that part is 1.

    Raises LinkError for drawings that show surfels, or links that name views, beyond the memory's.
    """
    n_surfels = len(index.start) - 1
    most = max((int(buffer.index.max(initial=-1)) for buffer in buffers), default=-1)
    if most >= n_surfels:
        raise LinkError(f"a drawing shows surfel {most} of a memory of {n_surfels}: draw it anew")
    weight = np.zeros(n_surfels, np.float32)
    pixels = np.zeros(n_surfels, np.float32)
    visible = np.empty(min(n_surfels, sum(buffer.index.size for buffer in buffers)), np.int32)
    n = 0
    for buffer in buffers:
        n = _sum_pixels(
            buffer.index,
            buffer.cosine,
            buffer.depth,
            by_slant,
            by_depth,
            weight,
            pixels,
            visible,
            n,
        )
    visible = visible[:n]
    found = Tally(weight, pixels, np.zeros(n_views), np.zeros(n_views), visible)
    known = _sum_surfels(
        visible, index.start, index.stop, index.views, weight, pixels, found.votes, found.pixels
    )
    if not known:
        raise LinkError(f"a surfel was seen by a view beyond the {n_views} of this memory")
    return found


@njit(cache=True, nogil=True)
def _sum_pixels(index, cosine, depth, by_slant, by_depth, weight, pixels, visible, n):
    one = np.float32(1)
    for row in range(index.shape[0]):
        for column in range(index.shape[1]):
            s = index[row, column]
            if s < 0:
                continue
            if pixels[s] == 0:
                visible[n] = s
                n += 1
            pixels[s] += 1
            vote = cosine[row, column] if by_slant else one
            weight[s] += vote / (1 + depth[row, column]) if by_depth else vote
    return n


@njit(cache=True, nogil=True)
def _sum_surfels(visible, start, stop, views, weight, pixels, votes, seen):
    for k in range(visible.shape[0]):
        s = visible[k]
        for link in range(start[s], stop[s]):
            view = np.int32(views[link])
            if view >= votes.shape[0]:
                return False
            votes[view] += weight[s]
            seen[view] += pixels[s]
    return True
