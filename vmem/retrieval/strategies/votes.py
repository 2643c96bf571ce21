"""Top K by votes, spread in pose."""

from __future__ import annotations

import numpy as np

from vmem.retrieval.evidence import (
    Evidence,
    Selection,
    SelectionConfig,
    fallback,
    with_wishes,
)
from vmem.retrieval.strategies.spread import Chosen


def votes(evidence: Evidence, k: int, config: SelectionConfig) -> Selection:
    """Top K by vote with non-maximum suppression in pose (paper, section 3.3).

    Among near-duplicates, views with nearly equal votes stand behind the oldest of them.
    """
    if not (evidence.votes > 0)[evidence.free].any():
        return fallback(evidence, k)
    ranking = np.argsort(-evidence.votes, kind="stable")
    voted = ranking[evidence.votes[ranking] > 0]
    chosen = Chosen(evidence.poses)
    chosen.open &= evidence.free
    reasons = ["beyond K"] * len(evidence)
    for view in evidence.pinned[:k]:
        chosen.add(view)
    wanted = min(k, len(chosen.order) + int(chosen.open[voted].sum()))
    threshold = config.suppression
    while len(chosen.order) < wanted:
        start = 0
        while len(chosen.order) < wanted:
            free = np.flatnonzero((chosen.open & (chosen.gap >= threshold))[voted[start:]])
            if not free.size:
                break
            start += int(free[0]) + 1
            view = int(voted[start - 1])
            taken = _oldest_like(evidence, view, chosen, threshold, config)
            reasons[taken] = (
                "chosen" if taken == view else f"chosen: as good as view {view}, and older"
            )
            chosen.add(taken)
        threshold = threshold / 2 if threshold > 1e-3 else -1.0
    for view in np.flatnonzero(chosen.open).tolist():
        if evidence.votes[view] <= 0:
            reasons[view] = "no visible surfel"
        elif chosen.gap[view] < config.suppression:
            reasons[view] = _suppressed(chosen, view)
    order = tuple(chosen.order)
    return Selection(order, tuple(ranking.tolist()), with_wishes(evidence, reasons, order))


def _suppressed(chosen: Chosen, view: int) -> str:
    return f"suppressed: {chosen.gap[view]:.2f} rad from view {chosen.nearest[view]}"


def _oldest_like(
    evidence: Evidence, view: int, chosen: Chosen, threshold: float, config: SelectionConfig
) -> int:
    """The oldest view, or ``view`` itself, that is a near-duplicate of ``view``, has nearly its
    votes, and is no near-duplicate of a chosen one."""
    older = slice(0, view)
    like = (
        (chosen.distances(view)[older] < threshold)
        & (evidence.votes[older] >= (1 - config.near_tie) * evidence.votes[view])
        & chosen.open[older]
        & (chosen.gap[older] >= threshold)
    )
    return int(np.argmax(like)) if like.any() else view
