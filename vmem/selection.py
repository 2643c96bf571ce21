"""Strategies: from evidence about views to at most K of them, with a reason for every view.

Nothing here costs more than K passes over the views: distances are worked out from chosen views
only, and surface is judged on a sample of the visible surfels. Which strategy serves best was
measured: docs/retrieval.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vmem.cameras import Cameras, FloatArray, invert_pose, pixel_rays, pose_distance
from vmem.views import F32

NOTHING_VISIBLE = "no stored surfel is visible from here: nearest poses chosen instead"
SURFACE_SAMPLES = 1024
"""Visible surfels that ``coverage`` looks at: more choose no better (docs/retrieval.md)."""
FRUSTUM_GRID = 8
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
    second_look: float = 0.3
    """What surface counts for in ``coverage`` each time that a chosen view covered it already: less
    than new surface, but several looks help a generator."""
    min_gain: float = 0.01
    """A view that adds less than this share of the visible surface adds nothing to speak of."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known about V candidate views for one query of T targets.

    votes, coverage, distance (V,) and poses (V, 4, 4) as in Retrieval; link_surfel, link_view (L,)
    restricted to visible surfels; pixels (S,) covered by each surfel. For ``fov``: K_normalized
    (V, 3, 3), rows 0 and 1 over the image's width and height · targets · target_depth, the median
    depth that they see, in scene units.
    """

    votes: F32
    coverage: NDArray
    distance: FloatArray
    poses: FloatArray
    link_surfel: NDArray[np.int32]
    link_view: NDArray[np.int32]
    pixels: F32
    K_normalized: FloatArray
    targets: Cameras
    target_depth: float = 1.0

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
    the chosen ones come first, and of these the oldest.
    """
    if not (evidence.votes > 0).any():
        return _fallback(evidence, k)
    saw, area = _surface(evidence)
    new, worth = area.copy(), area.copy()
    chosen = _Chosen(evidence.poses)
    chosen.open &= evidence.votes > 0
    reasons = ["no visible surfel"] * len(evidence)
    while len(chosen.order) < k and chosen.open.any():
        gains = np.where(chosen.open, saw @ worth, -1)
        ties = chosen.open & (gains >= (1 - config.near_tie) * gains.max())
        apart = ties & (chosen.gap >= config.suppression)
        view = int(np.argmax(apart if apart.any() else ties))
        adds = float(saw[view] @ new)
        reasons[view] = (
            f"chosen: adds {100 * adds:.0f} % of the visible surface"
            if adds >= config.min_gain
            else "chosen: a second look at surface already covered"
        )
        chosen.add(view)
        covered = saw[view] > 0
        new[covered] = 0
        worth[covered] *= config.second_look
    adds_more = saw @ new >= config.min_gain
    for view in np.flatnonzero(chosen.open).tolist():
        reasons[view] = "beyond K" if adds_more[view] else "adds nothing that chosen views lack"
    by_votes = np.argsort(-evidence.votes, kind="stable").tolist()
    taken = set(chosen.order)
    ranking = chosen.order + [view for view in by_votes if view not in taken]
    return Selection(tuple(chosen.order), tuple(ranking), tuple(reasons))


def _surface(evidence: Evidence) -> tuple[F32, F32]:
    """(V, n) f32, 1 where a view saw a visible surfel, and (n,) f32 shares of the targets' pixels.

    Of many surfels a sample is taken, evenly by pixels: what covers much is never left out.
    """
    surfel = np.flatnonzero(evidence.pixels)
    pixels = evidence.pixels[surfel].astype(np.float64)
    if len(surfel) > SURFACE_SAMPLES:
        upto = np.cumsum(pixels)
        at = (np.arange(SURFACE_SAMPLES) + 0.5) * upto[-1] / SURFACE_SAMPLES
        kept, pixels = np.unique(np.searchsorted(upto, at), return_counts=True)
        surfel = surfel[kept]
    slot = np.full(len(evidence.pixels), -1, np.int32)
    slot[surfel] = np.arange(len(surfel), dtype=np.int32)
    column = slot[evidence.link_surfel]
    linked = column >= 0
    saw = np.zeros((len(evidence), len(surfel)), np.float32)
    saw[evidence.link_view[linked], column[linked]] = 1
    return saw, (pixels / pixels.sum()).astype(np.float32)


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
    # A frustum is six half-spaces, rows of ``side``: x >= 0, x <= z, y >= 0, y <= z, z >= 0 and
    # z <= end in the normalised image, where (x, y, z) = K_normalized @ p_cam.
    side = np.array(
        [[1, 0, 0], [-1, 0, 1], [0, 1, 0], [0, -1, 1], [0, 0, 1], [0, 0, -1]], np.float64
    )
    # About the first target, so that float32 serves however far off the origin is.
    origin = grid[0].position
    w2c = invert_pose(evidence.poses)
    w2c[:, :3, 3] += w2c[:, :3, :3] @ origin
    planes = side @ evidence.K_normalized @ w2c[:, :3]
    planes[:, 5, 3] += FRUSTUM_END * evidence.target_depth
    points = np.concatenate([points - origin, np.ones((len(points), 1))], axis=1)
    distance = planes.reshape(-1, 4).astype(np.float32) @ points.T.astype(np.float32)
    return (distance.reshape(len(evidence), 6, -1).min(axis=1) >= 0).mean(axis=1)


STRATEGIES: dict[str, Strategy] = {
    "votes": votes,
    "coverage": coverage,
    "temporal": temporal,
    "pose": pose,
    "fov": fov,
}
