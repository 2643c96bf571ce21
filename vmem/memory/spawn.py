"""From a point map to surfels: samples on a grid, their normals and radii."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8
from numpy.typing import NDArray

from vmem.arrays import F32
from vmem.cameras import Camera, checked_size
from vmem.types import POINTS_PER_FRAME, SurfelError, Surfels

Cells = tuple[NDArray[np.integer], NDArray[np.integer]]
"""Rows and columns of cells of a grid, of any one shape."""
RADIUS_SCALE = 0.75
"""Disk radius over sample spacing: 0.71 is the least without gaps on a square grid."""


def grid_size(hw: tuple[int, int], points: int = POINTS_PER_FRAME) -> tuple[int, int]:
    """(rows, columns) of a grid in the frame's own aspect: every n-th pixel each way, with the
    least whole n that keeps it to about ``points`` samples.

    A whole stride spaces the samples evenly. Rounded to pixels, a grid of any other pitch has wider
    gaps here and there than its disks can close. CameraError for an image without pixels,
    SurfelError for fewer than one sample.
    """
    h, w = checked_size(hw)
    if not points >= 1:
        raise SurfelError(f"points per frame must be at least 1, got {points}")
    stride = max(1, math.ceil(math.sqrt(h * w / points)))
    return max(2, math.ceil(h / stride)), max(2, math.ceil(w / stride))


def cell_centres(
    hw: tuple[int, int], grid: tuple[int, int]
) -> tuple[Int[np.ndarray, " gh"], Int[np.ndarray, " gw"]]:
    """Rows and columns of the pixels that hold the centres of the grid's cells."""
    rows = ((np.arange(grid[0]) + 0.5) * hw[0] / grid[0]).astype(int)
    columns = ((np.arange(grid[1]) + 0.5) * hw[1] / grid[1]).astype(int)
    return rows, columns


def _nearer_side(points: F32, depth: F32, at: Cells, axis: int) -> F32:
    """Tangents along ``axis`` (*cells, 3): of each cell the one-sided difference with the smaller
    depth jump."""
    sides = []
    for start, end in ((0, 1), (-1, 0)):
        ends = [list(at), list(at)]
        for cells, offset in zip(ends, (start, end), strict=True):
            cells[axis] = np.clip(at[axis] + offset, 0, depth.shape[axis] - 1)
        first, second = tuple(ends[0]), tuple(ends[1])
        with np.errstate(invalid="ignore"):  # missing depth may be infinite
            tangent = points[second] - points[first]
            jump = np.abs(depth[second] - depth[first])
        # Beside missing depth, and at the border, the other neighbour serves.
        there = (first[axis] != second[axis]) & np.isfinite(tangent).all(axis=-1)
        jump[~(there & np.isfinite(jump))] = np.inf
        sides.append((tangent, jump))
    (forward, jump), (backward, jump_back) = sides
    return np.where((jump_back < jump)[..., None], backward, forward)


def normals_from_points(
    points: Float32[np.ndarray, "H W 3"],
    depth: Float32[np.ndarray, "H W"],
    eye: Float[np.ndarray, " 3"],
    at: Cells | None = None,
) -> Float32[np.ndarray, "*cells 3"]:
    """Unit normals of a point map, facing ``eye``; of the cells ``at`` these (row, column), by
    default of all, (H, W, 3).

    Edge-aware: along each axis the neighbour across the smaller depth jump is used, so normals do
    not lean over silhouettes and the borders have normals too. Where the neighbours coincide or
    there are none, the normal looks at the eye; it is a unit vector whatever the map holds.
    """
    if at is None:
        rows, columns = np.meshgrid(*map(np.arange, depth.shape), indexing="ij")
        at = rows, columns
    with np.errstate(invalid="ignore", over="ignore"):
        to_eye = _unit(eye.astype(np.float32) - points[at], np.array([0, 0, -1], np.float32))
        # float64: the product of two short tangents is shorter than float32 can hold.
        across, down = (_nearer_side(points, depth, at, axis).astype(np.float64) for axis in (1, 0))
        normal = _unit(np.cross(across, down), to_eye)
        facing = np.sum(normal * to_eye, axis=-1, keepdims=True)
    return np.where(facing < 0, -normal, normal)


