"""A link index that grows at the cost of what is new, not of what is known."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int32
from numba import njit
from numpy.typing import NDArray

from vmem.arrays import I32
from vmem.kernels.parallel import read_only
from vmem.memory.links import SHORT_VIEWS, LinkIndex, check_log, extended

ROOM, ROOM_SHARE = 4, 4
"""A row that is moved gets room for so many more links, and one for every ROOM_SHARE it has."""
SPARE = 0.5
"""Free part of a new buffer, in parts of what is in it, and SPARE_LINKS more. Rows without room
move once after it: with a quarter, a dense walk renews its buffer twice as often."""
SPARE_LINKS = 4096


class GrowingLinks:
    """Extends the newest index in place: a row that is full moves to the buffer's end.

    Older indices stay as they are: where their rows lie is never written again. What is not the
    newest (after a truncation), and a buffer that is full, is copied to a new buffer.
    """

    def __init__(self) -> None:
        self._newest: LinkIndex | None = None
        self._buffer: NDArray[np.integer] = np.zeros(0, np.uint16)
        self._used = 0
        self._room: I32 = np.zeros(0, np.int32)
        """How many links each row has room for."""

    @property
    def nbytes(self) -> dict[str, int]:
        """Bytes held for "surfels" and "links", without the newest index's starts and stops."""
        return {"surfels": self._room.nbytes, "links": self._buffer.nbytes}

    def extended(
        self,
        index: LinkIndex,
        n_surfels: int,
        n_views: int,
        link_surfel: Int32[np.ndarray, " L"],
        link_view: Int32[np.ndarray, " L"],
    ) -> LinkIndex:
        """``index`` and further links at the end of each surfel's row; now of ``n_surfels`` and
        ``n_views``. Copies no row where ``index`` is the last that was returned.

        Raises LinkError for links to what is not there, and if surfels have become fewer.
        """
        grown = None
        if index is self._newest:
            grown = self._grown(index, n_surfels, n_views, link_surfel, link_view)
        if grown is None:
            grown = extended(index, n_surfels, n_views, link_surfel, link_view)
            self._used = len(grown.views)
            room = self._used + int(SPARE * self._used) + SPARE_LINKS
            self._buffer = np.empty(room, grown.views.dtype)
            self._buffer[: self._used] = grown.views
            self._room = (grown.stop - grown.start[:-1]).astype(np.int32)
            grown = LinkIndex(grown.start, self._buffer[: self._used], grown.stop)
        self._newest = grown
        return grown

    def _grown(
        self, index: LinkIndex, n_surfels: int, n_views: int, link_surfel: I32, link_view: I32
    ) -> LinkIndex | None:
        """None where the buffer must be renewed, or nothing is to be grown."""
        n = len(index.stop)
        if n_surfels < n or (n_views > SHORT_VIEWS and self._buffer.dtype == np.uint16):
            return None
        check_log(n_surfels, n_views, link_surfel, link_view)
        start = np.full(n_surfels + 1, self._used, np.int64)
        stop, room = start[:-1].copy(), np.zeros(n_surfels, np.int32)
        start[:n], stop[:n], room[:n] = index.start[:-1], index.stop, self._room
        links = read_only(link_surfel, link_view)
        used = _append(start, stop, room, self._buffer, self._used, *links)
        if used < 0:
            return None
        start[-1] = self._used = used
        self._room = room
        return LinkIndex(start, self._buffer[:used], stop)


@njit(cache=True, nogil=True)
def _append(start, stop, room, buffer, used, link_surfel, link_view):
    """Write every link at the stop of its row; where the buffer is used up to, or -1 if it is
    full."""
    for link in range(link_surfel.shape[0]):
        s = link_surfel[link]
        count = stop[s] - start[s]
        if count == room[s]:
            wanted = count + count // ROOM_SHARE + ROOM
            if used + wanted > buffer.shape[0]:
                return -1
            for k in range(count):
                buffer[used + k] = buffer[start[s] + k]
            start[s], stop[s], room[s] = used, used + count, wanted
            used += wanted
        buffer[stop[s]] = link_view[link]
        stop[s] += 1
    return used
