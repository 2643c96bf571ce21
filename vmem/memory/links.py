"""Who saw each surfel: the links of a memory sorted by surfel, and votes read from it.

Memory keeps links as a log, in the order of views. A query asks the other way round, for the views
of the few thousand surfels that it sees, so each snapshot also has them as a compressed row index.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Int64, UInt16
from numba import njit

from vmem.arrays import I32, freeze
from vmem.errors import VMemError
from vmem.kernels.parallel import read_only


class LinkError(VMemError, ValueError):
    """A link to a surfel or a view that does not exist, or a drawing of another memory."""


SHORT_VIEWS = 1 << 16
"""Up to this many views a link takes two bytes here."""


@dataclass(frozen=True, eq=False)
class LinkIndex:
    """Views that saw surfel s: ``views[start[s]:stop[s]]``, in the order of the log."""

    start: Int64[np.ndarray, " S1"]
    """Where the rows of S surfels start, and the end of the last: S + 1 numbers."""
    views: UInt16[np.ndarray, " L"] | Int32[np.ndarray, " L"]
    """u16, or i32 of a memory with more than 65,536 views. Between rows that were shortened there
    are links that count no more."""
    stop: Int64[np.ndarray, " S"] = None  # pyright: ignore[reportAssignmentType]
    """Where the rows stop; by default where the next one starts."""

    def __post_init__(self) -> None:
        if self.stop is None:
            object.__setattr__(self, "stop", self.start[1:])
        freeze(self, "start", "views", "stop")

    @staticmethod
    def empty() -> LinkIndex:
        """No surfels, no links."""
        return LinkIndex(np.zeros(1, np.int64), np.zeros(0, np.uint16))

    @staticmethod
    def of(
        n_surfels: int,
        n_views: int,
        link_surfel: Int32[np.ndarray, " L"],
        link_view: Int32[np.ndarray, " L"],
    ) -> LinkIndex:
        """The index of a whole log of "view saw surfel"."""
        return extended(LinkIndex.empty(), n_surfels, n_views, link_surfel, link_view)


def extended(
    index: LinkIndex,
    n_surfels: int,
    n_views: int,
    link_surfel: Int32[np.ndarray, " L"],
    link_view: Int32[np.ndarray, " L"],
) -> LinkIndex:
    """``index`` and further links at the end of each surfel's row; now of ``n_surfels``
    and ``n_views``. One pass that copies the old index, once a step.

    Raises LinkError for links to what is not there, and if surfels have become fewer.
    """
    check_log(n_surfels, n_views, link_surfel, link_view)
    if n_surfels < len(index.start) - 1:
        raise LinkError(f"an index of {len(index.start) - 1} surfels cannot shrink to {n_surfels}")
    short = n_views <= SHORT_VIEWS
    old = index.views if short else index.views.astype(np.int32, copy=False)
    start = np.empty(n_surfels + 1, np.int64)
    old_start, old_stop, surfels = read_only(index.start, index.stop, link_surfel)
    _lay_out(start, old_start, old_stop, surfels)
    views = np.empty(start[-1], np.uint16 if short else np.int32)
    _fill(views, *read_only(start, old_start, old_stop, old, surfels, link_view))
    return LinkIndex(start, views)


def truncated(
    index: LinkIndex, n_surfels: int, n_views: int, undone: Int32[np.ndarray, " m"]
) -> LinkIndex:
    """``index`` without the last m links of its log, which are to the surfels ``undone``; now of
    the first ``n_surfels`` and ``n_views``. Rows are shortened in place of being moved."""
    stop = index.stop[:n_surfels].copy()
    _shorten(stop, *read_only(undone))
    views = index.views if n_views > SHORT_VIEWS else index.views.astype(np.uint16, copy=False)
    return LinkIndex(index.start[: n_surfels + 1], views, stop)


def check_log(n_surfels: int, n_views: int, link_surfel: I32, link_view: I32) -> None:
    """LinkError unless every link names one of so many surfels and views. Kernels do not look."""
    if link_surfel.ndim != 1 or link_surfel.shape != link_view.shape:
        raise LinkError(
            f"links need as many views as surfels, got {link_surfel.shape} and {link_view.shape}"
        )
    for what, link, n in (("surfel", link_surfel, n_surfels), ("view", link_view, n_views)):
        if not np.issubdtype(link.dtype, np.integer):
            raise LinkError(f"links must be whole numbers, got {link.dtype} for their {what}s")
        if len(link) and not (link.min() >= 0 and link.max() < n):
            wrong = link[(link < 0) | (link >= n)][0]
            raise LinkError(f"a link names {what} {wrong}, but there are {n}")


@njit(cache=True, nogil=True)
def _lay_out(start, old_start, old_stop, link_surfel):
    n_old, n = old_stop.shape[0], start.shape[0] - 1
    start[:] = 0
    for link in range(link_surfel.shape[0]):
        start[link_surfel[link] + 1] += 1
    for s in range(n):
        known = old_stop[s] - old_start[s] if s < n_old else 0
        start[s + 1] += start[s] + known


@njit(cache=True, nogil=True)
def _fill(views, start, old_start, old_stop, old_views, link_surfel, link_view):
    n_old, n = old_stop.shape[0], start.shape[0] - 1
    end = np.empty(n, np.int64)
    for s in range(n):
        end[s] = start[s]
        if s < n_old:
            for link in range(old_start[s], old_stop[s]):
                views[end[s]] = old_views[link]
                end[s] += 1
    for link in range(link_surfel.shape[0]):
        s = link_surfel[link]
        views[end[s]] = link_view[link]
        end[s] += 1


@njit(cache=True, nogil=True)
def _shorten(stop, undone):
    for link in range(undone.shape[0]):
        if undone[link] < stop.shape[0]:
            stop[undone[link]] -= 1
