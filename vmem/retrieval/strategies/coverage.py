"""Strategies: from evidence about views to at most K of them, with a reason for every view.

Nothing here costs more than K passes over the views: distances are worked out from chosen views
only, and surface is judged on a sample of the visible surfels. Which strategy serves best was
measured: docs/retrieval.md.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vmem.cameras.cameras import FloatArray, pose_distance
from vmem.retrieval.evidence import (
    PINNED,
    Evidence,
    Selection,
    SelectionConfig,
    Strategy,
    fallback,
    with_wishes,
)
from vmem.retrieval.strategies.baselines import fov, pose, reference, temporal

SURFACE_SAMPLES = 2048
"""Visible surfels that ``coverage`` looks at, about so many: enough to tell views apart."""


class _Chosen:
    """The views chosen so far, and how far every view is from the nearest of them.

    order · gap (V,) f64 pose distance, infinite before the first choice · nearest (V,) that view.
    """

    def __init__(self, poses: FloatArray) -> None:
        self.poses = poses
        self.order: list[int] = []
        self.gap = np.full(len(poses), np.inf)
        self.nearest = np.full(len(poses), -1)
        self.open = np.ones(len(poses), bool)

    def distances(self, view: int) -> FloatArray:
        """(V,) pose distances from one view."""
        return pose_distance(self.poses, self.poses[view])

    def add(self, view: int) -> None:
        """Choose a view."""
        distance = self.distances(view)
        nearer = distance < self.gap
        self.gap[nearer], self.nearest[nearer] = distance[nearer], view
        self.open[view] = False
        self.order.append(view)


# --- by votes --------------------------------------------------------------------------------


def votes(evidence: Evidence, k: int, config: SelectionConfig) -> Selection:
    """Top K by vote with non-maximum suppression in pose (paper, section 3.3).

    Among near-duplicates, views with nearly equal votes stand behind the oldest of them.
    """
    if not (evidence.votes > 0)[evidence.free].any():
        return fallback(evidence, k)
    ranking = np.argsort(-evidence.votes, kind="stable")
    voted = ranking[evidence.votes[ranking] > 0]
    chosen = _Chosen(evidence.poses)
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


def _suppressed(chosen: _Chosen, view: int) -> str:
    return f"suppressed: {chosen.gap[view]:.2f} rad from view {chosen.nearest[view]}"


def _oldest_like(
    evidence: Evidence, view: int, chosen: _Chosen, threshold: float, config: SelectionConfig
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


# --- by surface ------------------------------------------------------------------------------


def coverage(evidence: Evidence, k: int, config: SelectionConfig) -> Selection:
    """Greedy maximum coverage of the targets' visible surface, with diminishing returns.

    A view's gain is the surface that it saw, each piece at ``second_look`` to the power of the
    chosen views that saw it too. Among views that gain nearly the most, those apart in pose from
    the chosen ones come first; and the oldest near-duplicate stands for the one that is found.
    """
    if not (evidence.votes > 0)[evidence.free].any():
        return fallback(evidence, k)
    surface, area = _surface(evidence)
    start, views = evidence.seen_by.start, evidence.seen_by.views
    new, worth = area.copy(), area.copy()
    chosen = _Chosen(evidence.poses)
    chosen.open &= (evidence.votes > 0) & evidence.free
    reasons = ["no visible surfel"] * len(evidence)
    gains = np.empty(len(evidence))
    covered = np.empty(len(surface), bool)
    pinned = list(evidence.pinned[:k])
    while len(chosen.order) < k and (pinned or chosen.open.any()):
        if pinned:
            view, why = pinned.pop(0), PINNED
        else:
            _sum_by_view(surface, start, views, worth, gains)
            view, why = _best_gain(evidence, gains, chosen, config), "chosen"
        _seen_by_view(surface, start, views, view, covered)
        adds = min(1.0, float(new[covered].sum()))  # a sample's estimate
        reasons[view] = (
            f"{why}: adds {100 * adds:.0f} % of the visible surface"
            if adds >= config.min_gain
            else f"{why}: a second look at surface already covered"
        )
        chosen.add(view)
        new[covered] = 0
        worth[covered] *= config.second_look
    _sum_by_view(surface, start, views, new, gains)
    for view in np.flatnonzero(chosen.open).tolist():
        adds_more = gains[view] >= config.min_gain
        reasons[view] = "beyond K" if adds_more else "adds nothing that chosen views lack"
    by_votes = np.argsort(-evidence.votes, kind="stable").tolist()
    taken = set(chosen.order)
    ranking = chosen.order + [view for view in by_votes if view not in taken]
    order = tuple(chosen.order)
    return Selection(order, tuple(ranking), with_wishes(evidence, reasons, order))


def _best_gain(
    evidence: Evidence, gains: FloatArray, chosen: _Chosen, config: SelectionConfig
) -> int:
    """The open view to choose next, given what each would gain.

    Old views have no links to surfels that were made after them, so a near-duplicate falls short a
    little even where it saw the same: it may lack ``near_tie`` of all that the best view saw.
    """
    gains = np.where(chosen.open, gains, -1)
    apart = chosen.gap >= config.suppression
    ties = gains >= (1 - config.near_tie) * gains.max()
    view = int(np.argmax(np.where(ties & apart if (ties & apart).any() else ties, gains, -1)))
    like = chosen.open & (chosen.distances(view) < config.same_view)
    like &= gains >= gains[view] - config.near_tie * evidence.coverage[view]
    if apart[view]:
        like &= apart
    return min(int(np.argmax(like)), view) if like.any() else view


def _surface(evidence: Evidence) -> tuple[NDArray[np.int32], FloatArray]:
    """Pieces of visible surface that any view saw: (m,) i32 surfels and (m,) f64, their shares of
    the targets' covered pixels.

    Of many surfels a sample is taken, in proportion to their pixels, and the small ones of it stand
    for those left out. The sample is the same for the same surfels.
    """
    visible = evidence.visible
    total = evidence.pixels[visible].sum(dtype=np.float64)
    least = total / SURFACE_SAMPLES if len(visible) > SURFACE_SAMPLES else 0.0
    surface, area = np.empty(len(visible), np.int32), np.empty(len(visible))
    m = _sample(visible, evidence.pixels, evidence.seen_by.start, least, surface, area)
    return surface[:m], area[:m] / total


@njit(cache=True, nogil=True)
def _sample(visible, pixels, start, least, surface, area):
    """Keep a surfel with chance ``pixels / least``; the kept ones count for ``least`` at least."""
    m = 0
    for i in range(visible.shape[0]):
        s = visible[i]
        # Low bits of a product by an odd number near 2^32 / phi spread evenly over surfels.
        chance = np.uint32(s * np.int64(2654435769)) * 2.0**-32
        if pixels[s] > chance * least and start[s] < start[s + 1]:
            surface[m] = s
            area[m] = max(pixels[s], least)
            m += 1
    return m


@njit(cache=True, nogil=True)
def _sum_by_view(surface, start, views, worth, gains):
    gains[:] = 0
    for i in range(surface.shape[0]):
        s = surface[i]
        for link in range(start[s], start[s + 1]):
            gains[views[link]] += worth[i]


@njit(cache=True, nogil=True)
def _seen_by_view(surface, start, views, view, seen):
    for i in range(surface.shape[0]):
        s = surface[i]
        seen[i] = False
        for link in range(start[s], start[s + 1]):
            if views[link] == view:
                seen[i] = True
                break


STRATEGIES: dict[str, Strategy] = {
    "votes": votes,
    "coverage": coverage,
    "temporal": temporal,
    "pose": pose,
    "fov": fov,
    "reference": reference,
}
