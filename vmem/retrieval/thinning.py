"""A memory with fewer surfels, to ask what would be retrieved if it held no more."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Int32

from vmem.memory import MemorySnapshot
from vmem.types import Surfels


@dataclass(frozen=True, eq=False)
class Thinned:
    """A memory of some of another's surfels."""

    memory: MemorySnapshot
    """Of the kept surfels only."""
    kept: Int32[np.ndarray, " n"]
    """What they were in the whole memory."""


_latest: WeakKeyDictionary[MemorySnapshot, tuple[float, Thinned]] = WeakKeyDictionary()


def kept_surfels(n: int, density: float) -> Int32[np.ndarray, " kept"]:
    """About ``density * n`` of the indices below ``n``, ascending and evenly spread.

    The same for the same numbers, and what a lower density keeps, a higher one keeps too.
    """
    index = np.arange(n, dtype=np.uint32)
    # Low bits of a product by an odd number near 2^32 / phi spread evenly.
    chance = (index * np.uint32(2654435769)).astype(np.float64) * 2.0**-32
    return np.flatnonzero(chance < density).astype(np.int32)


def thinned(memory: MemorySnapshot, density: float) -> Thinned:
    """``memory`` with a share of its surfels, radii grown by ``1 / sqrt(density)``.

    So the disks cover as much as before. The latest answer for each memory is kept.
    """
    known = _latest.get(memory)
    if known is not None and known[0] == density:
        return known[1]
    from vmem.memory import MemorySnapshot

    kept = kept_surfels(len(memory.surfels), density)
    number = np.full(len(memory.surfels), -1, np.int32)
    number[kept] = np.arange(len(kept), dtype=np.int32)
    links = number[memory.link_surfel] >= 0
    surfels = memory.surfels
    few = MemorySnapshot(
        Surfels(
            surfels.position[kept],
            surfels.normal[kept],
            surfels.radius[kept] / np.float32(np.sqrt(density)),
            surfels.color[kept],
        ),
        number[memory.link_surfel[links]],
        memory.link_view[links],
        memory.views,
        memory.steps,
        memory.retrievals,
    )
    answer = Thinned(few, kept)
    _latest[memory] = (density, answer)
    return answer
