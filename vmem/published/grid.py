"""The published merge over a hash grid that grows by insertion, for memories of many disks.

The octree of ``merge`` is built for every frame, in Python: at a million disks that takes hours.
This form stays beside it because ``as_memory`` fills whole memories for ``vmem.evaluation``, and
because the benchmarks ``merge.ratio_reference``, ``merge.10k_into_1m.cpu_ms`` and
``merge.growth_1m_over_100k`` measure it; their limits are in docs/NOTES.md.

The octree decides two things: which disks lie within the radius, which needs no tree, and which of
them comes first in its order, to be credited. For the order only the nodes that hold a match
matter, and they are visited here without building the tree: a node is its box, the boxes above it
tell which disks it holds, and the grid tells whether those are more than fit a leaf. Every
comparison is the octree's, in float32, so the answer is the same.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int32

from vmem.arrays import F32
from vmem.kernels.parallel import run_sliced, thread_count
from vmem.published import grid_kernels as kernels
from vmem.published.merge import Merge, merge_threshold
from vmem.published.pairwise import mean_and_std
from vmem.published.surfels import Disks
from vmem.types import SurfelError

CELL = 2.0
"""Side of a cell over the merge radius."""
NEW_A_THREAD = 256
"""New disks that are worth a thread of their own."""


class HashGridMerge:
    """Merges new disks into all that it has kept so far, at a cost that hardly depends on these.

    Gives the result of ``merge.merge_reference`` on the same disks, bit for bit. The tables only
    grow; they are filled again when they are full, or when the radius no longer suits the cells.
    """

    def __init__(self, normal_threshold: float = 0.6) -> None:
        self.normal_threshold = np.float32(normal_threshold)
        self._n = 0
        self._rows = np.zeros((1024, 8), np.float32)
        self._radius = np.zeros(1024, np.float32)
        self._room(256)
        self._cell = 0.0
        self._low = np.full(3, np.inf, np.float32)
        self._high = np.full(3, -np.inf, np.float32)

    def __len__(self) -> int:
        return self._n

    @property
    def disks(self) -> Disks:
        """A copy of all that was kept, in order."""
        rows = self._rows[: self._n]
        return Disks(rows[:, :3].copy(), rows[:, 4:7].copy(), self._radius[: self._n].copy())

    def merge(self, new: Disks) -> Merge:
        """Find the disk among those kept before for each new one to merge into; keep the others.

        Raises SurfelError for a position that is not finite.
        """
        threshold = self._threshold(new.radius)
        merge = Merge(self.credited(new, threshold), threshold)
        self.append(new[merge.kept])
        return merge

    def _threshold(self, new: F32) -> np.float32:
        """``merge_threshold`` of all radii with the new ones."""
        self._radius = _with_room(self._radius, self._n, new)
        total = self._n + len(new)
        if not total:
            return np.float32(np.nan)
        mean, std = mean_and_std(self._radius[:total])
        return mean + np.float32(0.5) * std

    def credited(self, new: Disks, threshold: np.float32) -> Int32[np.ndarray, " M"]:
        """The kept disk that the octree would find first for each new one, or -1.

        Raises SurfelError for a position that is not finite.
        """
        _check_finite(new)
        found = np.full(len(new), -1, np.int32)
        if not self._n or not len(new) or not threshold >= 0:
            return found
        if not self._cell or not threshold <= self._cell <= 8 * threshold:
            self._cell = max(CELL * float(threshold), 1e-30)
            self._room(len(self._heads))
            self._insert(0)
        half = np.max(self._high - self._low) / np.float32(2)
        root = np.array([*((self._low + self._high) / np.float32(2)), half], np.float32)

        rows, links = self._rows, self._rows.view(np.int32)
        held = rows, links, self._index, self._heads, self._cell, self._n

        limits = np.float32(threshold), self.normal_threshold

        def search(part: int, start: int, stop: int) -> None:
            some = slice(start, stop)
            kernels.search(new.position[some], new.normal[some], *limits, root, held, found[some])

        run_sliced(search, len(new), max(1, min(thread_count(), len(new) // NEW_A_THREAD)))
        return found

    def append(self, disks: Disks) -> None:
        """Keep disks without merging them. Raises SurfelError for a position that is not finite."""
        _check_finite(disks)
        if not len(disks):
            return
        start, self._n = self._n, self._n + len(disks)
        rows = np.zeros((len(disks), 8), np.float32)
        rows[:, :3], rows[:, 4:7] = disks.position, disks.normal
        self._rows = _with_room(self._rows, start, rows)
        self._radius = _with_room(self._radius, start, disks.radius)
        self._low = np.minimum(self._low, disks.position.min(axis=0))
        self._high = np.maximum(self._high, disks.position.max(axis=0))
        if self._cell:
            self._insert(start)

    def _room(self, blocks: int) -> None:
        """Begin with empty tables that have room for so many blocks of cells, a power of two."""
        self._index = np.full((2 * blocks, 2), kernels.FREE, np.int64)
        self._heads = np.full((blocks, 64), -1, np.int32)
        self._blocks = 0

    def _insert(self, start: int) -> None:
        """Put the disks from ``start`` on into their cells; all of them where room runs out."""
        rows, links = self._rows, self._rows.view(np.int32)
        while start < self._n:
            start, self._blocks = kernels.insert(
                rows, links, start, self._n, self._index, self._heads, self._blocks, self._cell
            )
            if start < self._n:
                self._room(2 * len(self._heads))
                start = 0


def _check_finite(disks: Disks) -> None:
    if not np.isfinite(disks.position).all():
        raise SurfelError("disks to merge need finite positions")


def merge_over_grid(existing: Disks, new: Disks, normal_threshold: float = 0.6) -> Merge:
    """What ``merge.merge_reference`` gives, without a tree: a grid for this one merge."""
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
