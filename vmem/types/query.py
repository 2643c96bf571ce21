"""What may be asked of memory besides where to look: K, strategy, and what a user wants to try.

A query is recorded with the retrieval that answers it, and so with the step that it led to.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any

import numpy as np

from vmem.errors import VMemError

DEFAULT_STRATEGY = "coverage"
"""What is used unless something else is asked for: it beats all others (docs/retrieval.md)."""

PUBLISHED = "cos/(1+z)"
"""What a pixel's vote counts in the paper, and here unless something else is asked for."""
WEIGHTINGS: Mapping[str, tuple[bool, bool]] = {
    PUBLISHED: (True, True),
    "cos": (True, False),
    "1/(1+z)": (False, True),
    "pixels": (False, False),
}
"""What a pixel's vote counts: whether by the cosine of its slant, and whether by its nearness (z is
the depth in scene units)."""


class RetrievalError(VMemError, ValueError):
    """A query that cannot be: unknown strategy, no views, K below 1."""


@dataclass(frozen=True)
class Query:
    """A question, without its targets.

    Raises RetrievalError for what cannot be asked.
    """

    k: int = 4
    """How many views to choose, at most."""
    strategy: str = DEFAULT_STRATEGY
    """A name of vmem.retrieval.strategies.STRATEGIES."""
    pinned: tuple[int, ...] = ()
    """Views that are always chosen, before all others and in this order, as far as K reaches."""
    banned: tuple[int, ...] = ()
    """Views that are never chosen: the answer is as if they could not be had."""
    suppression: float | None = None
    """Pose distance below which a view is left out in favour of a better one; None for the
    strategy's own. Only ``votes`` and ``coverage`` spread their choice so."""
    weighting: str | None = None
    """A name of WEIGHTINGS for votes and surface alike; None for the strategy's own: published
    votes, and in ``coverage`` surface by its pixels."""
    density: float = 1.0
    """Share of the surfels that are asked, as if memory held no more; the disks of those grow, so
    that surfaces stay closed. In (0, 1]."""

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int | np.integer) or self.k < 1:
            raise RetrievalError(
                f"k, the number of views to choose, must be whole and at least 1, got {self.k!r}"
            )
        if not isinstance(self.strategy, str):
            raise RetrievalError(f"a strategy is known by its name, got {self.strategy!r}")
        # A list of the names, so that what has no hash is unknown too.
        if self.weighting is not None and self.weighting not in list(WEIGHTINGS):
            known = ", ".join(WEIGHTINGS)
            raise RetrievalError(f"unknown weighting {self.weighting!r}: use one of {known}")
        if not (isinstance(self.density, Real) and 0 < self.density <= 1):
            raise RetrievalError(f"density must be above 0 and at most 1, got {self.density!r}")
        if self.suppression is not None and not (
            isinstance(self.suppression, Real) and 0 <= self.suppression < math.inf
        ):
            raise RetrievalError(f"suppression must be 0 or more, got {self.suppression!r}")
        for name in ("pinned", "banned"):
            try:
                object.__setattr__(self, name, view_numbers(getattr(self, name)))
            except TypeError as error:
                raise RetrievalError(f"{name} views are given by their numbers: {error}") from error
        both = set(self.pinned) & set(self.banned)
        if both:
            raise RetrievalError(f"view {min(both)} is pinned and banned: choose one")
        if len(set(self.pinned)) < len(self.pinned):
            raise RetrievalError(f"a view is pinned twice: {self.pinned}")

    @property
    def vote(self) -> str:
        """The name of WEIGHTINGS by which votes are counted."""
        return self.weighting or PUBLISHED

    def check_views(self, n_views: int) -> None:
        """RetrievalError if a view is named that a memory of ``n_views`` does not have."""
        for what, views in (("pins", self.pinned), ("bans", self.banned)):
            for view in views:
                if not 0 <= view < n_views:
                    raise RetrievalError(
                        f"the query {what} view {view}, but memory has {n_views} views"
                    )

    def to_json(self) -> dict[str, Any]:
        """As plain numbers, strings and lists; None where the strategy's own was left to rule."""
        return asdict(self) | {
            "k": int(self.k),
            "pinned": list(self.pinned),
            "banned": list(self.banned),
        }


def view_numbers(views: Iterable[int]) -> tuple[int, ...]:
    """``views`` as plain ints; TypeError for all else: text, a mapping, True, 1.0."""
    if isinstance(views, str | bytes | Mapping) or not isinstance(views, Iterable):
        raise TypeError(f"got {views!r}")
    numbers = tuple(views)
    try:
        if any(isinstance(view, bool) for view in numbers):
            raise TypeError
        return tuple(operator.index(view) for view in numbers)
    except TypeError:
        raise TypeError(f"got {numbers!r}, not whole numbers only") from None
