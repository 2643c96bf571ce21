"""Who saw each surfel: the links of a memory sorted by surfel, and votes read from it.

Memory keeps links as a log, in the order of views. A query asks the other way round, for the views
of the few thousand surfels that it sees, so each snapshot also has them as a compressed row index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vmem.errors import VMemError
from vmem.raster import SurfelBuffers
from vmem.types.views import F32

I32 = NDArray[np.int32]


class LinkError(VMemError, ValueError):
    """A link to a surfel or a view that does not exist, or a drawing of another memory."""


SHORT_VIEWS = 1 << 16
"""Up to this many views a link takes two bytes here."""


@dataclass(frozen=True, eq=False)
class LinkIndex:
    """Views that saw surfel s: ``views[start[s]:start[s + 1]]``, in the order of the log.

    start (S + 1,) i64 · views (L,) u16, or i32 of a memory with more than 65,536 views.
    """

    start: NDArray[np.int64]
    views: NDArray[np.integer]

    @staticmethod
    def empty() -> LinkIndex:
        """No surfels, no links."""
        return LinkIndex(np.zeros(1, np.int64), np.zeros(0, np.uint16))

    @staticmethod
    def of(n_surfels: int, n_views: int, link_surfel: I32, link_view: I32) -> LinkIndex:
        """The index of a whole log (L,), (L,) of "view saw surfel"."""
        return extended(LinkIndex.empty(), n_surfels, n_views, link_surfel, link_view)


def extended(
    index: LinkIndex, n_surfels: int, n_views: int, link_surfel: I32, link_view: I32
) -> LinkIndex:
    """``index`` and further links (L,), (L,) at the end of each surfel's row; now of ``n_surfels``
    and ``n_views``. One pass that copies the old index, once a step.

    Raises LinkError for links to what is not there, and if surfels have become fewer.
    """
    _check_log(n_surfels, n_views, link_surfel, link_view)
    if n_surfels < len(index.start) - 1:
        raise LinkError(f"an index of {len(index.start) - 1} surfels cannot shrink to {n_surfels}")
    short = n_views <= SHORT_VIEWS
    old = index.views if short else index.views.astype(np.int32, copy=False)
    start = np.empty(n_surfels + 1, np.int64)
    views = np.empty(len(old) + len(link_surfel), np.uint16 if short else np.int32)
    _extend(index.start, old, link_surfel, link_view, start, views)
    return LinkIndex(start, views)


@dataclass(frozen=True, eq=False)
class Tally:
    """What drawings of S surfels say about V views.

    surfel_weight, surfel_pixels (S,) f32: vote of each surfel, ``cos / (1 + depth)`` or part of it
    summed over its pixels, and their number · votes, pixels (V,) f64: the same summed over the
    surfels that a view saw · visible (n,) i32: surfels with a pixel, each once, as they first
    appear.
    """

    surfel_weight: F32
    surfel_pixels: F32
    votes: NDArray[np.float64]
    pixels: NDArray[np.float64]
    visible: I32


def tally(
    buffers: Sequence[SurfelBuffers],
    index: LinkIndex,
    n_views: int,
    by_slant: bool = True,
    by_depth: bool = True,
) -> Tally:
    """Sum pixels by surfel, then surfels by view; only visible surfels are touched.

    A pixel's vote is ``cos / (1 + depth)``; without ``by_slant`` or ``by_depth`` that part is 1.

    Raises LinkError for drawings that show surfels, or links that name views, beyond the memory's.
    """
    n_surfels = len(index.start) - 1
    most = max((int(buffer.index.max(initial=-1)) for buffer in buffers), default=-1)
    if most >= n_surfels:
        raise LinkError(f"a drawing shows surfel {most} of a memory of {n_surfels}: draw it anew")
    weight = np.zeros(n_surfels, np.float32)
    pixels = np.zeros(n_surfels, np.float32)
    visible = np.empty(min(n_surfels, sum(buffer.index.size for buffer in buffers)), np.int32)
    n = 0
    for buffer in buffers:
        n = _sum_pixels(
            buffer.index,
            buffer.cosine,
            buffer.depth,
            by_slant,
            by_depth,
            weight,
            pixels,
            visible,
            n,
        )
    visible = visible[:n]
    found = Tally(weight, pixels, np.zeros(n_views), np.zeros(n_views), visible)
    known = _sum_surfels(
        visible, index.start, index.views, weight, pixels, found.votes, found.pixels
    )
    if not known:
        raise LinkError(f"a surfel was seen by a view beyond the {n_views} of this memory")
    return found


def _check_log(n_surfels: int, n_views: int, link_surfel: I32, link_view: I32) -> None:
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
def _extend(old_start, old_views, link_surfel, link_view, start, views):
    n_old, n = old_start.shape[0] - 1, start.shape[0] - 1
    start[:] = 0
    for link in range(link_surfel.shape[0]):
        start[link_surfel[link] + 1] += 1
    for s in range(n):
        known = old_start[s + 1] - old_start[s] if s < n_old else 0
        start[s + 1] += start[s] + known
    end = np.empty(n, np.int64)
    for s in range(n):
        end[s] = start[s]
        if s < n_old:
            for link in range(old_start[s], old_start[s + 1]):
                views[end[s]] = old_views[link]
                end[s] += 1
    for link in range(link_surfel.shape[0]):
        s = link_surfel[link]
        views[end[s]] = link_view[link]
        end[s] += 1


@njit(cache=True, nogil=True)
def _sum_pixels(index, cosine, depth, by_slant, by_depth, weight, pixels, visible, n):
    one = np.float32(1)
    for row in range(index.shape[0]):
        for column in range(index.shape[1]):
            s = index[row, column]
            if s < 0:
                continue
            if pixels[s] == 0:
                visible[n] = s
                n += 1
            pixels[s] += 1
            vote = cosine[row, column] if by_slant else one
            weight[s] += vote / (1 + depth[row, column]) if by_depth else vote
    return n


@njit(cache=True, nogil=True)
def _sum_surfels(visible, start, views, weight, pixels, votes, seen):
    for k in range(visible.shape[0]):
        s = visible[k]
        for link in range(start[s], start[s + 1]):
            view = np.int32(views[link])
            if view >= votes.shape[0]:
                return False
            votes[view] += weight[s]
            seen[view] += pixels[s]
    return True
