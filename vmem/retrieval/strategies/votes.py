"""Top K by votes, spread in pose."""

from __future__ import annotations

import numpy as np

from vmem.retrieval.evidence import (
    Evidence,
    Selection,
    fallback,
    with_pins_and_bans,
)
from vmem.retrieval.strategies.spread import Chosen
from vmem.types import Reason, ReasonKind


def votes(evidence: Evidence, k: int) -> Selection:
    """Top K by vote with non-maximum suppression in pose (paper, section 3.3).

    Among near-duplicates, views with nearly equal votes stand behind the oldest of them.
    """
    config = evidence.config
    if not evidence.has_votes:
        return fallback(evidence, k)
    ranking = np.argsort(-evidence.votes, kind="stable")
    voted = ranking[evidence.votes[ranking] > 0]
    chosen = Chosen(evidence.poses)
    chosen.open &= evidence.allowed
    reasons = [Reason(ReasonKind.BEYOND_K)] * len(evidence)
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
            taken = _oldest_like(evidence, view, chosen, threshold)
            reasons[taken] = (
                Reason(ReasonKind.CHOSEN)
                if taken == view
                else Reason(ReasonKind.CHOSEN_OLDER, view=view)
            )
            chosen.add(taken)
        threshold = threshold / 2 if threshold > 1e-3 else -1.0
    for view in np.flatnonzero(chosen.open).tolist():
        if evidence.votes[view] <= 0:
            reasons[view] = Reason(ReasonKind.NO_VISIBLE_SURFEL)
        elif chosen.gap[view] < config.suppression:
            reasons[view] = Reason(
                ReasonKind.SUPPRESSED,
                view=int(chosen.nearest[view]),
                distance=float(chosen.gap[view]),
            )
    order = tuple(chosen.order)
    return Selection(order, tuple(ranking.tolist()), with_pins_and_bans(evidence, reasons, order))


def _oldest_like(evidence: Evidence, view: int, chosen: Chosen, threshold: float) -> int:
    """The oldest view, or ``view`` itself, that is a near-duplicate of ``view``, has nearly its
    votes, and is no near-duplicate of a chosen one."""
    older = slice(0, view)
    like = (
        (chosen.distances(view)[older] < threshold)
        & (evidence.votes[older] >= (1 - evidence.config.near_tie) * evidence.votes[view])
        & chosen.open[older]
        & (chosen.gap[older] >= threshold)
    )
    return int(np.argmax(like)) if like.any() else view
