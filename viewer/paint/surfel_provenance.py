"""Where surfels come from: the photo's own light, an invention, or an invention seen again."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from vmem.arrays import U8
from vmem.memory import MemorySnapshot
from vmem.retrieval.attribution import owners

UNKNOWN = 255
"""In place of a Provenance where the view that made a surfel does not know it."""

_KNOWN: WeakKeyDictionary[MemorySnapshot, U8] = WeakKeyDictionary()


def surfel_provenance(memory: MemorySnapshot) -> U8:
    """(S,) Provenance of each surfel: that of its pixel in the first view that saw it, or UNKNOWN.

    Kept while the memory is in use; the caller must not write to it.
    """
    known = _KNOWN.get(memory)
    if known is None:
        known = _KNOWN[memory] = _found(memory)
    return known


def _found(memory: MemorySnapshot) -> U8:
    found = np.full(len(memory.surfels), UNKNOWN, np.uint8)
    owner = owners(memory)
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], np.arange(len(memory.views) + 1))
    for view, start, stop in zip(memory.views, starts[:-1], starts[1:], strict=True):
        if view.provenance is None or start == stop:
            continue
        of_view = order[start:stop]
        camera, (h, w) = view.camera, view.camera.hw
        seen = (memory.surfels.position[of_view] - camera.position) @ camera.c2w[:3, :3]
        pixel = seen @ camera.K.T
        column, row = np.floor(pixel[:, :2] / np.maximum(pixel[:, 2:], 1e-6)).astype(int).T
        # The surfel lies where the view saw it, but for rounding at the picture's border.
        found[of_view] = view.provenance[row.clip(0, h - 1), column.clip(0, w - 1)]
    return found
