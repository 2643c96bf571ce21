"""The answer to a query: which views were chosen, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int32

from vmem.cameras import Cameras
from vmem.types import answer_text
from vmem.types.answer_text import PictureShares
from vmem.types.buffers import SurfelBuffers
from vmem.types.query import Query
from vmem.types.reasons import Reason


@dataclass(frozen=True, eq=False, repr=False)
class Retrieval:
    """The answer to a query for a batch of targets: V candidate views, S surfels, and why."""

    query: Query
    """What was asked."""
    targets: Cameras
    """The cameras of the frames to be made."""
    votes: Float32[np.ndarray, " V"]
    """Weight of the visible surfels that a view saw."""
    share: Float32[np.ndarray, " V"]
    """Share of all votes."""
    coverage: Float32[np.ndarray, " V"]
    """Share of the targets' covered pixels whose surfel the view saw."""
    pose_distance: Float32[np.ndarray, " V"]
    """Pose distance from the nearest target, radians."""
    rank: Int32[np.ndarray, " V"]
    """Place in the strategy's ranking, 0 first."""
    chosen: Bool[np.ndarray, " V"]
    """Whether the view was chosen."""
    reasons: tuple[Reason, ...]
    """Why each view was chosen or left out."""
    order: tuple[int, ...]
    """Chosen views, best first."""
    surfel_weight: Float32[np.ndarray, " S"]
    """Vote of each surfel, 0 where no target sees it."""
    surfel_pixels: Float32[np.ndarray, " S"]
    """Pixels that each surfel covers, at query size."""
    buffers: tuple[SurfelBuffers, ...]
    """What each target sees of memory, at query size."""
    picture: PictureShares
    """What the targets' pictures consist of."""
    note: str
    """What is unusual about this answer, or ""."""

    def __repr__(self) -> str:
        views = ", ".join(map(str, self.order)) or "none"
        return f"<Retrieval by {self.strategy}, k={self.k}: {views} of {len(self.votes)} views>"

    def summary(self, step: int | None = None, *, supposed: bool = False) -> str:
        """Three sentences of Markdown: which views were used, why the best other was not, and how
        much the generator has to invent.

        step: that the answer led to; None for one that would lead on from here · supposed: the step
        was made with another query, and this is what would have led to it.
        """
        return answer_text.summary(self, step, supposed=supposed)

    @property
    def best_left_out(self) -> int | None:
        """The view with most votes that was not chosen, the oldest of equals, or None."""
        return answer_text.best_left_out(self)

    def plain_reason(self, view: int) -> str:
        """Why a view was not chosen, as a clause without terms of the paper; of a chosen
        view the strategy's own reason."""
        return answer_text.plain_reason(self, view)

    @property
    def strategy(self) -> str:
        """The strategy that chose."""
        return self.query.strategy

    @property
    def k(self) -> int:
        """How many views it was to choose, at most."""
        return self.query.k

    def to_json(self) -> dict[str, Any]:
        """Everything but the buffers, as plain numbers and strings."""
        rows = [
            {
                "view": view,
                "votes": float(self.votes[view]),
                "share": float(self.share[view]),
                "coverage": float(self.coverage[view]),
                "pose_distance": float(self.pose_distance[view]),
                "rank": int(self.rank[view]),
                "chosen": bool(self.chosen[view]),
                "reason": str(self.reasons[view]),
            }
            for view in range(len(self.votes))
        ]
        return {
            "strategy": self.strategy,
            "k": int(self.k),
            "query": self.query.to_json(),
            "targets": self.targets.c2w.tolist(),
            "chosen": list(self.order),
            "note": self.note,
            "views": rows,
        }
