"""Alignment with the room layout as fallback for views that nothing else can place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vmem.cameras import Cameras
from vmem.geometry.alignment.fit_views import Aligned, AlignmentConfig, align
from vmem.geometry.alignment.predicted import Predicted
from vmem.geometry.layout.estimator import LayoutEstimator
from vmem.memory import MemorySnapshot
from vmem.types import Frames, PointMaps


def align_or_lay_out(
    predicted: Predicted,
    frames: Frames,
    cameras: Cameras,
    memory: MemorySnapshot,
    config: AlignmentConfig | None = None,
) -> Aligned:
    """Align predictions with memory; views that cannot be placed have the depth of their layout.

    If memory is empty and a shift is wanted, every view is laid out, because the shift of the photo
    is fitted to its layout. Layouts are in memory's unit; depth that frames carry is used in their
    place, unchanged. Pixels without depth in either (the sky) have confidence 0 in such a view.
    """
    config = config or AlignmentConfig()
    everything = np.arange(len(cameras))
    if len(memory.surfels) == 0 and config.shift != "none":
        layout = _laid_out(everything, frames, cameras, memory)
        aligned = align(predicted, cameras, memory, fallback=layout.depth, config=config)
        unplaced = _unplaced(aligned)
        known = layout.confidence[unplaced] > 0
    else:
        aligned = align(predicted, cameras, memory, config=config)
        unplaced = _unplaced(aligned)
        if len(unplaced) == 0:
            return aligned
        layout = _laid_out(unplaced, frames, cameras, memory)
        fallback = aligned.maps.depth.copy()
        fallback[unplaced] = layout.depth
        aligned = align(predicted, cameras, memory, fallback=fallback, config=config)
        known = layout.confidence > 0
    confidence = aligned.maps.confidence.copy()
    confidence[unplaced] = np.where(known, confidence[unplaced], 0)
    return replace(aligned, maps=replace(aligned.maps, confidence=confidence))


def _unplaced(aligned: Aligned) -> NDArray[np.intp]:
    return np.flatnonzero([view.source == "fallback" for view in aligned.report.views])


def _laid_out(
    some: NDArray[np.intp], frames: Frames, cameras: Cameras, memory: MemorySnapshot
) -> PointMaps:
    """Layouts of the views with indices ``some``; only their depth and confidence are used."""
    given = Frames(
        frames.rgb[some],
        None if frames.depth is None else frames.depth[some],
        confidence=None if frames.confidence is None else frames.confidence[some],
    )
    chosen = Cameras.stack([cameras[int(i)] for i in some])
    return LayoutEstimator().estimate(given, chosen, memory)
