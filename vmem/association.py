"""A new view meets the memory: what it saw again, and what is new.

The memory is drawn from the new view. A surfel whose drawn depth agrees with the view's own depth
was seen again and gains a link; a sample that no drawn surfel explains, or only one far coarser
than itself, spawns a surfel. (The reference merges by radius instead; docs/differences.md.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vmem.cameras import Camera
from vmem.raster import rasterize
from vmem.surfels import (
    MIN_CONFIDENCE,
    POINTS_PER_FRAME,
    Surfels,
    cell_centres,
    disk_radius,
    grid_size,
    surfels_from_pointmap,
    view_cosine,
)
from vmem.views import F32, U8

I32 = NDArray[np.int32]


@dataclass(frozen=True)
class AssociationConfig:
    """How a view is taken into memory."""

    points_per_frame: int = POINTS_PER_FRAME
    """Samples that a frame gives at most, or nearly so, spread over its own aspect."""
    depth_tolerance: float = 0.05
    """Relative depth difference up to which a drawn surfel and a sample are the same surface."""
    coarseness: float = 2.0
    """A surfel with more than this many times a sample's radius does not explain it."""
    min_confidence: float = MIN_CONFIDENCE
    """Samples below this confidence neither link nor spawn."""


@dataclass(frozen=True, eq=False)
class Association:
    """What one view adds: ``seen`` (L,) i32 indices of known surfels it saw again, ascending and
    unique, and ``spawned`` surfels, all of which it saw."""

    seen: I32
    spawned: Surfels


def associate(
    memory: Surfels,
    points: F32,
    depth: F32,
    confidence: F32,
    rgb: U8,
    camera: Camera,
    config: AssociationConfig,
) -> Association:
    """Associate one view's maps, all (H, W, ...) of ``camera``, with the surfels of memory."""
    grid = grid_size(camera.hw, config.points_per_frame)
    samples = surfels_from_pointmap(points, depth, rgb, camera, grid)
    usable = confidence[np.ix_(*cell_centres(camera.hw, grid))].ravel() >= config.min_confidence
    if len(memory) == 0:
        return Association(np.zeros(0, np.int32), samples[usable])

    # Twice the samples' resolution, so that small surfels are not missed between samples.
    fine = (2 * grid[0], 2 * grid[1])
    pixel = np.ix_(*cell_centres(camera.hw, fine))
    measured, confident = depth[pixel], confidence[pixel] >= config.min_confidence

    def agreeing(surfels: Surfels) -> tuple[I32, NDArray[np.bool_]]:
        """Index map of the drawn surfels, and where it agrees with the measured depth."""
        drawn = rasterize(surfels, camera.resized(fine))
        close = np.abs(drawn.depth - measured) <= config.depth_tolerance * measured
        return drawn.index, (drawn.index >= 0) & confident & close

    index, agrees = agreeing(memory)
    seen = np.unique(index[agrees])
    if _too_coarse(memory[seen], camera, grid, config.coarseness).any():
        # Coarse surfels hide the finer ones that an earlier close look put on the same surface.
        finer = np.flatnonzero(~_too_coarse(memory, camera, grid, config.coarseness))
        index, agrees = agreeing(memory[finer])
        seen = np.union1d(seen, finer[index[agrees]])
    # A sample's cell holds four fine pixels; any of them can explain it.
    explained = agrees.reshape(grid[0], 2, grid[1], 2).any(axis=(1, 3)).ravel()
    return Association(seen.astype(np.int32), samples[usable & ~explained])


def _too_coarse(
    memory: Surfels, camera: Camera, grid: tuple[int, int], coarseness: float
) -> NDArray[np.bool_]:
    """(S,) surfels with more than ``coarseness`` times the radius of a sample in their place."""
    depth = memory.position @ camera.w2c[2, :3].astype(np.float32) + np.float32(camera.w2c[2, 3])
    cosine = view_cosine(memory.position, memory.normal, camera)
    return memory.radius > coarseness * disk_radius(depth, cosine, camera, grid)
