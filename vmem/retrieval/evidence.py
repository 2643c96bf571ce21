"""What strategies choose from, and what they answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vmem.arrays import F32, F64
from vmem.cameras import Cameras
from vmem.memory import LinkIndex, MemorySnapshot

NOTHING_VISIBLE = "no stored surfel is visible from here: nearest poses chosen instead"
PINNED, PINNED_BEYOND, BANNED = "pinned", "pinned, but beyond K", "banned"


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
    that cover a pixel, each once · pixels (S,) covered by each surfel, or what they are to count
    for · seen_by: the views that saw each · pinned: views that are chosen whatever they are worth ·
    banned: views that are not. For ``fov``: K_normalized (V, 3, 3), rows 0 and 1 over the image's
    width and height · targets · target_depth, the median depth that they see, in scene units. For
    ``reference``: the memory itself.
    """

    votes: F32
    coverage: NDArray
    distance: F64
    poses: F64
    visible: NDArray[np.int32]
    pixels: F32
    seen_by: LinkIndex
    K_normalized: F64
    targets: Cameras
    target_depth: float = 1.0
    memory: MemorySnapshot | None = None
    pinned: tuple[int, ...] = ()
    banned: frozenset[int] = field(default_factory=frozenset)

    def __len__(self) -> int:
        return len(self.votes)

    @property
    def free(self) -> NDArray[np.bool_]:
        """(V,) views that are not banned."""
        free = np.ones(len(self), bool)
        free[list(self.banned)] = False
        return free


@dataclass(frozen=True)
class Selection:
    """order: chosen views, best first · ranking: all views as the strategy sorted them · reasons:
    one a view · note: what is unusual, or ""."""

    order: tuple[int, ...]
    ranking: tuple[int, ...]
    reasons: tuple[str, ...]
    note: str = ""


Strategy = Callable[[Evidence, int, SelectionConfig], Selection]


def top(
    evidence: Evidence, ranking: Iterable[int], k: int, chosen_because: str, note: str = ""
) -> Selection:
    """Pinned views, then the first of a ranking, up to k; banned views last and never."""
    pinned, banned = evidence.pinned, evidence.banned
    rest = [view for view in ranking if view not in pinned]
    ranking = (
        *pinned,
        *(view for view in rest if view not in banned),
        *(view for view in rest if view in banned),
    )
    order = tuple(view for view in ranking[:k] if view not in banned)
    reasons = ["beyond K"] * len(ranking)
    for view in order:
        reasons[view] = chosen_because
    return Selection(order, ranking, with_wishes(evidence, reasons, order), note)


def with_wishes(
    evidence: Evidence, reasons: Iterable[str], order: tuple[int, ...]
) -> tuple[str, ...]:
    """``reasons`` with those of pinned and banned views put right."""
    reasons = list(reasons)
    for view in evidence.pinned:
        if view not in order:
            reasons[view] = PINNED_BEYOND
        elif not reasons[view].startswith(PINNED):
            reasons[view] = PINNED
    for view in evidence.banned:
        reasons[view] = BANNED
    return tuple(reasons)


def nearest(evidence: Evidence) -> list[int]:
    return np.argsort(evidence.distance, kind="stable").tolist()


def fallback(evidence: Evidence, k: int) -> Selection:
    return top(evidence, nearest(evidence), k, "chosen: nearest pose", NOTHING_VISIBLE)
