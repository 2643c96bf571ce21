"""The answer to a query: which views were chosen, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vmem.arrays import F32
from vmem.cameras import Cameras
from vmem.types.buffers import SurfelBuffers
from vmem.types.query import Query
from vmem.types.reasons import Reason


@dataclass(frozen=True, eq=False)
class Retrieval:
    """The answer for a batch of targets, with its reasons. V candidate views, S surfels.

    votes (V,) f32 weight of the visible surfels that a view saw · share (V,) f32 of all votes ·
    coverage (V,) f32 share of the targets' covered pixels whose surfel the view saw ·
    pose_distance (V,) f32 from the nearest target · rank (V,) i32 by the strategy, 0 first ·
    chosen (V,) bool · reasons, one a view · order: chosen views, best first · surfel_weight (S,)
    f32 vote of each surfel, 0 where unseen · surfel_pixels (S,) f32 pixels it covers · buffers:
    what each target sees of memory, at query size · note: what is unusual about this answer, or "".
    """

    query: Query
    targets: Cameras
    votes: F32
    share: F32
    coverage: F32
    pose_distance: F32
    rank: NDArray[np.int32]
    chosen: NDArray[np.bool_]
    reasons: tuple[Reason, ...]
    order: tuple[int, ...]
    surfel_weight: F32
    surfel_pixels: F32
    buffers: tuple[SurfelBuffers, ...]
    note: str

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
