"""What two memories of one walk have in common."""

from __future__ import annotations

from bisect import bisect_left

from vmem.memory.snapshot import MemorySnapshot


def shared_steps(a: MemorySnapshot, b: MemorySnapshot) -> int:
    """How many leading steps two memories have in common: the very same views.

    A step has one way to it in a history, so where two memories share a step they share all before
    it; hence few comparisons, however long the walk is.
    """

    def differs(step: int) -> bool:
        one, other = a.steps[step], b.steps[step]
        return one != other or a.views[one.n_views - 1] is not b.views[other.n_views - 1]

    return bisect_left(range(min(len(a.steps), len(b.steps))), True, key=differs)


def shared_views(a: MemorySnapshot, b: MemorySnapshot) -> int:
    """How many leading views two memories have in common."""
    steps = shared_steps(a, b)
    return a.steps[steps - 1].n_views if steps else 0
