"""Strategies: from evidence about views to at most K of them, with a reason for every view.

Nothing here costs more than K passes over the views: distances are worked out from chosen views
only, and surface is judged on a sample of the visible surfels. Which strategy serves best was
measured: docs/retrieval.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vmem.cameras import Cameras, FloatArray, invert_pose, pixel_rays, pose_distance
from vmem.links import LinkIndex
from vmem.views import F32

if TYPE_CHECKING:
    from vmem.memory import MemorySnapshot

NOTHING_VISIBLE = "no stored surfel is visible from here: nearest poses chosen instead"
SURFACE_SAMPLES = 2048
"""Visible surfels that ``coverage`` looks at, about so many: enough to tell views apart."""
FRUSTUM_GRID = 6
"""Samples across and down a target's image for ``fov``."""
FRUSTUM_DEPTHS = (0.5, 1.0, 2.0)
"""Depths of those samples, in target depths."""
FRUSTUM_END = 2.5
"""Where a frustum ends, in target depths: farther away there are mostly other rooms."""


@dataclass(frozen=True)
class SelectionConfig:
    """How choices are spread."""

    suppression: float = 0.05
    """Pose distance below which a view is left out in favour of a better one; halved until K views
    are found, so that near-duplicates still serve where nothing else does."""
    near_tie: float = 0.05
    """Votes of near-duplicates (``votes``) or gains (``coverage``) that differ by less than this
    share count as equal, and the oldest view is taken: it was resampled least. So a loop closes on
    the photo itself and not on a generated frame beside it that happens to see one surfel more."""
    same_view: float = 0.02
    """Pose distance below which ``coverage`` lets an older view stand for a newer one: 1.1 degrees,
    or 0.2 scene units. Farther off an old view is less sharp (docs/retrieval.md)."""
    second_look: float = 0.3
    """What surface counts for in ``coverage`` each time that a chosen view covered it already: less
    than new surface, but several looks help a generator."""
    min_gain: float = 0.01
    """A view that adds less than this share of the visible surface adds nothing to speak of."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known about V candidate views for one query of T targets.

    votes, coverage, distance (V,) and poses (V, 4, 4) as in Retrieval · visible (n,) i32: surfels
    that cover a pixel, each once · pixels (S,) covered by each surfel · seen_by: the views that saw
    each. For ``fov``: K_normalized (V, 3, 3), rows 0 and 1 over the image's width and height ·
    targets · target_depth, the median depth that they see, in scene units. For ``reference``: the
    memory itself.
    """

    votes: F32
    coverage: NDArray
    distance: FloatArray
    poses: FloatArray
    visible: NDArray[np.int32]
    pixels: F32
    seen_by: LinkIndex
    K_normalized: FloatArray
    targets: Cameras
    target_depth: float = 1.0
    memory: MemorySnapshot | None = None

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


def _top(ranking: Iterable[int], k: int, chosen_because: str, note: str = "") -> Selection:
    """The first k of a ranking."""
    ranking = tuple(ranking)
    reasons = ["beyond K"] * len(ranking)
    for view in ranking[:k]:
        reasons[view] = chosen_because
    return Selection(ranking[:k], ranking, tuple(reasons), note)


def _nearest(evidence: Evidence) -> list[int]:
    return np.argsort(evidence.distance, kind="stable").tolist()


def _fallback(evidence: Evidence, k: int) -> Selection:
    return _top(_nearest(evidence), k, "chosen: nearest pose", NOTHING_VISIBLE)


# --- by votes --------------------------------------------------------------------------------