def _unit(vectors: NDArray[np.floating], otherwise: F32) -> F32:
    """Vectors (..., 3) over their length; ``otherwise`` where that is nothing, or not finite."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    some = (length > 1e-30) & (length < np.inf)
    return np.where(some, vectors / np.where(some, length, 1), otherwise).astype(np.float32)


def view_cosine(
    position: Float32[np.ndarray, "*batch 3"],
    normal: Float32[np.ndarray, "*batch 3"],
    camera: Camera,
) -> Float32[np.ndarray, "*batch"]:
    """|cos| between normals at positions and the way to the camera."""
    to_eye = camera.position.astype(np.float32) - position
    to_eye /= np.maximum(np.linalg.norm(to_eye, axis=-1, keepdims=True), 1e-12)
    return np.abs(np.sum(normal * to_eye, axis=-1))


def disk_radius(
    depth: Float32[np.ndarray, "*batch"],
    cosine: Float32[np.ndarray, "*batch"],
    camera: Camera,
    grid: tuple[int, int],
    scale: float = RADIUS_SCALE,
) -> Float32[np.ndarray, "*batch"]:
    """Radius of a sample's disk at z-depth ``depth``, seen under ``cosine``.

    ``scale`` times the spacing of ``grid`` (rows, columns) over the camera's frame, widened at a
    slant, up to five times, so that neighbours still touch: ``depth / f / max(cos, 0.2)``. The
    spacing is that of a square with the diagonal of the widest cell.
    """
    spacing = depth * np.float32(_widest_pitch(camera, grid))
    return (scale * spacing / np.maximum(cosine, 0.2)).astype(np.float32)


def _widest_pitch(camera: Camera, grid: tuple[int, int]) -> float:
    """Spacing of samples at depth 1: pixels round it, and focal lengths may differ by axis."""
    gaps = [
        int(np.diff(centres).max()) if len(centres) > 1 else size
        for centres, size in zip(cell_centres(camera.hw, grid), camera.hw, strict=True)
    ]
    return math.hypot(gaps[1] / camera.K[0, 0], gaps[0] / camera.K[1, 1]) / math.sqrt(2)


def surfels_from_pointmap(
    points: Float32[np.ndarray, "H W 3"],
    depth: Float32[np.ndarray, "H W"],
    rgb: UInt8[np.ndarray, "H W 3"],
    camera: Camera,
    grid: tuple[int, int],
    radius_scale: float = RADIUS_SCALE,
    cells: Int[np.ndarray, " n"] | None = None,
) -> Surfels:
    """One surfel for each of ``cells``, row-major indices into ``grid`` (rows, columns), in their
    order; by default for all gh * gw.

    points (world), depth and rgb are all of ``camera``. Radii are those of ``disk_radius``. Raises
    SurfelError for maps of another size.
    """
    shapes, hw = (points.shape, depth.shape, rgb.shape), tuple(camera.hw)
    if shapes != ((*hw, 3), hw, (*hw, 3)):
        raise SurfelError(f"points, depth and rgb of a camera of {hw} have shapes {shapes}")
    rows, columns = cell_centres(camera.hw, grid)
    cells = np.arange(grid[0] * grid[1]) if cells is None else cells
    row, column = cells // grid[1], cells % grid[1]
    grid_pixels = np.ix_(rows, columns)
    normal = normals_from_points(
        points[grid_pixels], depth[grid_pixels], camera.position, (row, column)
    )
    pixels = rows[row], columns[column]
    position = points[pixels]
    with np.errstate(invalid="ignore", over="ignore"):  # missing depth may be infinite
        cosine = view_cosine(position, normal, camera)
        radius = disk_radius(depth[pixels], cosine, camera, grid, radius_scale)
    return Surfels(position, normal, radius, rgb[pixels])
