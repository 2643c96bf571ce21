"""Who explains what a target sees: which visible surfels which views saw.

A retrieval sums its evidence up by view; these functions ask about single surfels. They read the
rows of the surfels that a target sees and nothing else, so that they can follow a pointer. The
memory may have grown since the retrieval was made: surfels beyond ``len(retrieval.surfel_weight)``
and views beyond ``len(retrieval.votes)`` were not known to it. All raise LinkError for a retrieval
of another, longer memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64, UInt16
from numba import njit
from numpy.typing import NDArray

from vmem.kernels.parallel import read_only
from vmem.memory import LinkError, MemorySnapshot
from vmem.types import PictureShares, Retrieval


@dataclass(frozen=True, eq=False)
class ExplainedAlone:
    """Of each of the V views of a retrieval, what it and no other chosen view saw.

    For a chosen view this is what would be lost without it, for another what it would add.
    """

    surfels: Int64[np.ndarray, " V"]
    """Number of visible surfels."""
    pixels: Float64[np.ndarray, " V"]
    """Pixels of the targets that these cover."""


def visible_surfels(retrieval: Retrieval) -> Int32[np.ndarray, " m"]:
    """Surfels that cover a pixel of a target, in ascending order."""
    return np.flatnonzero(retrieval.surfel_pixels > 0).astype(np.int32)


def looks(
    memory: MemorySnapshot, retrieval: Retrieval, surfels: Int32[np.ndarray, " m"]
) -> UInt16[np.ndarray, " m"]:
    """Number of chosen views that saw each of ``surfels``, seen by a target or not.

    Surfels must be of ``range(len(memory.surfels))``.
    """
    _check_memory(memory, retrieval)
    return chosen_looks_at(memory, _chosen(retrieval), surfels)


def chosen_looks_at(
    memory: MemorySnapshot, chosen: Bool[np.ndarray, " V"], surfels: Int32[np.ndarray, " m"]
) -> UInt16[np.ndarray, " m"]:
    """Number of the views ``chosen`` that saw each of ``surfels``."""
    n = np.zeros(len(surfels), np.uint16)
    _count_looks(n, *read_only(surfels, *_rows(memory), chosen))
    return n


def chosen_looks(memory: MemorySnapshot, retrieval: Retrieval) -> UInt16[np.ndarray, " S"]:
    """Number of chosen views that saw each surfel, 0 where no target sees it.

    S: surfels that the retrieval knew.
    """
    visible = visible_surfels(retrieval)
    found = np.zeros(len(retrieval.surfel_pixels), np.uint16)
    found[visible] = looks(memory, retrieval, visible)
    return found


def looks_beside(
    memory: MemorySnapshot, retrieval: Retrieval, surfels: Int32[np.ndarray, " m"], view: int
) -> tuple[Bool[np.ndarray, " m"], UInt16[np.ndarray, " m"]]:
    """Of ``surfels``: whether ``view`` saw each, and the number of other views, chosen ones, that
    did.

    Raises LinkError for a view that is not there.
    """
    _check_memory(memory, retrieval)
    if not 0 <= view < len(memory.views):
        raise LinkError(f"there is no view {view}: this memory has {len(memory.views)}")
    others = _chosen(retrieval)
    others[view : view + 1] = False
    saw, n = np.zeros(len(surfels), bool), np.zeros(len(surfels), np.uint16)
    _compare(saw, n, int(view), *read_only(surfels, *_rows(memory), others))
    return saw, n


def only_explained_by(
    memory: MemorySnapshot, retrieval: Retrieval, view: int
) -> Int32[np.ndarray, " j"]:
    """Visible surfels that ``view`` saw and no other chosen view, ascending.

    For a chosen view these would be lost without it; another view would add them. Raises LinkError
    for a view that is not there.
    """
    visible = visible_surfels(retrieval)
    saw, others = looks_beside(memory, retrieval, visible, view)
    return visible[saw & (others == 0)]


def explained_alone(memory: MemorySnapshot, retrieval: Retrieval) -> ExplainedAlone:
    """How much ``only_explained_by`` finds, for all views of the retrieval at once."""
    _check_memory(memory, retrieval)
    n_views = len(retrieval.votes)
    found = ExplainedAlone(np.zeros(n_views, np.int64), np.zeros(n_views))
    visible, chosen = visible_surfels(retrieval), _chosen(retrieval)
    given = read_only(visible, *_rows(memory), chosen, retrieval.surfel_pixels)
    _sum_alone(found.surfels, found.pixels, *given)
    return found


def uncovered(memory: MemorySnapshot, retrieval: Retrieval) -> Int32[np.ndarray, " j"]:
    """Visible surfels that no chosen view saw, ascending."""
    visible = visible_surfels(retrieval)
    return visible[looks(memory, retrieval, visible) == 0]


def owners(memory: MemorySnapshot) -> Int32[np.ndarray, " S"]:
    """First view that saw each surfel; ``len(memory.views)`` where none is known."""
    start, stop, views = _rows(memory)
    nobody = np.int32(len(memory.views))
    if not len(views):
        return np.full(len(start), nobody, np.int32)
    first = views[np.minimum(start, len(views) - 1)].astype(np.int32)
    first[start == stop] = nobody
    return first


def picture_shares(memory: MemorySnapshot, retrieval: Retrieval) -> PictureShares:
    """What the targets' pictures consist of, at query size."""
    pixels = retrieval.surfel_pixels
    total = max(1, sum(buffers.index.size for buffers in retrieval.buffers))
    drawn = float(pixels.sum(dtype=np.float64))
    known = float(pixels[uncovered(memory, retrieval)].sum(dtype=np.float64))
    return PictureShares((drawn - known) / total, known / total, (total - drawn) / total)