def votes(evidence: Evidence, k: int, config: SelectionConfig) -> Selection:
    """Top K by vote with non-maximum suppression in pose (paper, section 3.3).

    Among near-duplicates, views with nearly equal votes stand behind the oldest of them.
    """
    if not (evidence.votes > 0).any():
        return _fallback(evidence, k)
    ranking = np.argsort(-evidence.votes, kind="stable")
    voted = ranking[evidence.votes[ranking] > 0]
    chosen = _Chosen(evidence.poses)
    reasons = ["beyond K"] * len(evidence)
    wanted = min(k, len(voted))
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
    return Selection(tuple(chosen.order), tuple(ranking.tolist()), tuple(reasons))


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
    if not (evidence.votes > 0).any():
        return _fallback(evidence, k)
    surface, area = _surface(evidence)
    start, views = evidence.seen_by.start, evidence.seen_by.views
    new, worth = area.copy(), area.copy()
    chosen = _Chosen(evidence.poses)
    chosen.open &= evidence.votes > 0
    reasons = ["no visible surfel"] * len(evidence)
    gains = np.empty(len(evidence))
    covered = np.empty(len(surface), bool)
    while len(chosen.order) < k and chosen.open.any():
        _sum_by_view(surface, start, views, worth, gains)
        view = _best_gain(evidence, gains, chosen, config)
        _seen_by_view(surface, start, views, view, covered)
        adds = min(1.0, float(new[covered].sum()))  # a sample's estimate
        reasons[view] = (
            f"chosen: adds {100 * adds:.0f} % of the visible surface"
            if adds >= config.min_gain
            else "chosen: a second look at surface already covered"
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
    return Selection(tuple(chosen.order), tuple(ranking), tuple(reasons))


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


# --- baselines of the paper ------------------------------------------------------------------


def temporal(evidence: Evidence, k: int, config: SelectionConfig) -> Selection:
    """The K newest views."""
    return _top(reversed(range(len(evidence))), k, "chosen: newest")


def pose(evidence: Evidence, k: int, config: SelectionConfig) -> Selection:
    """The K views nearest in pose."""
    return _top(_nearest(evidence), k, "chosen: nearest pose")


def fov(evidence: Evidence, k: int, config: SelectionConfig) -> Selection:
    """The K views whose frustums hold most of the targets' frustums; of equals the nearest."""
    overlap = frustum_overlap(evidence)
    ranking = np.lexsort((evidence.distance, -overlap)).tolist()
    reasons = ["beyond K" if share > 0 else "its frustum misses the target's" for share in overlap]
    for view in ranking[:k]:
        percent = 100 * overlap[view]
        reasons[view] = f"chosen: its frustum holds {percent:.0f} % of the target's"
    return Selection(tuple(ranking[:k]), tuple(ranking), tuple(reasons))


def frustum_overlap(evidence: Evidence) -> FloatArray:
    """(V,) share of the targets' frustum samples that lie in each view's frustum.

    The samples are a grid over the image at three depths about ``target_depth``; walls count for
    nothing, which is what this baseline lacks.
    """
    grid = evidence.targets.resized((FRUSTUM_GRID, FRUSTUM_GRID))
    points = np.concatenate(
        [
            depth * evidence.target_depth * pixel_rays(target).reshape(-1, 3) @ target.c2w[:3, :3].T
            + target.position
            for target in grid
            for depth in FRUSTUM_DEPTHS
        ]
    )
    origin = grid[0].position  # about it, so that float32 serves however far away it is
    w2c = invert_pose(evidence.poses)
    w2c[:, :3, 3] += (w2c[:, :3, :3] @ origin[:, None])[..., 0]
    projection = (evidence.K_normalized @ w2c[:, :3]).astype(np.float32)
    inside = np.empty(len(evidence), np.int64)
    end = np.float32(FRUSTUM_END * evidence.target_depth)
    _count_inside(projection, (points - origin).astype(np.float32), end, inside)
    return inside / len(points)


@njit(cache=True, nogil=True)
def _count_inside(projection, points, end, inside):
    """How many points (N, 3) fall into each image of unit size, nearer than ``end``."""
    for view in range(projection.shape[0]):
        P = projection[view]
        n = 0
        for i in range(points.shape[0]):
            X, Y, Z = points[i, 0], points[i, 1], points[i, 2]
            z = P[2, 0] * X + P[2, 1] * Y + P[2, 2] * Z + P[2, 3]
            x = P[0, 0] * X + P[0, 1] * Y + P[0, 2] * Z + P[0, 3]
            y = P[1, 0] * X + P[1, 1] * Y + P[1, 2] * Z + P[1, 3]
            n += (z > 0) & (z <= end) & (x >= 0) & (x <= z) & (y >= 0) & (y <= z)
        inside[view] = n


def reference(evidence: Evidence, k: int, config: SelectionConfig) -> Selection:
    """What the published code effectively does; see vmem.reference.strategy."""
    from vmem.reference.strategy import reference_selection

    if evidence.memory is None:
        raise ValueError("the reference strategy draws the memory itself: evidence.memory is None")
    return reference_selection(evidence.memory, evidence.targets, k)


STRATEGIES: dict[str, Strategy] = {
    "votes": votes,
    "coverage": coverage,
    "temporal": temporal,
    "pose": pose,
    "fov": fov,
    "reference": reference,
}

DEFAULT_STRATEGY = "coverage"
"""What is used unless something else is asked for: it beats all others (docs/retrieval.md)."""
