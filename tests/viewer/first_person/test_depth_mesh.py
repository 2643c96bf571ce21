"""Triangles of a depth map: without gaps, few on planes, as exact as asked."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from viewer.first_person.depth_mesh import (
    MOST_POINTS,
    TOLERANCE,
    bends,
    depth_mesh,
    inverse_grid,
    nested,
    sharpened,
    split_errors,
    triangles,
)
from vmem.arrays import F32


def scene(seed: int, side: int = 66) -> F32:
    """Depth (side, side): a floor, a wall, and boxes before them, a little uneven."""
    rng = np.random.default_rng(seed)
    row, column = np.indices((side, side)) / side
    depth = 1 / np.maximum(0.2 + 0.1 * column, 1.2 * (row - 0.4))
    for _ in range(rng.integers(0, 4)):
        top, left = rng.integers(0, side, 2)
        depth[top : top + side // 4, left : left + side // 3] *= rng.uniform(0.4, 0.9)
    return (depth + rng.uniform(0, 0.05) * np.sin(9 * row + 7 * column)).astype(np.float32)


def corners(mesh_used: np.ndarray, made: np.ndarray) -> np.ndarray:
    """(T, 3, 2) i64 rows and columns."""
    return np.stack(np.divmod(made.astype(np.int64), len(mesh_used)), axis=-1)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from([17, 33]))
def test_triangles_cover_the_picture_once_and_meet_without_gaps(seed, side):
    used = depth_mesh(scene(seed), side).used
    made = corners(used, triangles(used))
    a, b, c = made[:, 0], made[:, 1], made[:, 2]
    twice = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
    assert twice.sum() == 2 * (side - 1) ** 2
    assert twice.min() > 0
    seen = np.zeros_like(used)
    seen[tuple(made.reshape(-1, 2).T)] = True
    assert_array_equal(seen, used)
    for start, end in ((a, b), (b, c), (c, a)):
        for p, q in zip(start, end, strict=True):
            steps = np.gcd(*np.abs(q - p))
            for i in range(1, steps):  # a used point within a side would be a gap
                assert not used[tuple(p + (q - p) // steps * i)]


def test_a_plane_is_two_triangles():
    row, column = np.indices((65, 65))
    mesh = depth_mesh((1 / (0.3 + 0.004 * row + 0.002 * column)).astype(np.float32), 65)
    assert mesh.used.sum() == 4
    assert len(triangles(mesh.used)) == 2


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_the_mesh_is_near_to_the_depth_everywhere(seed):
    """Errors of nested splits add up: no point is off by more than a few tolerances."""
    depth = scene(seed)
    mesh = depth_mesh(depth, 65)
    grid = sharpened(inverse_grid(depth, 65))
    assert_array_equal(grid[mesh.used], mesh.inverse)
    points = np.moveaxis(np.indices(grid.shape), 0, -1)
    worst = 0.0
    for triangle in corners(mesh.used, triangles(mesh.used)):
        low, high = triangle.min(0), triangle.max(0) + 1
        inside = points[low[0] : high[0], low[1] : high[1]].reshape(-1, 2)
        edges = np.column_stack([triangle[1] - triangle[0], triangle[2] - triangle[0]])
        share = np.linalg.solve(edges, (inside - triangle[0]).T).T
        inside = inside[(share.min(1) >= 0) & (share.sum(1) <= 1)]
        share = share[(share.min(1) >= 0) & (share.sum(1) <= 1)]
        values = grid[tuple(triangle.T)]
        guess = values[0] + share @ (values[1:] - values[0])
        exact = grid[tuple(inside.T)]
        worst = max(worst, float(np.abs(guess / exact - 1).max()))
    assert worst < 4 * TOLERANCE


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_nested_errors_are_as_a_slow_search_says(seed):
    """Oracle: a point's error is the largest of all points that can only be split after it."""
    grid = inverse_grid(scene(seed, 18), 17)
    own = split_errors(grid)
    slow = np.zeros_like(own)

    def visit(a, b, c) -> float:
        middle = (a[0] + b[0]) // 2, (a[1] + b[1]) // 2
        if max(abs(a[0] - b[0]), abs(a[1] - b[1])) < 2:
            return 0.0
        exact = abs(grid[middle] - (grid[a] + grid[b]) / 2)
        np.testing.assert_allclose(own[middle], exact, atol=1e-6)
        largest = max(own[middle], visit(c, a, middle), visit(b, c, middle))
        slow[middle] = max(slow[middle], largest)
        return float(slow[middle])

    for _ in range(2):  # two triangles share a side, and the second may raise what the first used
        visit((0, 0), (16, 16), (16, 0))
        visit((16, 16), (0, 0), (0, 16))
    assert (nested(own) >= slow).all()
    assert_array_equal(nested(own) >= own, True)


def test_noise_does_not_make_a_mesh_of_all_points():
    noise = np.random.default_rng(0).uniform(0.9, 1.1, (288, 288)).astype(np.float32)
    assert depth_mesh(noise).used.sum() < 3 * MOST_POINTS


def test_only_silhouettes_bend():
    row, column = np.indices((65, 65))
    depth = np.where(column < 30, 1.0, 1 / (0.5 + 0.003 * row)).astype(np.float32)
    bend = bends(inverse_grid(depth, 65))
    assert bend[:, 28:31].max() > 0.5
    assert bend[:, :27].max() < 1e-3
    assert bend[:, 34:].max() < 1e-3


def test_soft_edges_become_sharp_and_exact_ones_stay():
    """Every point ends on one of the two surfaces; where none hangs between, nothing changes."""
    row, column = np.indices((65, 65))
    left, right = 0.5 + 0.003 * row, 1.0 + 0.002 * column
    share = np.clip((column - 30) / 3, 0, 1)
    soft = ((1 - share) * left + share * right).astype(np.float32)
    sharp = sharpened(soft)
    nearest = np.minimum(np.abs(sharp / left - 1), np.abs(sharp / right - 1))
    assert np.minimum(np.abs(soft / left - 1), np.abs(soft / right - 1)).max() > 0.1
    assert nearest.max() < 0.02
    exact = np.where(column < 30, left, right).astype(np.float32)
    assert_array_equal(sharpened(exact), exact)
    floor = np.maximum(0.02, 0.05 * (row - 30)).astype(np.float32)  # far away, a third a row
    assert_array_equal(sharpened(floor)[32:], floor[32:])
