"""Few triangles for the inverse depth of a view: large ones on planes, small ones where it bends.

Inverse depth is linear in pixels over any plane, so one triangle is exact on a wall or a floor seen
at any slant. The triangles are those of a right-triangulated irregular network (Evans, Kirkpatrick
and Townsend 2001): right triangles on a grid of 2^k + 1 points a side, each split at the middle of
its longest side where the grid deviates there by more than a tolerance. The set of split points
alone tells the triangles, so that is all a page is sent.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from vmem.arrays import F32

SIDE = 129
"""Points along a side of the grid."""
TOLERANCE = 0.008
"""Relative error of inverse depth up to which a triangle is not split: a walker who has moved by
half the distance to a surface sees it off by a pixel of 288."""
BENT = 0.1
"""Relative second difference of inverse depth that no plane has."""
HANGS = 0.06
"""Relative difference of inverse depth to both of two surfaces, of a point on neither."""
FLAT = 0.03
"""Relative second difference of inverse depth up to which points count as on one plane."""
MOST_POINTS = 2500
"""Points above which the tolerance is raised: noisy depth bends everywhere."""


@dataclass(frozen=True, eq=False)
class DepthMesh:
    """The points of a grid that carry triangles, in the order of rows."""

    used: Bool[np.ndarray, "G G"]
    """Which points of the grid; the triangles follow from them (`triangles`)."""
    inverse: Float32[np.ndarray, " P"]
    """Inverse depth at each used point."""
    bent: Bool[np.ndarray, " P"]
    """Whether a silhouette may run at each used point: inverse depth bends by more than BENT."""


def depth_mesh(depth: Float32[np.ndarray, "H W"], side: int = SIDE) -> DepthMesh:
    """The mesh of a depth map, whatever its size; depth positive.

    The grid reaches from border to border of the picture: point (row, column) lies at
    (row, column) / (side - 1) of it.
    """
    grid = sharpened(inverse_grid(depth, side))
    error = split_errors(grid) / grid
    tolerance = TOLERANCE
    while (error > tolerance).sum() > MOST_POINTS:
        tolerance *= 1.5
    used = nested(error) > tolerance
    used[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    return DepthMesh(used, grid[used], bends(grid)[used] > BENT)


def inverse_grid(depth: Float32[np.ndarray, "H W"], side: int) -> F32:
    """Inverse depth at (side, side) points from border to border, that of the nearest pixel."""
    h, w = depth.shape
    rows = np.minimum(np.linspace(0, h, side).astype(int), h - 1)
    columns = np.minimum(np.linspace(0, w, side).astype(int), w - 1)
    return (1 / np.maximum(depth[np.ix_(rows, columns)], 1e-4)).astype(np.float32)


def sharpened(grid: Float32[np.ndarray, "G G"]) -> F32:
    """Inverse depth without points that hang between two surfaces, as estimates have at edges.

    Such a point bends, and some neighbour is clearly nearer and some clearly farther: it takes
    after the more alike of the two. Others stay as they are, and so does exact depth.
    """
    around = np.ones((3, 3), np.uint8)
    for _ in range(2):  # a soft edge has up to two such points
        far, near = cv2.erode(grid, around), cv2.dilate(grid, around)
        hangs = (near > (1 + HANGS) * grid) & (grid > (1 + HANGS) * far)
        hangs &= cv2.dilate((bends(grid) > BENT).astype(np.uint8), around) > 0
        hangs &= ~continues(grid)  # a floor towards the horizon has neighbours of both kinds
        grid = np.where(hangs, np.where(grid * grid > near * far, near, far), grid)
    return grid


def continues(grid: Float32[np.ndarray, "G G"]) -> Bool[np.ndarray, "G G"]:
    """Whether each point lies on one steep plane with the next three up, down, left or right.

    Steep, because along a silhouette itself all points are alike.
    """
    n, padded = len(grid), np.pad(grid, 3, mode="edge")
    found = np.zeros(grid.shape, bool)
    for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        rows, columns = ([3 + k * step for k in range(4)] for step in (down, right))
        a, b, c, d = (padded[i : i + n, j : j + n] for i, j in zip(rows, columns, strict=True))
        flat = (np.abs(a - 2 * b + c) < FLAT * a) & (np.abs(b - 2 * c + d) < FLAT * b)
        found |= flat & (np.abs(b - a) > HANGS / 2 * a)
    return found


def bends(grid: Float32[np.ndarray, "G G"]) -> F32:
    """Largest second difference of inverse depth along rows, columns, diagonals, by its value."""
    padded = cv2.copyMakeBorder(grid, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    centre = padded[1:-1, 1:-1]
    n = len(grid)
    pairs = (((0, 1), (2, 1)), ((1, 0), (1, 2)), ((0, 0), (2, 2)), ((0, 2), (2, 0)))
    largest = np.zeros_like(grid)
    for (a, b), (c, d) in pairs:
        along = padded[a : a + n, b : b + n] + padded[c : c + n, d : d + n] - 2 * centre
        np.maximum(largest, np.abs(along), out=largest)
    # The border's own second differences are not known.
    largest[[0, -1]] = largest[[1, -2]]
    largest[:, [0, -1]] = largest[:, [1, -2]]
    return (largest / grid).astype(np.float32)


def split_errors(grid: Float32[np.ndarray, "G G"]) -> F32:
    """How far each point lies from the middle of the longest side that it splits; 0 for corners.

    At spacing s the points split, first, the edges of squares of side s (those halfway along an
    edge), then the squares' diagonals (the centres). A square's diagonal runs from its parent's
    corner to its parent's centre: to the right and down where row + column of the square is even.
    """
    error = np.zeros_like(grid)
    last = len(grid) - 1
    s = 2
    while s <= last:
        half = s // 2
        corners = grid[::s, ::s]
        error[::s, half::s] = np.abs(grid[::s, half::s] - (corners[:, :-1] + corners[:, 1:]) / 2)
        error[half::s, ::s] = np.abs(grid[half::s, ::s] - (corners[:-1] + corners[1:]) / 2)
        down = (corners[:-1, :-1] + corners[1:, 1:]) / 2
        up = (corners[1:, :-1] + corners[:-1, 1:]) / 2
        even = np.add.outer(*(np.arange(last // s),) * 2) % 2 == 0
        error[half::s, half::s] = np.abs(grid[half::s, half::s] - np.where(even, down, up))
        s *= 2
    return error


def nested(error: Float32[np.ndarray, "G G"]) -> F32:
    """Errors such that no point has less than one that can only be split after it: then all points
    above any tolerance make triangles without gaps."""
    error = error.copy()
    last = len(error) - 1
    s = 2
    while s <= last:
        half, quarter = s // 2, s // 4
        if quarter:
            # Halfway along an edge: before the centres of the four squares of side s/2 at it.
            inner = np.pad(error[quarter::half, quarter::half], 1)
            around = np.maximum(inner[:-1], inner[1:])
            around = np.maximum(around[:, :-1], around[:, 1:])  # at every corner of side s/2
            for rows, columns in (((0, s), (half, s)), ((half, s), (0, s))):
                at = error[rows[0] :: rows[1], columns[0] :: columns[1]]
                near = around[rows[0] // half :: 2, columns[0] // half :: 2]
                np.maximum(at, near, out=at)
        # A centre: before the four edges around it.
        across, along = error[::s, half::s], error[half::s, ::s]
        centre = error[half::s, half::s]
        for edge in (across[:-1], across[1:], along[:, :-1], along[:, 1:]):
            np.maximum(centre, edge, out=centre)
        s *= 2
    return error


def triangles(used: Bool[np.ndarray, "G G"]) -> np.ndarray:
    """(T, 3) i32 points (row * G + column) of the triangles, as the page makes them."""
    n = len(used)
    last = n - 1
    made: list[list[int]] = []
    # Ends of the longest side, then the right angle.
    todo = [((0, 0), (last, last), (last, 0)), ((last, last), (0, 0), (0, last))]
    while todo:
        a, b, c = todo.pop()
        middle = ((a[0] + b[0]) // 2, (a[1] + b[1]) // 2)
        longest = max(abs(a[0] - b[0]), abs(a[1] - b[1]))
        if longest > 1 and used[middle]:
            todo += [(c, a, middle), (b, c, middle)]
        else:
            made.append([row * n + column for row, column in (a, b, c)])
    return np.array(made, np.int32)
