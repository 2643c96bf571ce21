"""A new view meets the memory: what it saw again, and what is new.

The memory is drawn from the new view. A surfel whose drawn depth agrees with the view's own depth
was seen again and gains a link; a sample that no drawn surfel explains, or only one far coarser
than itself, spawns a surfel. (The reference merges by radius instead; docs/differences.md.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Float32, Int, Int32, UInt8
from numba import njit
from numpy.typing import NDArray

from vmem.arrays import F32, I32
from vmem.cameras import Camera
from vmem.kernels.parallel import read_only, run_sliced, thread_count
from vmem.memory.depth_bend import STRAIGHT, Bend, bend
from vmem.memory.spawn import RADIUS_SCALE, cell_centres, grid_size, surfels_from_pointmap
from vmem.raster import NEAR, Blocks, SurfelBuffers, overlaid, rasterize
from vmem.raster.blocks import BLOCK, visible_blocks
from vmem.types import AssociationConfig, PointMapError, Surfels

TILE = 16
"""Side of the tiles of samples by which surfels are appended: a full tile is one block."""


@dataclass(frozen=True, eq=False)
class Association:
    """What one view adds."""

    seen: Int32[np.ndarray, " L"]
    """Indices of known surfels it saw again, ascending and unique."""
    spawned: Surfels
    """New surfels, all of which it saw."""
    bend: Bend = STRAIGHT
    """The smooth difference from memory up to which its depth was judged."""


def associate(
    memory: Surfels,
    points: Float32[np.ndarray, "H W 3"],
    depth: Float32[np.ndarray, "H W"],
    confidence: Float32[np.ndarray, "H W"],
    rgb: UInt8[np.ndarray, "H W 3"],
    camera: Camera,
    config: AssociationConfig,
    *,
    blocks: Blocks | None = None,
    recent: Surfels | None = None,
    drawn: SurfelBuffers | None = None,
) -> Association:
    """Associate one view's maps, all of ``camera``, with the surfels of memory.

    ``blocks`` are memory's own, if they are kept. ``recent`` surfels, which the same step spawned
    before, count as known and are numbered after memory's. ``drawn`` is what ``camera`` sees of
    memory, if that was drawn before: it is used if it has the size at which this looks.

    Raises CameraError, and PointMapError for maps of another size than the camera's.
    """
    for name, array, rest in (
        ("points", points, (3,)),
        ("depth", depth, ()),
        ("confidence", confidence, ()),
        ("rgb", rgb, (3,)),
    ):
        if array.shape != (*camera.hw, *rest):
            raise PointMapError(f"{name} must be {(*camera.hw, *rest)}, got {array.shape}")
    grid = grid_size(camera.hw, config.points_per_frame)
    known = _Known(memory, blocks or Blocks.of(memory), recent or Surfels.empty())
    # Twice the samples' resolution, so that small surfels are not missed between samples.
    fine = (2 * grid[0], 2 * grid[1])
    fine_camera = camera.resized(fine)
    pixel = np.ix_(*cell_centres(camera.hw, fine))
    measured, sure = depth[pixel], confidence[pixel]
    drawn = known.drawn(fine_camera, old=drawn if drawn and drawn.index.shape == fine else None)
    width = config.depth_tolerance * (1 + config.doubt * (1 - np.clip(sure, 0, 1)))
    trusted = sure >= config.min_confidence
    bent = STRAIGHT
    given = np.where(trusted, measured, np.nan)
    if config.bend_depth:
        bent = bend(*known.at_centres(drawn, given, fine_camera))
    if bent.field is not None:
        # About three standard deviations of what the smooth difference leaves.
        width = np.maximum(width, min(4.4 * bent.residual, config.bent_tolerance))
    tolerance = np.where(trusted, width * measured, -1)

    def agreeing(drawn: SurfelBuffers) -> NDArray[np.bool_]:
        off = np.abs(drawn.depth - bent.applied(measured))
        agrees = off <= tolerance
        if bent.field is not None:
            # Disks that estimated depth has tilted agree at their centres if not at their rims; but
            # something thin may stand between a centre and the rim.
            there, centre = known.at_centres(drawn, given, fine_camera)
            agrees |= (
                (there > 0)
                & (np.abs(centre - bent.applied(there)) <= tolerance)
                & (off <= config.bent_tolerance * measured)
            )
        return agrees & (drawn.index >= 0)

    agrees = agreeing(drawn)
    seen = _distinct(drawn.index[agrees])
    if known.has_coarse(seen, camera, grid, config.coarseness):
        # Coarse surfels hide the finer ones that an earlier close look put on the same surface.
        drawn = known.without_coarse(camera, grid, config.coarseness).drawn(fine_camera, "cpu")
        agrees = agreeing(drawn)
        seen = _distinct(np.concatenate([seen, drawn.index[agrees]]))
    # A sample's cell holds four fine pixels; any of them can explain it.
    explained = agrees.reshape(grid[0], 2, grid[1], 2).any(axis=(1, 3)).ravel()
    usable = confidence[np.ix_(*cell_centres(camera.hw, grid))].ravel() >= config.min_confidence
    order = tile_order(grid)
    cells = order[(usable & ~explained)[order]]
    spawned = surfels_from_pointmap(points, depth, rgb, camera, grid, cells=cells)
    return Association(seen, spawned, bent)


def interpolated(
    image: Float32[np.ndarray, "H W"], x: Float32[np.ndarray, " N"], y: Float32[np.ndarray, " N"]
) -> Float32[np.ndarray, " N"]:
    """Values of ``image`` between its pixels, at columns x and rows y that count from pixel
    centres; nan outside of it and beside a nan."""
    h, w = image.shape
    row, column = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    inside = (row >= 0) & (column >= 0) & (row < h - 1) & (column < w - 1)
    row, column = np.where(inside, row, 0), np.where(inside, column, 0)
    u, v = x - column, y - row
    above = (1 - u) * image[row, column] + u * image[row, column + 1]
    below = (1 - u) * image[row + 1, column] + u * image[row + 1, column + 1]
    return np.where(inside, (1 - v) * above + v * below, np.nan).astype(np.float32)


def _distinct(values: I32) -> I32:
    """Ascending and unique; several times faster than np.unique, which hashes."""
    # Neighbouring pixels mostly show the same surfel: less is left to sort.
    return _without_repeats(np.sort(_without_repeats(values)))


def _without_repeats(values: I32) -> I32:
    """The first of each run of equal values."""
    return values[np.concatenate([[True], values[1:] != values[:-1]])] if len(values) else values


@lru_cache(maxsize=8)
def tile_order(grid: tuple[int, int]) -> Int[np.ndarray, " N"]:
    """Row-major indices of a grid's cells, tile after tile, so that surfels which are
    consecutive are neighbours."""
    row, column = (part.ravel() for part in np.indices(grid))
    order = np.lexsort((column, row, column // TILE, row // TILE))
    order.flags.writeable = False
    return order


@dataclass(frozen=True, eq=False)
class _Known:
    """The surfels of memory, and after them those which the present step spawned."""

    memory: Surfels
    blocks: Blocks
    recent: Surfels

    def drawn(
        self, camera: Camera, backend: str = "auto", old: SurfelBuffers | None = None
    ) -> SurfelBuffers:
        """``old`` is what the camera sees of memory, if that is known."""
        old = old or rasterize(self.memory, camera, backend, self.blocks)
        if len(self.recent) == 0:
            return old
        return overlaid(old, rasterize(self.recent, camera, backend), len(self.memory))

    def at_centres(self, drawn: SurfelBuffers, measured: F32, camera: Camera) -> tuple[F32, F32]:
        """For every pixel, the measured depth at the centre of the surfel drawn there and that
        centre's own depth, both (H, W) f32; 0 where there is no surfel or nothing (nan) measured.

        Where disks overlap the nearest shows, so as soon as they tilt, what is drawn leans to the
        front. Their centres do not.
        """
        shown = drawn.index >= 0
        index = drawn.index[shown]
        old = index < len(self.memory)
        position = np.empty((len(index), 3), np.float32)
        position[old] = self.memory.position[index[old]]
        position[~old] = self.recent.position[index[~old] - len(self.memory)]
        w2c = camera.w2c.astype(np.float32)
        local = position @ w2c[:3, :3].T + w2c[:3, 3]
        depth = np.maximum(local[:, 2], 1e-6)
        K = camera.K
        x = (K[0, 0] * local[:, 0] / depth + K[0, 2] - 0.5).astype(np.float32)
        y = (K[1, 1] * local[:, 1] / depth + K[1, 2] - 0.5).astype(np.float32)
        # Inverse depth is linear on planes. A disk's centre may lie outside of the image.
        inverse = interpolated((1 / measured).astype(np.float32), x, y)
        with np.errstate(divide="ignore"):
            there = np.nan_to_num(1 / inverse, nan=0, posinf=0)
        both = np.zeros((2, *drawn.index.shape), np.float32)
        both[:, shown] = np.stack([there, np.where(there > 0, depth, 0)])
        return both[0], both[1]

    def has_coarse(self, seen: I32, camera: Camera, grid: tuple[int, int], limit: float) -> bool:
        """Whether a seen surfel has more than ``limit`` times a sample's radius."""
        split = np.searchsorted(seen, len(self.memory))
        old, new = self.memory[seen[:split]], self.recent[seen[split:] - len(self.memory)]
        return any((_finer(one, camera, grid, limit) == 0).any() for one in (old, new))

    def without_coarse(self, camera: Camera, grid: tuple[int, int], limit: float) -> _Known:
        """These surfels, numbered as before; those too coarse have radius 0. Only what may
        show in ``camera`` is kept: draw it from there. (Engines that hold copies of positions would
        not notice the radii: draw it on the CPU.)"""
        visible = visible_blocks(self.blocks, camera, NEAR)
        old = _finer(self.memory, camera, grid, limit, visible)
        new = _finer(self.recent, camera, grid, limit)
        return _Known(
            replace(self.memory, radius=old), self.blocks, replace(self.recent, radius=new)
        )


