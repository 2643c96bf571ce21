"""What one step adds to memory, and where it ends."""

from __future__ import annotations

from dataclasses import dataclass

from vmem.arrays import I32
from vmem.types.retrieval import Retrieval
from vmem.types.surfels import Surfels
from vmem.types.views import View


@dataclass(frozen=True, eq=False)
class StepRecord:
    """All that one step adds, ready to be appended, and appended again after an undo.

    views · surfels spawned · link_surfel, link_view (L,) i32 in the numbering of the memory that
    the record was made for · the retrieval that led to it (None for the photo) · note: what the
    geometry says of the step, one line or "".
    """

    views: tuple[View, ...]
    surfels: Surfels
    link_surfel: I32
    link_view: I32
    retrieval: Retrieval | None
    note: str = ""


@dataclass(frozen=True)
class StepEnd:
    """Sizes of the arrays when a step was complete."""

    n_views: int
    n_surfels: int
    n_links: int
