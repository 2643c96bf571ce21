"""What a strategy chooses from, what it answers, and the pieces that strategies share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int32

from vmem.arrays import freeze
from vmem.cameras import Cameras
from vmem.memory import LinkIndex, MemorySnapshot
from vmem.types import Reason, ReasonKind, RetrievalError, view_numbers

NOTHING_VISIBLE = "no stored surfel is visible from here: nearest poses chosen instead"


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
    """Pose distance below which ``coverage`` lets an older view replace a newer one: 1.1 degrees,
    or 0.2 scene units. Farther off an old view is less sharp (docs/retrieval.md)."""
    second_look: float = 0.3
    """What surface counts for in ``coverage`` each time that a chosen view covered it already: less
    than new surface, but several looks help a generator."""
    min_gain: float = 0.01
    """Share of the visible surface below which a view adds nothing."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known about V candidate views for one query of T targets over S surfels.

    Its arrays cannot be written: memory and the answer share them.
    """

    votes: Float32[np.ndarray, " V"]
    """Weight of the visible surfels that a view saw."""
    coverage: Float[np.ndarray, " V"]
    """Share of the targets' covered pixels whose surfel the view saw."""
    distance: Float64[np.ndarray, " V"]
    """Pose distance from the nearest target, radians."""
    poses: Float64[np.ndarray, "V 4 4"]
    """c2w of the views."""
    visible: Int32[np.ndarray, " n"]
    """Surfels that cover a pixel, each once."""
    pixels: Float32[np.ndarray, " S"]
    """Pixels that each surfel covers, or the weight it is to count for."""
    seen_by: LinkIndex
    """The views that saw each surfel."""
    K_normalized: Float64[np.ndarray, "V 3 3"]
    """Intrinsics of the views, rows 0 and 1 over the image's width and height."""
    targets: Cameras
    """The cameras of the frames to be made."""
    target_depth: float = 1.0
    """Median depth that the targets see, scene units."""
    memory: MemorySnapshot | None = None
    """The memory itself, for strategies that render it by themselves (``reference``)."""
    pinned: tuple[int, ...] = ()
    """Views that are chosen whatever they are worth."""
    banned: frozenset[int] = field(default_factory=frozenset)
    """Views that are never chosen."""
    config: SelectionConfig = field(default_factory=SelectionConfig)
    """How choices are spread."""

    def __post_init__(self) -> None:
        freeze(self, "votes", "coverage", "distance", "poses", "visible", "pixels", "K_normalized")

    def __len__(self) -> int:
        return len(self.votes)

    @property
    def allowed(self) -> Bool[np.ndarray, " V"]:
        """Views that are not banned."""
        allowed = np.ones(len(self), bool)
        allowed[list(self.banned)] = False
        return allowed

    @property
    def has_votes(self) -> bool:
        """Whether any view that may be chosen has a vote."""
        return bool((self.votes > 0)[self.allowed].any())


@dataclass(frozen=True)
class Selection:
    """What a strategy chose."""

    order: tuple[int, ...]
    """Chosen views, best first."""
    ranking: tuple[int, ...]
    """All views as the strategy sorted them."""
    reasons: tuple[Reason, ...]
    """One a view, in the order of views."""
    note: str = ""
    """What is unusual about it, or ""."""


Strategy = Callable[[Evidence, int], Selection | Sequence[int]]
"""(evidence, k) -> at most k views: a whole Selection, or just their numbers, best first."""


def completed(evidence: Evidence, chosen: Selection | Sequence[int], k: int) -> Selection:
    """A strategy's answer with a ranking and a reason for every view, pins and bans heeded.

    Raises RetrievalError, to follow the strategy's name, for an answer that cannot be.
    """
    if isinstance(chosen, Selection):
        return _checked(evidence, chosen, k)
    named = list(dict.fromkeys(_known(chosen, len(evidence))))
    rest = [view for view in by_votes(evidence) if view not in named]
    k = min(k, len(named) + len(set(evidence.pinned) - set(named)))
    return top(evidence, [*named, *rest], k, Reason(ReasonKind.CHOSEN))


def _checked(evidence: Evidence, chosen: Selection, k: int) -> Selection:
    n = len(evidence)
    order, ranking = _known(chosen.order, n), _known(chosen.ranking, n)
    pinned, banned = evidence.pinned[:k], evidence.banned.intersection(order)
    if len(set(order)) < len(order):
        raise RetrievalError(f"chose a view twice: {order}")
    if len(order) > k:
        raise RetrievalError(f"chose {len(order)} views, but k is {k}: {order}")
    if banned:
        raise RetrievalError(f"chose view {min(banned)}, which is banned: heed evidence.banned")
    if order[: len(pinned)] != pinned:
        raise RetrievalError(f"chose {order}, but {pinned} are pinned: begin with evidence.pinned")
    if sorted(ranking) != list(range(n)):
        raise RetrievalError(f"must rank each of the {n} views once, ranked {ranking}")
    reasons = tuple(chosen.reasons)
    if len(reasons) != n or not all(isinstance(reason, Reason) for reason in reasons):
        raise RetrievalError(f"must give one Reason for each of the {n} views, got {reasons}")
    return replace(chosen, order=order, ranking=ranking, reasons=reasons)


def _known(views: Sequence[int], n: int) -> tuple[int, ...]:
    """``views`` as ints, if each is one of n views."""
    try:
        numbers = view_numbers(views)
    except TypeError as error:
        raise RetrievalError(f"must return views' numbers or a Selection: {error}") from error
    for view in numbers:
        if not 0 <= view < n:
            raise RetrievalError(f"returned view {view} of {n}: views go from 0 to {n - 1}")
    return numbers


def top(
    evidence: Evidence, ranking: Iterable[int], k: int, reason: Reason, note: str = ""
) -> Selection:
    """Pinned views, then the first of a ranking, up to k, for ``reason``; banned views last."""
    pinned, banned = evidence.pinned, evidence.banned
    rest = [view for view in ranking if view not in pinned]
    ranking = (
        *pinned,
        *(view for view in rest if view not in banned),
        *(view for view in rest if view in banned),
    )
    order = tuple(view for view in ranking[:k] if view not in banned)
    reasons = [Reason(ReasonKind.BEYOND_K)] * len(ranking)
    for view in order:
        reasons[view] = reason
    return Selection(order, ranking, with_pins_and_bans(evidence, reasons, order), note)


def with_pins_and_bans(
    evidence: Evidence, reasons: Iterable[Reason], order: tuple[int, ...]
) -> tuple[Reason, ...]:
    """``reasons`` with those of pinned and banned views put right."""
    reasons = list(reasons)
    for view in evidence.pinned:
        if view not in order:
            reasons[view] = Reason(ReasonKind.PINNED_BEYOND_K)
        elif not reasons[view].is_pinned:
            reasons[view] = Reason(ReasonKind.PINNED)
    for view in evidence.banned:
        reasons[view] = Reason(ReasonKind.BANNED)
    return tuple(reasons)


def nearest(evidence: Evidence) -> list[int]:
    """All views, those nearest in pose first."""
    return np.argsort(evidence.distance, kind="stable").tolist()


def by_votes(evidence: Evidence) -> list[int]:
    """All views, those with most votes first; of equals the oldest."""
    return np.argsort(-evidence.votes, kind="stable").tolist()


def fallback(evidence: Evidence, k: int) -> Selection:
    """The nearest poses, where no surfel is visible."""
    return top(evidence, nearest(evidence), k, Reason(ReasonKind.CHOSEN_NEAREST), NOTHING_VISIBLE)
