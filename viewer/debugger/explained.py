"""The retrieval that is explained, what it belongs to, and which of its views a table lists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from viewer.settings import RowCount
from vmem.memory import MemorySnapshot
from vmem.types import Retrieval

MOST_ROWS = 256
"""Views that a table lists at most, but for the selected ones."""


@dataclass(frozen=True, eq=False)
class Explained:
    """A retrieval that is explained."""

    memory: MemorySnapshot
    """All that is shown, which may be longer than what the retrieval was asked of."""
    retrieval: Retrieval
    """The answer."""
    step: int | None
    """The step that it led to; None for the ghost's."""
    what_if: bool = False
    """Whether it is a step's, but asked again with the present query."""
    ms: float = 0.0
    """Milliseconds that asking took; 0 for what was stored with the step."""

    def fits(self, memory: MemorySnapshot) -> bool:
        """Whether every view and surfel that it speaks of is in ``memory``."""
        known = len(self.retrieval.votes), len(self.retrieval.surfel_weight)
        return known[0] <= len(memory.views) and known[1] <= len(memory.surfels)


def listed(retrieval: Retrieval, rows: RowCount) -> tuple[int, ...]:
    """Views that a table of ``rows`` lists: the selected ones in order, the best one left out,
    then by rank. Never fewer than the selected ones; of "all" no more than MOST_ROWS.
    """
    chosen = retrieval.chosen
    rest = [int(view) for view in np.argsort(retrieval.rank) if not chosen[view]]
    best = retrieval.best_left_out
    if best is not None:
        # The summary above the table names it, and strategies such as temporal rank it far down.
        rest.remove(best)
        rest.insert(0, best)
    most = MOST_ROWS if rows == "all" else int(rows)
    return (*retrieval.order, *rest)[: max(most, len(retrieval.order))]
