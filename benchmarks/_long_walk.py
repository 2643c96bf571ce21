"""A long walk that nobody walked: a session whose memory is made of a synthetic house."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks._scenes import NOTHING, house, stroll
from viewer.paint.surfel_colors import paint_view
from vmem.arrays import U8
from vmem.cameras import Camera, Cameras
from vmem.memory import ViewMemory
from vmem.raster import Blocks, rasterize
from vmem.retrieval import retrieve
from vmem.session import History, Session
from vmem.types import StepRecord, Surfels, View

FRAME = (144, 256)
STEP_VIEWS = 4
HIDDEN = 1.5
"""Surfels of a house for one that a walk sees, or nearly so."""


def long_walk(n_surfels: int, n_views: int) -> Session:
    """A session of about ``n_surfels`` surfels and ``n_views`` views on a round through a house.

    Each surfel belongs to the step that first saw it and is linked to all views that see it; every
    step but the photo has the retrieval that would have led to it.
    """
    walk = [camera.resized(FRAME) for camera in stroll(n_views)]
    first = round(HIDDEN * n_surfels)
    kept = len(_seen(house(first), walk)[0])
    surfels, seen, frames = _seen(house(round(first * n_surfels / kept)), walk)
    memory, records = ViewMemory(), []
    for step, start in enumerate((0, *range(1, n_views, STEP_VIEWS))):
        views = range(start, min(start + STEP_VIEWS, n_views) if step else 1)
        before = memory.snapshot()
        known = len(before.surfels)
        record = StepRecord(
            tuple(View(frames[v], walk[v], step, NOTHING, NOTHING) for v in views),
            surfels[known : max(known, *(int(seen[v].max()) + 1 for v in views))],
            np.concatenate([seen[v] for v in views]),
            np.repeat(np.array(views, np.int32), [len(seen[v]) for v in views]),
            retrieve(before, Cameras.stack([walk[v] for v in views])) if step else None,
        )
        memory.append(record)
        records.append(record)
    history = History(records[0], "photo")
    for record in records[1:]:
        history.add(record, "w")
    # Only a backend opens a session; what it makes of a small photo gives way.
    session = Session.open(np.full((64, 64, 3), 127, np.uint8), backend="preview")
    session._memory = session._archive.memory = memory
    session.history = history
    return session


def _seen(
    surfels: Surfels, walk: list[Camera]
) -> tuple[Surfels, list[NDArray[np.int32]], list[U8]]:
    """The surfels that a walk sees, in the order in which it comes to see them; which of these
    each camera sees, ascending; and its frames."""
    pattern = (
        110 + 50 * np.sin(3 * surfels.position) + 40 * np.sin(9 * surfels.position[:, [1, 2, 0]])
    )
    surfels = replace(surfels, color=pattern.clip(0, 255).astype(np.uint8))
    blocks = Blocks.of(surfels)
    drawn = [rasterize(surfels, camera, "cpu", blocks) for camera in walk]
    seen = [np.unique(buffers.index[buffers.index >= 0]) for buffers in drawn]
    first = np.full(len(surfels), len(walk))
    for view in reversed(range(len(walk))):
        first[seen[view]] = view
    order = np.argsort(first, kind="stable")[: int((first < len(walk)).sum())]
    number = np.full(len(surfels), -1, np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    frames = [paint_view(buffers, surfels.color) for buffers in drawn]
    return surfels[order], [np.sort(number[some]) for some in seen], frames
