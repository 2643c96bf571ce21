"""Strategies: from evidence about views to at most K of them, with a reason for every view.

Nothing here costs more than K passes over the views: distances are worked out from chosen views
only, and surface is judged on a sample of the visible surfels. Which strategy serves best was
measured: docs/retrieval.md.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vmem.arrays import F64
from vmem.retrieval.evidence import (
    Evidence,
    Selection,
    by_votes,
    fallback,
    with_pins_and_bans,
)
from vmem.retrieval.strategies.spread import Chosen
from vmem.types import Reason, ReasonKind

SURFACE_SAMPLES = 2048
"""Visible surfels that ``coverage`` looks at, about so many: enough to tell views apart."""


# --- by votes --------------------------------------------------------------------------------


# --- by surface ------------------------------------------------------------------------------


def coverage(evidence: Evidence, k: int) -> Selection:
    """Greedy maximum coverage of the targets' visible surface, with diminishing returns.

    A view's gain is the surface that it saw, each piece at ``second_look`` to the power of the
    chosen views that saw it too. Among views that gain nearly the most, those apart in pose from
    the chosen ones come first; and the oldest near-duplicate stands for the one that is found.
    """
    config = evidence.config
    if not evidence.has_votes:
        return fallback(evidence, k)
    surface, area = _surface(evidence)
    rows = evidence.seen_by.start, evidence.seen_by.stop, evidence.seen_by.views
    new, worth = area.copy(), area.copy()
    chosen = Chosen(evidence.poses)
    chosen.open &= (evidence.votes > 0) & evidence.allowed
    reasons = [Reason(ReasonKind.NO_VISIBLE_SURFEL)] * len(evidence)
    gains = np.empty(len(evidence))
    covered = np.empty(len(surface), bool)
    pinned = list(evidence.pinned[:k])
    while len(chosen.order) < k and (pinned or chosen.open.any()):
        if pinned:
            view, adds_much, repeats = (
                pinned.pop(0),
                ReasonKind.PINNED_ADDS,
                ReasonKind.PINNED_AGAIN,
            )
        else:
            _sum_by_view(surface, *rows, worth, gains)
            view = _best_gain(evidence, gains, chosen)
            adds_much, repeats = ReasonKind.CHOSEN_ADDS, ReasonKind.CHOSEN_AGAIN
        _seen_by_view(surface, *rows, view, covered)
        adds = min(1.0, float(new[covered].sum()))  # a sample's estimate
        reasons[view] = (
            Reason(adds_much, share=adds) if adds >= config.min_gain else Reason(repeats)
        )
        chosen.add(view)
        new[covered] = 0
        worth[covered] *= config.second_look
    _sum_by_view(surface, *rows, new, gains)
    for view in np.flatnonzero(chosen.open).tolist():
        adds_more = gains[view] >= config.min_gain
        reasons[view] = Reason(ReasonKind.BEYOND_K if adds_more else ReasonKind.ADDS_NOTHING)
    taken = set(chosen.order)
    ranking = chosen.order + [view for view in by_votes(evidence) if view not in taken]
    order = tuple(chosen.order)
    return Selection(order, tuple(ranking), with_pins_and_bans(evidence, reasons, order))


def _best_gain(evidence: Evidence, gains: F64, chosen: Chosen) -> int:
    """The open view to choose next, given what each would gain.

    Old views have no links to surfels that were made after them, so a near-duplicate falls short a
    little even where it saw the same: it may lack ``near_tie`` of all that the best view saw.
    """
    config = evidence.config
    gains = np.where(chosen.open, gains, -1)
    apart = chosen.gap >= config.suppression
    ties = gains >= (1 - config.near_tie) * gains.max()
    view = int(np.argmax(np.where(ties & apart if (ties & apart).any() else ties, gains, -1)))
    like = chosen.open & (chosen.distances(view) < config.same_view)
    like &= gains >= gains[view] - config.near_tie * evidence.coverage[view]
    if apart[view]:
        like &= apart
    return min(int(np.argmax(like)), view) if like.any() else view


def _surface(evidence: Evidence) -> tuple[NDArray[np.int32], F64]:
    """Pieces of visible surface that any view saw: (m,) i32 surfels and (m,) f64, their shares of
    the targets' covered pixels.

    Of many surfels a sample is taken, in proportion to their pixels, and the small ones of it stand
    for those left out. The sample is the same for the same surfels.
    """
    visible = evidence.visible
    total = evidence.pixels[visible].sum(dtype=np.float64)
    least = total / SURFACE_SAMPLES if len(visible) > SURFACE_SAMPLES else 0.0
    surface, area = np.empty(len(visible), np.int32), np.empty(len(visible))
    start, stop = evidence.seen_by.start, evidence.seen_by.stop
    m = _sample(visible, evidence.pixels, start, stop, least, surface, area)
    return surface[:m], area[:m] / total


@njit(cache=True, nogil=True)
def _sample(visible, pixels, start, stop, least, surface, area):
    """Keep a surfel with chance ``pixels / least``; the kept ones count for ``least`` at least."""
    m = 0
    for i in range(visible.shape[0]):
        s = visible[i]
        # Low bits of a product by an odd number near 2^32 / phi spread evenly over surfels.
        chance = np.uint32(s * np.int64(2654435769)) * 2.0**-32
        if pixels[s] > chance * least and start[s] < stop[s]:
            surface[m] = s
            area[m] = max(pixels[s], least)
            m += 1
    return m


@njit(cache=True, nogil=True)
def _sum_by_view(surface, start, stop, views, worth, gains):
    gains[:] = 0
    for i in range(surface.shape[0]):
        s = surface[i]
        for link in range(start[s], stop[s]):
            gains[views[link]] += worth[i]


@njit(cache=True, nogil=True)
def _seen_by_view(surface, start, stop, views, view, seen):
    for i in range(surface.shape[0]):
        s = surface[i]
        seen[i] = False
        for link in range(start[s], stop[s]):
            if views[link] == view:
                seen[i] = True
                break
