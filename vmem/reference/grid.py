"""The published merge over a hash grid that grows by insertion.

The octree decides two things: which surfels lie within the radius, which needs no tree, and which
of them comes first in its order, to be credited. Of the order only the nodes that hold a match
matter, so they are visited here without ever building the tree: a node is its box, the boxes above
it tell which points it holds, and the grid tells whether those are more than fit a leaf. Every
comparison is the octree's, in float32, so the answer is the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vmem.parallel import run_sliced, thread_count
from vmem.reference import grid_kernels as kernels
from vmem.reference.merge import Merge, merge_threshold
from vmem.reference.surfels import Disks
from vmem.surfels import SurfelError
from vmem.views import F32

CELL = 2.0
"""Side of a cell over the merge radius."""
NEW_A_THREAD = 256


class HashGridMerge:
    """Merges new disks into all that it has kept so far, at a cost that hardly depends on these.

    Gives the result of ``merge.merge_reference`` on the same disks, bit for bit. An open-addressed
    table leads from a cell to a list of the disks in it; both only grow. The grid is laid out anew
    when it outgrows its table or the radius has left the size of its cells.
    """

    def __init__(self, normal_threshold: float = 0.6) -> None:
        self.normal_threshold = np.float32(normal_threshold)
        self._n = 0
        self._position = np.zeros((1024, 3), np.float32)
        self._normal = np.zeros((1024, 3), np.float32)
        self._radius = np.zeros(1024, np.float32)
        self._next = np.zeros(1024, np.int32)
        self._table = kernels.empty_table(2048)
        self._cell = 0.0
        self._low = np.full(3, np.inf, np.float32)
        self._high = np.full(3, -np.inf, np.float32)

    def __len__(self) -> int:
        return self._n

    @property
    def disks(self) -> Disks:
        """All that was kept, in order; views that later merges do not change."""
        n = self._n
        return Disks(self._position[:n], self._normal[:n], self._radius[:n])

    def merge(self, new: Disks) -> Merge:
        """Find what stands for each new disk among those kept before, then keep the others.

        Raises SurfelError for a position that is not finite.
        """
        threshold = merge_threshold(self._radius[: self._n], new.radius)
        merge = Merge(self.credited(new, threshold), threshold)
        self.append(new[merge.kept])
        return merge

    def credited(self, new: Disks, threshold: np.float32) -> NDArray[np.int32]:
        """(M,) i32 the kept disk that the octree would find first for each new one, or -1.

        Raises SurfelError for a position that is not finite.
        """
        _check_finite(new)
        found = np.full(len(new), -1, np.int32)
        if not self._n or not len(new) or not threshold >= 0:
            return found
        if not threshold <= self._cell <= 8 * threshold:
            self._cell = max(CELL * float(threshold), 1e-30)
            self._lay_out()
        half = np.max(self._high - self._low) / np.float32(2)
        root = np.array([*((self._low + self._high) / np.float32(2)), half], np.float32)
        position, normal = self._position[: self._n], self._normal[: self._n]

        def search(part: int, start: int, stop: int) -> None:
            kernels.search(
                new.position[start:stop],
                new.normal[start:stop],
                np.float32(threshold),
                self.normal_threshold,
                position,
                normal,
                self._next,
                *self._table,
                self._cell,
                root,
                found[start:stop],
            )

        run_sliced(search, len(new), max(1, min(thread_count(), len(new) // NEW_A_THREAD)))
        return found

    def append(self, disks: Disks) -> None:
        """Keep disks without merging them. Raises SurfelError for a position that is not finite."""
        _check_finite(disks)
        if not len(disks):
            return
        start, self._n = self._n, self._n + len(disks)
        self._position = _with_room(self._position, start, disks.position)
        self._normal = _with_room(self._normal, start, disks.normal)
        self._radius = _with_room(self._radius, start, disks.radius)
        if self._n > len(self._next):
            self._next = np.resize(self._next, len(self._position))
        self._low = np.minimum(self._low, disks.position.min(axis=0))
        self._high = np.maximum(self._high, disks.position.max(axis=0))
        if 2 * self._n > len(self._table[0]):
            self._lay_out()
        elif self._cell:
            kernels.insert(self._position[: self._n], start, self._next, *self._table, self._cell)

    def _lay_out(self) -> None:
        size = len(self._table[0])
        while size < 2 * self._n:
            size *= 4
        self._table = kernels.empty_table(size)
        if self._cell:
            kernels.insert(self._position[: self._n], 0, self._next, *self._table, self._cell)


def _check_finite(disks: Disks) -> None:
    if not np.isfinite(disks.position).all():
        raise SurfelError("disks to merge need finite positions")


def merge_over_grid(existing: Disks, new: Disks, normal_threshold: float = 0.6) -> Merge:
    """What ``merge.merge_reference`` gives, for once and without a tree."""
    grid = HashGridMerge(normal_threshold)
    grid.append(existing)
    threshold = merge_threshold(existing.radius, new.radius)
    return Merge(grid.credited(new, threshold), threshold)


def _with_room(buffer: F32, start: int, rows: F32) -> F32:
    """The buffer, or a larger copy of its first ``start`` rows, and ``rows`` after them."""
    stop = start + len(rows)
    if stop > len(buffer):
        larger = np.empty((max(stop, 2 * len(buffer)), *buffer.shape[1:]), buffer.dtype)
        larger[:start] = buffer[:start]
        buffer = larger
    buffer[start:stop] = rows
    return buffer
