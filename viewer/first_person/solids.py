"""What a walker must keep clear of: the surfels of memory, a point a cell."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from vmem.arrays import F32

CELL = 0.04
"""Scene units along a side of a cell."""


class Solids:
    """The cells that have surfels. What surfels add costs by their number, not by that of cells."""

    def __init__(self) -> None:
        self._cells: set[int] = set()

    def added(self, position: Float32[np.ndarray, "N 3"]) -> F32:
        """(P, 3) one of the surfels in every cell that had none before."""
        cells = np.floor(position / CELL).astype(np.int64)
        # 21 bits an axis: 40 km of scene at this size of a cell.
        keys = ((cells & 0x1FFFFF) << np.array([42, 21, 0])).sum(axis=1)
        keys, first = np.unique(keys, return_index=True)
        new = [key not in self._cells for key in keys.tolist()]
        self._cells.update(keys[new].tolist())
        return position[np.sort(first[new])]
