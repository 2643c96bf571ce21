"""What one step is asked to make, what it adds to memory, and where it ends."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Int32

from vmem.cameras import Cameras
from vmem.errors import VMemError
from vmem.types.association import AssociationConfig
from vmem.types.query import Query
from vmem.types.retrieval import Retrieval
from vmem.types.surfels import Surfels
from vmem.types.views import View


class RequestError(VMemError, ValueError):
    """Data that is no step request."""


@dataclass(frozen=True, eq=False)
class StepRequest:
    """Everything that a step's result depends on, beside the memory and the backend.

    It is stored with the step: the same requests in the same order, on the same photo and machine,
    give the same walk bit for bit.
    """

    targets: Cameras
    """Cameras of the frames to make, at the walk's frame size."""
    query: Query
    """What memory is asked for context."""
    seed: int = 0
    """Fixes everything that is invented."""
    sampler: str | None = None
    """One of the backend's ``samplers``; None where the backend has none or its default serves."""
    association: AssociationConfig = field(default_factory=AssociationConfig)
    """How the new views enter memory."""
    label: str = "walk"
    """What the history calls the step."""

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, strings and lists; every float is kept exactly."""
        return {
            "targets": {
                "c2w": self.targets.c2w.tolist(),
                "K": self.targets.K.tolist(),
                "hw": list(self.targets.hw),
            },
            "query": self.query.to_json(),
            "seed": int(self.seed),
            "sampler": self.sampler,
            "association": asdict(self.association),
            "label": self.label,
        }

    @staticmethod
    def from_json(row: dict[str, Any]) -> StepRequest:
        """The request that `to_json` wrote. Raises CameraError or RetrievalError for values that
        cannot be, RequestError for another shape of data."""
        try:
            targets, query = row["targets"], dict(row["query"])
            for name in ("pinned", "banned"):
                query[name] = tuple(query[name])
            return StepRequest(
                Cameras(np.array(targets["c2w"]), np.array(targets["K"]), tuple(targets["hw"])),
                Query(**query),
                row["seed"],
                row["sampler"],
                AssociationConfig(**row["association"]),
                row["label"],
            )
        except VMemError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise RequestError(
                f"this is no step request as StepRequest.to_json writes it: {error!r}"
            ) from error


@dataclass(frozen=True, eq=False, repr=False)
class StepRecord:
    """All that one step adds, ready to be appended, and appended again after an undo."""

    views: tuple[View, ...]
    """The new views, in the order of the targets."""
    surfels: Surfels
    """Surfels that the new views spawned."""
    link_surfel: Int32[np.ndarray, " L"]
    """Surfel of each new link, in the numbering of the memory that the record was made for."""
    link_view: Int32[np.ndarray, " L"]
    """View of each new link, in that numbering."""
    retrieval: Retrieval | None
    """The answer that led to the step; None for the photo."""
    note: str = ""
    """What the geometry says of the step: one line, or ""."""
    request: StepRequest | None = None
    """What was asked for; None for the photo."""

    def __repr__(self) -> str:
        surfels, links = len(self.surfels), len(self.link_surfel)
        return f"<StepRecord: {len(self.views)} views, {surfels:,} surfels, {links:,} links>"


@dataclass(frozen=True)
class StepEnd:
    """Sizes of the memory's arrays when a step was complete."""

    n_views: int
    n_surfels: int
    n_links: int
