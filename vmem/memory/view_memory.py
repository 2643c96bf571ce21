"""The view memory: append-only arrays, so that undo is truncation and a snapshot is a slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vmem.memory.growing_links import GrowingLinks
from vmem.memory.snapshot import MemorySnapshot
from vmem.raster.blocks import extended as extended_blocks
from vmem.types import StepEnd, StepRecord, Surfels


class ViewMemory:
    """Grows by whole steps, shrinks by whole steps, hands out snapshots.

    One writer; any number of readers of snapshots, which no later append or truncate changes.
    """

    def __init__(self) -> None:
        self._position = _GrowingArray(np.zeros((0, 3), np.float32))
        self._normal = _GrowingArray(np.zeros((0, 3), np.float32))
        self._radius = _GrowingArray(np.zeros(0, np.float32))
        self._color = _GrowingArray(np.zeros((0, 3), np.uint8))
        self._link_surfel = _GrowingArray(np.zeros(0, np.int32))
        self._link_view = _GrowingArray(np.zeros(0, np.int32))
        self._seen_by = GrowingLinks()
        self._snapshot = MemorySnapshot.empty()

    def snapshot(self) -> MemorySnapshot:
        """The memory as of the last complete append or truncate."""
        return self._snapshot

    def append(self, record: StepRecord) -> None:
        """Add one step. The snapshot changes in one assignment, at the very end.

        Raises what `grown` raises; the memory is as it was then.
        """
        self.adopt(self.grown(record))

    def grown(self, record: StepRecord, onto: MemorySnapshot | None = None) -> MemorySnapshot:
        """What the snapshot would be with one step more, for `adopt`; this one stays as it is.

        onto: the last that this memory returned from here, to add several steps. Raises SurfelError
        for new surfels that no disk can be, LinkError for links to what is not there.
        """
        record.surfels.validated()
        now = self._snapshot if onto is None else onto
        surfels, links = len(now.surfels), len(now.link_surfel)
        end = StepEnd(
            len(now.views) + len(record.views),
            surfels + len(record.surfels),
            links + len(record.link_surfel),
        )
        seen_by = self._seen_by.extended(
            now.seen_by, end.n_surfels, end.n_views, record.link_surfel, record.link_view
        )
        grown = Surfels(
            self._position.extended(surfels, record.surfels.position),
            self._normal.extended(surfels, record.surfels.normal),
            self._radius.extended(surfels, record.surfels.radius),
            self._color.extended(surfels, record.surfels.color),
        )
        return MemorySnapshot(
            grown,
            self._link_surfel.extended(links, record.link_surfel),
            self._link_view.extended(links, record.link_view),
            (*now.views, *record.views),
            (*now.steps, end),
            (*now.retrievals, record.retrieval),
            extended_blocks(now.blocks, grown),
            seen_by,
            now,
        )

    def adopt(self, snapshot: MemorySnapshot) -> None:
        """Make ``snapshot``, one of `grown` or an earlier one's `at_step`, the present one."""
        self._snapshot = snapshot

    def truncate(self, step: int) -> None:
        """Forget every step after ``step`` (0 keeps the photo alone).

        Raises MemoryStateError if there is no such step.
        """
        self._snapshot = self._snapshot.at_step(step)

    @property
    def nbytes(self) -> dict[str, int]:
        """Bytes held for "surfels" and "links": room for growth and indices included, views not."""
        surfels = (self._position, self._normal, self._radius, self._color)
        blocks, seen_by = self._snapshot.blocks, self._snapshot.seen_by
        index = blocks.sphere.nbytes + blocks.cone.nbytes + seen_by.start.nbytes
        if len(seen_by.stop) and not np.shares_memory(seen_by.start, seen_by.stop):
            index += seen_by.stop.nbytes
        grown = self._seen_by.nbytes
        index += grown["surfels"]
        links = self._link_surfel.nbytes + self._link_view.nbytes + grown["links"]
        return {"surfels": index + sum(array.nbytes for array in surfels), "links": links}


class _GrowingArray:
    """An array with room at its end. Rows once written are never written again."""

    def __init__(self, empty: NDArray) -> None:
        self._buffer = empty
        self._written = 0

    @property
    def nbytes(self) -> int:
        """Bytes held, room included."""
        return self._buffer.nbytes

    def extended(self, n: int, rows: NDArray) -> NDArray:
        """A read-only view of the first ``n`` rows followed by ``rows``.

        Rows beyond ``n`` may belong to older snapshots (after a truncate): then, as when the room
        is used up, everything moves to a new buffer.
        """
        size = n + len(rows)
        if n != self._written or size > len(self._buffer):
            room = max(size + size // 4, 1024)
            buffer = np.empty((room, *self._buffer.shape[1:]), self._buffer.dtype)
            buffer[:n] = self._buffer[:n]
        else:
            buffer = self._buffer
        buffer[n:size] = rows
        self._buffer, self._written = buffer, size
        view = buffer[:size]
        view.flags.writeable = False
        return view
