"""What the retrieval debugger shows: a retrieval, and what it is of."""

from __future__ import annotations

from dataclasses import dataclass

from vmem.memory import MemorySnapshot
from vmem.types import Retrieval


@dataclass(frozen=True, eq=False)
class Explained:
    """A retrieval that is shown.

    memory: all that is shown, which may be longer than what the retrieval saw · step that it led
    to, None for the ghost's · what_if: a step's, but asked anew with the present query · ms: what
    asking took, 0 for what was kept.
    """

    memory: MemorySnapshot
    retrieval: Retrieval
    step: int | None
    what_if: bool = False
    ms: float = 0.0
