"""The retrieval strategies by name: one row a strategy, and `register` for those of others."""

from __future__ import annotations

from collections.abc import Callable

from vmem.retrieval.evidence import Evidence, Selection, SelectionConfig, Strategy
from vmem.retrieval.strategies.baselines import fov, pose, temporal
from vmem.retrieval.strategies.coverage import coverage
from vmem.retrieval.strategies.published import reference
from vmem.retrieval.strategies.votes import votes
from vmem.types import RetrievalError

__all__ = ["STRATEGIES", "Evidence", "Selection", "SelectionConfig", "Strategy", "register"]

STRATEGIES: dict[str, Strategy] = {
    "votes": votes,
    "coverage": coverage,
    "temporal": temporal,
    "pose": pose,
    "fov": fov,
    "reference": reference,
}
"""Name -> strategy, in the order in which user interfaces list them."""


def register(name: str) -> Callable[[Strategy], Strategy]:
    """Decorate a strategy to make it known under ``name``: to `vmem.ask`, sessions and the viewer.

    Replaces what had that name before. Returns the function unchanged. Raises RetrievalError for
    what is no name or cannot be called.
    """
    if not isinstance(name, str) or not name:
        raise RetrievalError(f'a strategy needs a name, as in @register("mine"): got {name!r}')

    def add(strategy: Strategy) -> Strategy:
        if not callable(strategy):
            raise RetrievalError(f"strategy {name!r} must be a function, got {strategy!r}")
        STRATEGIES[name] = strategy
        return strategy

    return add
