"""Surfels in the memory of a GPU, kept equal to the caller's arrays by sending what changed.

Surfels lie in chunks of a fixed size: growing moves nothing, and no buffer meets a device's limit.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8, UInt32
from numpy.typing import NDArray

from vmem.arrays import F32
from vmem.types import Surfels

CHUNK = 1 << 18
"""Surfels in one buffer: 8 MiB."""
ROW = 8
"""Floats of a surfel: position, radius, normal, nothing."""
COMPARED_AT_ONCE = 1 << 14


def drawable(rows: Float32[np.ndarray, "S 8"]) -> Float32[np.ndarray, "S 8"]:
    """A copy of rows, zero where they are no disks: not finite, or without a radius."""
    fine = np.isfinite(rows).all(axis=1) & (rows[:, 3] > 0)
    return np.where(fine[:, None], rows, np.float32(0))


class Origin:
    """Where rows came from: enough to know them again without looking at them.

    Only read-only arrays are known again: by the memory's rule (``vmem.memory.view_memory``) the
    rows of a buffer that is handed out read-only are never written a second time.
    """

    def __init__(self, surfels: Surfels) -> None:
        self._parts = [_identity(array) for array in _arrays(surfels)]

    def is_also_of(self, surfels: Surfels) -> bool:
        """Whether both start at the same row of the same buffers."""
        for mine, array in zip(self._parts, _arrays(surfels), strict=True):
            other = _identity(array)
            if mine is None or other is None:
                return False
            (owner, address), (other_owner, other_address) = mine, other
            if owner() is not other_owner() or owner() is None or address != other_address:
                return False
        return True


def _arrays(surfels: Surfels) -> tuple[NDArray, NDArray, NDArray]:
    return surfels.position, surfels.normal, surfels.radius


def _identity(array: NDArray) -> tuple[weakref.ref[NDArray], int] | None:
    """The array that owns the memory, and where in it the rows begin; None if they may change, or
    do not follow one another."""
    if array.flags.writeable or not array.flags.c_contiguous:
        return None
    owner = array if array.base is None else array.base
    if not isinstance(owner, np.ndarray):
        return None
    return weakref.ref(owner), array.__array_interface__["data"][0]


def _bits(values: F32) -> NDArray[np.uint32]:
    return np.ascontiguousarray(values, np.float32).view(np.uint32)


class SurfelStore:
    """The device's copy of one memory's surfels. Not safe for threads: the engine locks."""

    def __init__(self, device: Any, layout: Any) -> None:
        self._device = device
        self._layout = layout
        self._chunks: list[Chunk] = []
        self._origin = Origin(Surfels.empty())
        self._mirror = np.zeros((0, ROW), np.float32)
        self.n_sent = 0
        """Rows that the device holds of the present origin."""

    def knows(self, surfels: Surfels) -> bool:
        """Whether these are rows of the same origin."""
        return self._origin.is_also_of(surfels)

    def update(self, surfels: Surfels) -> int:
        """Make the first ``len(surfels)`` rows on the device equal to ``surfels``.

        Rows that the device has already are not sent again, whether they are known by their origin
        or found equal. Returns the number of rows that were sent.
        """
        n = len(surfels)
        if self._origin.is_also_of(surfels):
            kept = min(n, self.n_sent)
        else:
            # Beyond what is found equal nothing is known of these new arrays.
            kept = self.equal_rows(surfels)
            self.n_sent = kept
            self._origin = Origin(surfels)
        if kept == n:
            return 0  # rows beyond stay: a longer memory of this origin may come again
        self._make_room(n)
        rows = self._mirror[kept:n]
        rows[:, :3] = surfels.position[kept:]
        rows[:, 3] = surfels.radius[kept:]
        rows[:, 4:7] = surfels.normal[kept:]
        for chunk in self.chunks(n)[kept // CHUNK :]:
            start, stop = max(kept, chunk.first), min(n, chunk.first + CHUNK)
            offset = (start - chunk.first) * ROW * 4
            data = drawable(self._mirror[start:stop])
            self._device.queue.write_buffer(chunk.surfels, offset, data)
        self.n_sent = n
        return n - kept

    def equal_rows(self, surfels: Surfels) -> int:
        """Length of the longest beginning that equals, bit by bit, what was sent."""
        n = min(len(surfels), self.n_sent)
        sent = self._mirror.view(np.uint32)
        for start in range(0, n, COMPARED_AT_ONCE):
            rows = slice(start, min(n, start + COMPARED_AT_ONCE))
            position = _bits(surfels.position[rows]) == sent[rows, :3]
            normal = _bits(surfels.normal[rows]) == sent[rows, 4:7]
            radius = _bits(surfels.radius[rows]) == sent[rows, 3]
            if not (position.all() and normal.all() and radius.all()):
                return start + int(np.argmin(position.all(axis=1) & normal.all(axis=1) & radius))
        return n

    def color(self, colors: UInt8[np.ndarray, "S 3"]) -> None:
        """Send the colours of all rows."""
        flat = np.ascontiguousarray(colors, np.uint8).reshape(-1)
        for chunk in self.chunks(len(colors)):
            part = flat[3 * chunk.first : 3 * (chunk.first + CHUNK)]
            if len(part) % 4:  # the device takes whole words
                part = np.concatenate([part, np.zeros(-len(part) % 4, np.uint8)])
            self._device.queue.write_buffer(chunk.colors, 0, part)

    def chunks(self, n: int) -> Sequence[Chunk]:
        """Chunks that hold the first ``n`` rows."""
        return self._chunks[: -(-n // CHUNK)]

    def _make_room(self, n: int) -> None:
        while len(self._chunks) * CHUNK < n:
            self._chunks.append(Chunk(self._device, self._layout, len(self._chunks) * CHUNK))
        if n > len(self._mirror):
            grown = np.zeros((n + n // 2, ROW), np.float32)
            grown[: self.n_sent] = self._mirror[: self.n_sent]
            self._mirror = grown


class BlockList:
    """The numbers of the blocks to draw, on the device."""

    def __init__(self, device: Any, layout: Any, view: Any) -> None:
        self._device, self._layout, self._view = device, layout, view
        self._make_room(1024)

    def send(self, numbers: UInt32[np.ndarray, " M"]) -> None:
        """Replace them all."""
        if len(numbers) > self._room:
            self._make_room(2 * len(numbers))
        self._device.queue.write_buffer(self._buffer, 0, numbers)

    def _make_room(self, n: int) -> None:
        self._room = n
        self._buffer = self._device.create_buffer(size=4 * n, usage="STORAGE|COPY_DST")
        self.group = self._device.create_bind_group(
            layout=self._layout,
            entries=[
                {"binding": 0, "resource": {"buffer": self._view}},
                {"binding": 1, "resource": {"buffer": self._buffer}},
            ],
        )


class Chunk:
    """Buffers of CHUNK surfels, the number of the first, and the group that binds them."""

    def __init__(self, device: Any, layout: Any, first: int) -> None:
        self.first = first
        number = device.create_buffer_with_data(
            data=np.array([first, 0, 0, 0], np.uint32), usage="UNIFORM"
        )
        self.surfels = device.create_buffer(size=CHUNK * ROW * 4, usage="STORAGE|COPY_DST")
        self.colors = device.create_buffer(size=CHUNK * 3, usage="STORAGE|COPY_DST")
        self.group = device.create_bind_group(
            layout=layout,
            entries=[
                {"binding": binding, "resource": {"buffer": buffer}}
                for binding, buffer in enumerate((number, self.surfels, self.colors))
            ],
        )
