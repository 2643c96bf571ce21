"""Strategies: from evidence about views to at most K of them, with a reason for every view."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vmem.cameras import FloatArray, pose_distance
from vmem.views import F32

NOTHING_VISIBLE = "no stored surfel is visible from here: nearest poses chosen instead"


@dataclass(frozen=True)
class SelectionConfig:
    """How choices are spread."""

    suppression: float = 0.05
    """Pose distance below which a view is left out in favour of a better one; halved until K views
    are found, so that near-duplicates still serve where nothing else does."""
    near_tie: float = 0.05
    """Votes of near-duplicates that differ by less than this share count as equal in ``votes``, and
    the oldest view is taken: it was resampled least. So a loop closes on the photo itself and not
    on a generated frame beside it that happens to see one surfel more."""
    min_gain: float = 0.01
    """``coverage`` stops looking for new surface when a view adds less than this share of it."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known about V candidate views for one query.

    votes, coverage, distance (V,) and poses (V, 4, 4) as in Retrieval; link_surfel, link_view (L,)
    restricted to visible surfels; pixels (S,) covered by each surfel.
    """

    votes: F32
    coverage: NDArray
    distance: FloatArray
    poses: FloatArray
    link_surfel: NDArray[np.int32]
    link_view: NDArray[np.int32]
    pixels: F32

    def __len__(self) -> int:
        return len(self.votes)


@dataclass(frozen=True)
class Selection:
    """order: chosen views, best first · ranking: all views as the strategy sorted them · reasons:
    one a view · note: what is unusual, or ""."""

    order: tuple[int, ...]
    ranking: tuple[int, ...]
    reasons: tuple[str, ...]
    note: str = ""


Strategy = Callable[[Evidence, int, SelectionConfig], Selection]


def _nearest(evidence: Evidence) -> list[int]:
    return np.argsort(evidence.distance, kind="stable").tolist()


def _top(ranking: Iterable[int], k: int, chosen_because: str, note: str = "") -> Selection:
    """The first k of a ranking."""
    ranking = tuple(ranking)
    reasons = ["beyond K"] * len(ranking)
    for view in ranking[:k]:
        reasons[view] = chosen_because
    return Selection(ranking[:k], ranking, tuple(reasons), note)


def _fallback(evidence: Evidence, k: int) -> Selection:
    return _top(_nearest(evidence), k, "chosen: nearest pose", NOTHING_VISIBLE)


def votes(evidence: Evidence, k: int, config: SelectionConfig) -> Selection:
    """Top K by vote with non-maximum suppression in pose (paper, section 3.3).

    Among near-duplicates, views with nearly equal votes stand behind the oldest of them.
    """
    if not (evidence.votes > 0).any():
        return _fallback(evidence, k)
    ranking = np.argsort(-evidence.votes, kind="stable").tolist()
    voted = [view for view in ranking if evidence.votes[view] > 0]
    reasons = ["no visible surfel"] * len(evidence)
    order: list[int] = []
    threshold = config.suppression
    while True:
        for view in voted:
            if view in order:
                continue
            if len(order) == k:
                if not reasons[view].startswith("suppressed"):
                    reasons[view] = "beyond K"
                continue
            gap, nearest = _nearest_chosen(evidence.poses, view, order)
            if gap >= threshold:
                nearest = _oldest_like(evidence, view, order, threshold, config)
                gap = float(pose_distance(evidence.poses[nearest], evidence.poses[view]))
                order.append(nearest)
                reasons[nearest] = (
                    "chosen" if nearest == view else f"chosen: as good as view {view}, and older"
                )
            if view not in order:
                reasons[view] = f"suppressed: {gap:.2f} rad from view {nearest}"
        if len(order) == min(k, len(voted)):
            return Selection(tuple(order), tuple(ranking), tuple(reasons))
        threshold = threshold / 2 if threshold > 1e-3 else -1.0


def _oldest_like(
    evidence: Evidence, view: int, order: list[int], threshold: float, config: SelectionConfig
) -> int:
    """The oldest view, or ``view`` itself, that is a near-duplicate of ``view``, has nearly its
    votes, and is no near-duplicate of a chosen one."""
    alike = pose_distance(evidence.poses[:view], evidence.poses[view]) < threshold
    enough = evidence.votes[:view] >= (1 - config.near_tie) * evidence.votes[view]
    for older in np.flatnonzero(alike & enough).tolist():
        if _nearest_chosen(evidence.poses, older, order)[0] >= threshold:
            return older
    return view


def _nearest_chosen(poses: FloatArray, view: int, order: list[int]) -> tuple[float, int]:
    """(pose distance, view) of the chosen view nearest to ``view``; infinite if none is chosen."""
    if not order:
        return np.inf, -1
    distance = pose_distance(poses[order], poses[view])
    nearest = int(np.argmin(distance))
    return float(distance[nearest]), order[nearest]


def coverage(evidence: Evidence, k: int, config: SelectionConfig) -> Selection:
    """Greedy maximum coverage: each view is chosen for the visible surface that it adds.

    Surface that no chosen view saw yet counts most; once nothing is left to add, views that are far
    apart in pose fill up.
    """
    if not (evidence.votes > 0).any():
        return _fallback(evidence, k)
    seen = np.unique(evidence.link_surfel)
    saw = np.zeros((len(evidence), len(seen)), bool)
    saw[evidence.link_view, np.searchsorted(seen, evidence.link_surfel)] = True
    area = evidence.pixels[seen] / evidence.pixels.sum()
    uncovered = area.copy()
    reasons = ["no visible surfel"] * len(evidence)
    candidates = [view for view in range(len(evidence)) if saw[view].any()]
    order: list[int] = []
    while candidates and len(order) < k:
        gains = saw[candidates] @ uncovered
        best = int(np.argmax(gains))
        if gains[best] < config.min_gain:
            break
        view = candidates.pop(best)
        order.append(view)
        reasons[view] = f"chosen: adds {100 * gains[best]:.0f} % of the visible surface"
        uncovered[saw[view]] = 0
    while candidates and len(order) < k:
        gaps = [_nearest_chosen(evidence.poses, view, order)[0] for view in candidates]
        spread = np.minimum(gaps, config.suppression) * evidence.votes[candidates]
        view = candidates.pop(int(np.argmax(spread)))
        order.append(view)
        reasons[view] = "chosen: a second look at surface already covered"
    for view in candidates:
        adds = saw[view] @ uncovered >= config.min_gain
        reasons[view] = "beyond K" if adds else "adds nothing that chosen views lack"
    by_votes = np.argsort(-evidence.votes, kind="stable").tolist()
    ranking = order + [view for view in by_votes if view not in order]
    return Selection(tuple(order), tuple(ranking), tuple(reasons))


def temporal(evidence: Evidence, k: int, config: SelectionConfig) -> Selection:
    """The K newest views (a baseline of the paper)."""
    return _top(reversed(range(len(evidence))), k, "chosen: newest")


def pose(evidence: Evidence, k: int, config: SelectionConfig) -> Selection:
    """The K views nearest in pose (a baseline of the paper)."""
    return _top(_nearest(evidence), k, "chosen: nearest pose")


STRATEGIES: dict[str, Strategy] = {
    "votes": votes,
    "coverage": coverage,
    "temporal": temporal,
    "pose": pose,
}
