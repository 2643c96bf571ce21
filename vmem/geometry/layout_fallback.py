"""Alignment with the room layout behind it: what a view keeps that nothing else can place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vmem.cameras import Camera, Cameras
from vmem.geometry.alignment import MIN_OVERLAP, Aligned, AlignmentConfig, align
from vmem.geometry.layout import Region, estimate_layout
from vmem.geometry.predicted import Predicted
from vmem.geometry.robust_fit import robust_fit
from vmem.raster import rasterize
from vmem.surfels import POINTS_PER_FRAME, cell_centres, grid_size
from vmem.views import F32, U8

if TYPE_CHECKING:
    from vmem.memory import MemorySnapshot


def align_or_lay_out(
    predicted: Predicted,
    rgb: U8,
    cameras: Cameras,
    memory: MemorySnapshot,
    config: AlignmentConfig,
) -> Aligned:
    """`align`, with layouts as fallback: of all T frames rgb (T, H, W, 3) u8 while memory is empty,
    else only of those that cannot be placed, brought to memory's unit. What a layout takes for sky
    has confidence 0 in a view that falls back on it."""
    skies: dict[int, np.ndarray] = {}

    def laid_out(i: int) -> F32:
        layout = estimate_layout(rgb[i], cameras[i])
        skies[i] = layout.label == Region.SKY
        return _as_memory(layout.depth, cameras[i], memory)

    everything = range(len(cameras))
    if len(memory.surfels) == 0:
        fallback = np.stack([laid_out(i) for i in everything])
        aligned = align(predicted, cameras, memory, fallback=fallback, config=config)
        unplaced = [i for i in everything if aligned.report.views[i].source == "fallback"]
    else:
        aligned = align(predicted, cameras, memory, config=config)
        unplaced = [i for i in everything if aligned.report.views[i].source == "fallback"]
        if unplaced:
            fallback = aligned.maps.depth.copy()
            for i in unplaced:
                fallback[i] = laid_out(i)
            aligned = align(predicted, cameras, memory, fallback=fallback, config=config)
    if not unplaced:
        return aligned
    confidence = aligned.maps.confidence.copy()
    for i in unplaced:
        confidence[i][skies[i]] = 0
    return replace(aligned, maps=replace(aligned.maps, confidence=confidence))


def _as_memory(depth: F32, camera: Camera, memory: MemorySnapshot) -> F32:
    """A layout's depth (H, W) brought to memory's unit, if memory shows enough there."""
    if len(memory.surfels) == 0:
        return depth
    grid = grid_size(camera.hw, POINTS_PER_FRAME)
    shown = rasterize(memory.surfels, camera.resized(grid), blocks=memory.blocks).depth
    known = shown > 0
    if known.mean() < MIN_OVERLAP:
        return depth
    mine = depth[np.ix_(*cell_centres(camera.hw, grid))][known]
    return robust_fit(mine, shown[known], np.ones_like(mine)).line.applied(depth)
