"""Depth of unknown scale brought to memory's unit, where the two disagree as a whole.

For estimators that know a view's depth up to a scale, such as the layout of one photo. Depth that
is right, or wrong in parts only, is never touched: a new surface must not pull the rest.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32

from vmem.cameras import Camera
from vmem.geometry.alignment.robust_fit import robust_fit
from vmem.memory import MemorySnapshot, grid_size
from vmem.memory.spawn import cell_centres
from vmem.raster import rasterize
from vmem.types import POINTS_PER_FRAME

GATE = 0.02
"""Median relative difference from memory up to which depth counts as right."""
GAIN = 0.5
"""A scale is used if it leaves at most this share of the difference."""
MIN_OVERLAP = 0.1
"""Share of the image that must show memory, for a scale to be sought."""


def rescaled(
    depth: Float32[np.ndarray, "H W"],
    usable: Bool[np.ndarray, "H W"],
    camera: Camera,
    memory: MemorySnapshot,
) -> Float32[np.ndarray, "H W"]:
    """Depth of ``camera`` times the scale that brings it to the drawn surfels, judged
    where it is ``usable``; the same array if no scale is called for, or none mends what it
    should."""
    if len(memory.surfels) == 0:
        return depth
    grid = grid_size(camera.hw, POINTS_PER_FRAME)
    cell = np.ix_(*cell_centres(camera.hw, grid))
    shown = rasterize(memory.surfels, camera.resized(grid), blocks=memory.blocks).depth
    measured = depth[cell]
    both = usable[cell] & (shown > 0) & (measured > 0) & np.isfinite(measured)
    if both.sum() < max(8, MIN_OVERLAP * both.size):
        return depth
    measured, known = measured[both], shown[both]
    before = float(np.median(np.abs(measured - known) / known))
    if before <= GATE:
        return depth
    fit = robust_fit(measured, known, np.ones_like(known))
    return fit.line.applied(depth) if fit.residual <= GAIN * before else depth
