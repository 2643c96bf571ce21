"""Painting that looks at all surfels, as before issue 13: the baseline of ``benchmarks.paint``."""

from __future__ import annotations

import numpy as np

from viewer.paint.palette import INVENTED, VIRIDIS, colormap, grey
from viewer.paint.surfel_colors import COVERED, UNSEEN
from viewer.settings import Heat
from vmem.arrays import F32, U8
from vmem.memory import MemorySnapshot
from vmem.raster.visibility import visible_votes
from vmem.retrieval.attribution import looks, picture_shares
from vmem.types import WEIGHTINGS, Retrieval


def paint(mode: Heat, memory: MemorySnapshot, retrieval: Retrieval) -> U8:
    """(S, 3) colours in mode weight, support or uncovered."""
    color = grey(memory.surfels.color, UNSEEN)
    votes = _votes(memory, retrieval)
    if mode == "weight":
        seen = np.flatnonzero(votes)
        top = float(np.quantile(votes[seen], 0.99))
        color[seen] = colormap(0.12 + 0.88 * (votes[seen] / max(top, 1e-12)).clip(0, 1))
        return color
    seen = np.flatnonzero(votes).astype(np.int32)
    views = looks(memory, retrieval, seen)
    if mode == "support":
        color[seen] = colormap(0.15 + 0.85 * views / max(1, len(retrieval.order)), VIRIDIS)
    else:
        color[seen] = grey(memory.surfels.color[seen], COVERED)
        picture_shares(memory, retrieval)
    color[seen[views == 0]] = INVENTED
    return color


def _votes(memory: MemorySnapshot, retrieval: Retrieval) -> F32:
    drawn = np.flatnonzero(retrieval.surfel_pixels > 0)
    votes = np.zeros(len(retrieval.surfel_weight), np.float32)
    by = WEIGHTINGS[retrieval.query.vote]
    for target, buffers in zip(retrieval.targets, retrieval.buffers, strict=True):
        np.maximum(votes, visible_votes(memory.surfels, buffers, target, *by), out=votes)
    votes[drawn] = retrieval.surfel_weight[drawn] / retrieval.surfel_pixels[drawn]
    return votes