def union_coverage(memory: MemorySnapshot, retrieval: Retrieval) -> float:
    """Share of the targets' votes, ``cos / (1 + depth)`` by surfel, whose surfels the chosen views
    saw between them; 0 where nothing is visible."""
    weight = retrieval.surfel_weight
    covered = weight[chosen_looks(memory, retrieval) > 0].sum(dtype=np.float64)
    return float(covered / max(float(weight.sum(dtype=np.float64)), 1e-12))


def _rows(
    memory: MemorySnapshot,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.integer]]:
    index = memory.seen_by
    return index.start[:-1], index.stop, index.views


def _chosen(retrieval: Retrieval) -> NDArray[np.bool_]:
    """(V,) bool by ``order``, of the views that the retrieval knew."""
    chosen = np.zeros(len(retrieval.votes), bool)
    chosen[list(retrieval.order)] = True
    return chosen


def _check_memory(memory: MemorySnapshot, retrieval: Retrieval) -> None:
    """Kernels do not look where they read."""
    asked = len(retrieval.surfel_weight), len(retrieval.votes)
    stored = len(memory.surfels), len(memory.views)
    if asked[0] > stored[0] or asked[1] > stored[1]:
        raise LinkError(
            f"a retrieval of {asked[0]} surfels and {asked[1]} views is not of this memory of "
            f"{stored[0]} and {stored[1]}: retrieve anew"
        )


@njit(cache=True, nogil=True)
def _count_looks(n, surfels, start, stop, views, chosen):
    for i in range(surfels.shape[0]):
        s = surfels[i]
        for link in range(start[s], stop[s]):
            view = np.int64(views[link])
            if view < chosen.shape[0] and chosen[view]:
                n[i] += 1


@njit(cache=True, nogil=True)
def _compare(saw, n, view, surfels, start, stop, views, others):
    for i in range(surfels.shape[0]):
        s = surfels[i]
        for link in range(start[s], stop[s]):
            other = np.int64(views[link])
            if other == view:
                saw[i] = True
            elif other < others.shape[0] and others[other]:
                n[i] += 1


@njit(cache=True, nogil=True)
def _sum_alone(surfels, pixels, visible, start, stop, views, chosen, area):
    for i in range(visible.shape[0]):
        s = visible[i]
        looks = 0
        for link in range(start[s], stop[s]):
            view = np.int64(views[link])
            if view < chosen.shape[0] and chosen[view]:
                looks += 1
        if looks > 1:
            continue
        for link in range(start[s], stop[s]):
            view = np.int64(views[link])
            if view < chosen.shape[0] and chosen[view] == (looks == 1):
                surfels[view] += 1
                pixels[view] += area[s]
