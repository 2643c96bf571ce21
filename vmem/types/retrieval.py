"""The answer to a query: which views were chosen, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

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


@dataclass(frozen=True, eq=False)
class Sparse:
    """An array of n numbers of which most are 0."""

    at: Int32[np.ndarray, " m"]
    """Where they are not."""
    value: Float32[np.ndarray, " m"]
    n: int

    @staticmethod
    def of(array: Float32[np.ndarray, " n"]) -> Sparse:
        """The numbers of ``array`` that are not 0, copied."""
        at = np.flatnonzero(array).astype(np.int32)
        return Sparse(at, array[at], len(array))

    def dense(self) -> Float32[np.ndarray, " n"]:
        """The whole array."""
        array = np.zeros(self.n, np.float32)
        array[self.at] = self.value
        return array


@dataclass(frozen=True, eq=False)
class RetrievalOutline:
    """What is at hand of a stored Retrieval: what a walk's overview shows of every step. It holds
    nothing of the size of the memory that was asked."""

    query: Query
    targets: Cameras
    order: tuple[int, ...]
    picture: PictureShares
    note: str
    share: Sparse

    @staticmethod
    def of(whole: Retrieval) -> RetrievalOutline:
        """The outline of a retrieval."""
        share = Sparse.of(whole.share)
        return RetrievalOutline(
            whole.query, whole.targets, whole.order, whole.picture, whole.note, share
        )


class StoredRetrieval(Retrieval):
    """A Retrieval that is read whole when more than its outline is asked for; a reader keeps what
    it likes.

    Asking raises what the reader raises. Copies and pickles are plain Retrievals.
    """

    @staticmethod
    def of(outline: RetrievalOutline, read: Callable[[], Retrieval]) -> StoredRetrieval:
        """The retrieval of ``outline`` whose other fields are those of ``read()``."""
        retrieval = object.__new__(StoredRetrieval)
        held = {name.name: getattr(outline, name.name) for name in fields(outline)}
        share = held.pop("share")
        vars(retrieval).update(held, _share=share, _read=read)
        return retrieval

    if not TYPE_CHECKING:  # to a type checker every attribute would exist

        def __getattr__(self, name: str) -> Any:
            held = vars(self)
            if "_read" not in held or name not in Retrieval.__dataclass_fields__:
                raise AttributeError(f"a retrieval has no {name!r}")
            return held["_share"].dense() if name == "share" else getattr(held["_read"](), name)

    def __reduce__(self) -> tuple[Any, ...]:
        return Retrieval, tuple(getattr(self, name.name) for name in fields(Retrieval))


@dataclass(frozen=True, eq=False)
class PackedRetrieval:
    """A Retrieval without room for surfels that no target sees, for walks that have no file."""

    whole: Retrieval
    """All but the arrays over surfels, which are empty."""
    weight: Sparse
    pixels: Sparse

    @staticmethod
    def of(whole: Retrieval) -> PackedRetrieval:
        """Pack a retrieval."""
        none = np.zeros(0, np.float32)
        kinds: dict[Reason, Reason] = {}
        reasons = tuple(kinds.setdefault(reason, reason) for reason in whole.reasons)
        return PackedRetrieval(
            replace(whole, surfel_weight=none, surfel_pixels=none, reasons=reasons),
            Sparse.of(whole.surfel_weight),
            Sparse.of(whole.surfel_pixels),
        )

    def unpacked(self) -> Retrieval:
        """The retrieval that was packed, equal bit for bit."""
        weight, pixels = self.weight.dense(), self.pixels.dense()
        return replace(self.whole, surfel_weight=weight, surfel_pixels=pixels)