def _finer(
    surfels: Surfels,
    camera: Camera,
    grid: tuple[int, int],
    limit: float,
    blocks: I32 | None = None,
) -> F32:
    """(S,) f32 radii, 0 where they exceed ``limit`` times that of a sample in the same place, and
    outside of ``blocks``."""
    kept = np.zeros(len(surfels), np.float32)
    if blocks is None:
        blocks = np.arange(-(-len(surfels) // BLOCK), dtype=np.int32)
    focal = camera.resized(grid).K[0, 0]
    position, normal, radius = read_only(surfels.position, surfels.normal, surfels.radius)

    def part(i: int, start: int, stop: int) -> None:
        _keep_finer(
            position,
            normal,
            radius,
            blocks[start:stop],
            BLOCK,
            camera.position.astype(np.float32),
            camera.c2w[:3, 2].astype(np.float32),
            np.float32(limit * RADIUS_SCALE / focal),
            kept,
        )

    run_sliced(part, len(blocks), max(1, min(thread_count(), len(blocks) // 64)))
    return kept


@njit(cache=True, nogil=True)
def _keep_finer(position, normal, radius, blocks, size, eye, forward, slope, kept):
    for k in range(blocks.shape[0]):
        start = blocks[k] * size
        for i in range(start, min(position.shape[0], start + size)):
            depth = away = along = np.float32(0)
            for axis in range(3):
                offset = position[i, axis] - eye[axis]
                depth += offset * forward[axis]
                away += offset * offset
                along += offset * normal[i, axis]
            cosine = abs(along) / max(math.sqrt(away), np.float32(1e-12))
            # As in vmem.memory.spawn.disk_radius.
            if radius[i] <= slope * depth / max(cosine, np.float32(0.2)):
                kept[i] = radius[i]
