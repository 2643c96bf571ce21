"""Numbers from what is true and what memory answered. Pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float64

from vmem.evaluation.truth import Look
from vmem.raster import SurfelBuffers

LEAK = 0.05
"""A drawn surfel whose depth is off by more than this share shows something that is not there."""


def true_coverage(visible: Bool[np.ndarray, "V P"], order: Sequence[int], looks: int = 1) -> float:
    """Of the pixels that any view shows (or shows ``looks`` times), the share that the views of
    ``order`` show as often; 1 where there are none. visible: of Truth."""
    possible = visible.sum(axis=0) >= looks
    if not possible.any():
        return 1.0
    return float((visible[list(order)].sum(axis=0) >= looks)[possible].mean())


def best_order(visible: Bool[np.ndarray, "V P"], k: int) -> tuple[int, ...]:
    """The k views that greedy choice by the truth itself takes: a ceiling for every strategy."""
    missing = np.ones(visible.shape[1], np.float32)
    shows = visible.astype(np.float32)
    order: list[int] = []
    for _ in range(min(k, len(visible))):
        gains = shows @ missing
        gains[order] = -1
        order.append(int(np.argmax(gains)))
        missing[visible[order[-1]]] = 0
    return tuple(order)


def vote_shares(
    visible: Bool[np.ndarray, "V P"], weight: Float64[np.ndarray, " P"]
) -> Float64[np.ndarray, " V"]:
    """Shares of votes that ideal surfels would give; all 0 if nothing was ever seen."""
    votes = visible @ weight
    return votes / max(votes.sum(), 1e-12)


def share_error(shares: Float[np.ndarray, " V"], true_shares: Float[np.ndarray, " V"]) -> float:
    """L1 distance of two share vectors: 0 for equal ones, 2 for disjoint ones."""
    return float(np.abs(shares - true_shares).sum())


def top_overlap(
    shares: Float[np.ndarray, " V"], true_shares: Float[np.ndarray, " V"], n: int = 8
) -> float:
    """Share of the n truly best views that are among the n best of ``shares`` (older of equals)."""
    n = min(n, len(shares))
    best, truly = (
        set(np.argsort(-values, kind="stable")[:n].tolist()) for values in (shares, true_shares)
    )
    return len(best & truly) / n


def holes(drawn: SurfelBuffers, target: Look, seen: Bool[np.ndarray, "H W"]) -> float:
    """Share of the solid pixels that memory truly saw, ``seen``, with no surfel drawn."""
    wanted = target.hit & seen
    return float((drawn.index[wanted] < 0).mean()) if wanted.any() else 0.0


def leaks(drawn: SurfelBuffers, target: Look, seen: Bool[np.ndarray, "H W"]) -> float:
    """Share of the same pixels where the drawn surfel is nearer or farther than the true surface by
    more than LEAK. (What memory never saw it cannot know to be in the way.)"""
    wanted = target.hit & seen
    off = (drawn.index >= 0) & (np.abs(drawn.depth - target.depth) > LEAK * target.depth)
    return float(off[wanted].mean()) if wanted.any() else 0.0


def mean_and_worst_tenth(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and the mean of the lowest tenth (of one value at least)."""
    ordered = np.sort(np.asarray(values, np.float64))
    return float(ordered.mean()), float(ordered[: max(1, len(ordered) // 10)].mean())
