"""What a walker must keep clear of: the surfels of memory, a point a cell."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from vmem.arrays import F32

CELL = 0.04
"""Scene units along a side of a cell."""


def solid_points(position: Float32[np.ndarray, "N 3"], known: Float32[np.ndarray, "M 3"]) -> F32:
    """(P, 3) one of the surfels in every cell that has some and none of the ``known`` points."""
    cells = np.floor(np.concatenate([known, position]) / CELL).astype(np.int64)
    # 21 bits an axis: 40 km of scene at this size of a cell.
    keys = ((cells & 0x1FFFFF) << np.array([42, 21, 0])).sum(axis=1)
    first = np.unique(keys, return_index=True)[1]
    return position[np.sort(first[first >= len(known)]) - len(known)]
