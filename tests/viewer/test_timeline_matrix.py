"""The matrix of steps and views: what is painted where, and what a click there means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from viewer.paint.palette import BACKGROUND, colormap
from viewer.paint.timeline_matrix import (
    MARK,
    ROW,
    cell_at,
    matrix_legend,
    paint_matrix,
    row_of,
    shares_of,
    top_share,
)
from vmem.memory import MemorySnapshot


def closing(steps: int, each: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Shares of a walk that draws on its newest views, and at its last step on view 1 too."""
    shares = np.full((steps, 1 + each * (steps - 1)), np.nan, np.float32)
    for step in range(1, steps):
        n = 1 + each * (step - 1)
        weight = np.exp(-np.arange(n)[::-1] / each)
        if n > 1 and step == steps - 1:
            weight[1] = 0.8
        shares[step, :n] = weight / weight.sum()
    chosen = np.nan_to_num(shares) >= np.sort(np.nan_to_num(shares))[:, -4:].min(1, keepdims=True)
    return shares, chosen & (shares > 0)


def test_shares_are_those_of_the_retrievals(walk: MemorySnapshot) -> None:
    shares, chosen = shares_of(walk.retrievals, len(walk.views))
    assert (shares.shape, shares.dtype) == ((9, 33), np.float32)
    assert np.isnan(shares[0]).all(), "the photo retrieved nothing"
    for step, retrieval in enumerate(walk.retrievals[1:], 1):
        assert retrieval is not None
        before = walk.steps[step - 1].n_views
        assert_array_equal(shares[step, :before], retrieval.share)
        assert np.isnan(shares[step, before:]).all()
        assert set(np.flatnonzero(chosen[step])) == set(retrieval.order)
    assert [array.shape for array in shares_of([], 5)] == [(0, 5), (0, 5)]


@pytest.mark.parametrize("side", [1, 2, 4, 8, 9, 20, 33, 50])
def test_of_many_steps_and_views_the_greatest_share_of_neighbours_counts(
    walk: MemorySnapshot, side: int
) -> None:
    whole = shares_of(walk.retrievals, 33)
    found = shares_of(walk.retrievals, 33, side)
    assert found[0].shape == (min(9, side), min(33, side))
    places = [(row_of(step, 9, side), row_of(view, 33, side)) for step, view in np.ndindex(9, 33)]
    expected = np.full(found[0].shape, np.nan, np.float32), np.zeros(found[0].shape, bool)
    for place, share, chosen in zip(places, *map(np.ravel, whole), strict=True):
        expected[0][place] = np.fmax(expected[0][place], share)
        expected[1][place] |= chosen
    assert_array_equal(found[0], expected[0])
    assert_array_equal(found[1], expected[1])
    for step in range(9):
        # The row that is painted is the one that a click there finds.
        rows = min(9, side)
        assert row_of(cell_at((9, 33), 0.5, (row_of(step, 9, side) + 0.5) / rows)[0], 9, side) == (
            row_of(step, 9, side)
        )


def brightness(image: np.ndarray) -> np.ndarray:
    return image.astype(int).sum(axis=2)


@pytest.mark.parametrize(
    ("steps", "side"), [(2, 400), (9, 400), (31, 300), (125, 300), (125, 600), (125, 60), (300, 90)]
)
def test_every_cell_is_where_a_click_finds_it(steps: int, side: int) -> None:
    shares, chosen = closing(steps)
    image = paint_matrix(shares, np.zeros_like(chosen), None, side)
    h, w = image.shape[:2]
    assert max(h, w) <= side
    lit, levels = brightness(image), {}
    if h >= steps and w >= shares.shape[1]:
        for row in range(h):
            for column in range(0, w, max(1, w // 60)):
                step, view = cell_at(shares.shape, (column + 0.5) / w, (row + 0.5) / h)
                share = shares[step, view]
                level = levels.setdefault(None if np.isnan(share) else share, lit[row, column])
                assert level == lit[row, column]
        assert len(set(levels.values())) > 1
    # The loop closure: brighter than all that lies between it and the diagonal.
    last, x = lit[-1], int(1.5 / shares.shape[1] * w)
    middle = last[int(0.2 * w) : int(0.7 * w)]
    if steps > 9:
        assert last[x] > middle.max() + 150
        assert last[int(w * (shares.shape[1] - 4.5) / shares.shape[1])] > middle.max() + 150


@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 40), st.integers(1, 80))
def test_a_pixel_shows_the_greatest_share_of_the_cells_on_it(
    seed: int, steps: int, views: int, side: int
) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.random((steps, views)).astype(np.float32)
    shares[rng.random((steps, views)) < 0.3] = np.nan
    image = paint_matrix(shares, np.zeros(shares.shape, bool), None, side)
    h, w = image.shape[:2]
    greatest = np.full((h, w), np.nan)
    for (step, view), share in np.ndenumerate(shares):
        # Where a cell has pixels of its own, all of them; else the one under its middle.
        rows, columns = (
            slice(i * size // n, (i + 1) * size // n)
            if size >= n
            else slice((2 * i + 1) * size // (2 * n), (2 * i + 1) * size // (2 * n) + 1)
            for i, n, size in ((step, steps, h), (view, views, w))
        )
        greatest[rows, columns] = np.fmax(greatest[rows, columns], share)
    for pixel, share in zip(image.reshape(-1, 3), greatest.ravel(), strict=True):
        if np.isnan(share):
            assert_array_equal(pixel, BACKGROUND)
        else:
            level = 0.1 + 0.9 * min(1.0, share / top_share(shares)) ** 0.5
            assert np.abs(pixel - colormap(np.array(level)).astype(int)).max() <= 6


@given(st.integers(1, 300), st.integers(1, 300))
def test_a_click_on_a_pixel_finds_a_cell_that_it_shows(views: int, side: int) -> None:
    for column in range(0, min(views, side), 3):
        shares = np.zeros((1, views), np.float32)
        w = paint_matrix(shares, shares > 0, None, side).shape[1]
        _, view = cell_at((1, views), (column + 0.5) / w, 0.5)
        shares[0, view] = 1
        assert paint_matrix(shares, np.zeros((1, views), bool), None, side)[0, column].min() > 150


def test_chosen_cells_are_marked_where_there_is_room_and_the_step_is_outlined() -> None:
    shares, chosen = closing(9)
    image = paint_matrix(shares, chosen, 5, 420)
    h, w = image.shape[0] // 9, image.shape[1] // 33
    for step in range(9):
        for view in range(33):
            cell = image[step * h : (step + 1) * h, view * w : (view + 1) * w]
            middle = cell[h // 2 - 1 : h // 2 + 1, w // 2 - 1 : w // 2 + 1].reshape(-1, 3)
            assert (middle == MARK).all(axis=1).any() == chosen[step, view]
    for row in (5 * h - 1, 6 * h):
        assert (image[row] == ROW).all()
    plain = paint_matrix(shares, chosen, None, 420)
    inside = slice(5 * h, 6 * h)
    assert_array_equal(image[inside, 1:-1], plain[inside, 1:-1])
    assert not (plain == ROW).all(axis=2).any()


@pytest.mark.parametrize(("steps", "side"), [(31, 300), (125, 300)])
def test_where_cells_are_small_all_of_a_chosen_one_is_white(steps: int, side: int) -> None:
    shares, chosen = closing(steps)
    white = (paint_matrix(shares, chosen, None, side) == MARK).all(axis=2)
    h, w = white.shape
    expected = np.zeros_like(white)
    for step, view in np.argwhere(chosen).tolist():
        down, across = max(1, h // steps), max(1, w // shares.shape[1])
        row, column = int((step + 0.5) / steps * h), int((view + 0.5) / shares.shape[1] * w)
        expected[
            row // down * down : row // down * down + down,
            column // across * across : column // across * across + across,
        ] = True
    assert_array_equal(white, expected)
    assert white[-1, : w // 10].any(), "the loop closure shows"


@pytest.mark.parametrize("current", [0, 8, -1, 9])
def test_a_step_at_the_edge_or_beyond_it(current: int) -> None:
    shares, chosen = closing(9)
    marked = (paint_matrix(shares, chosen, current) == ROW).all(axis=2)
    assert marked.any() == (0 <= current < 9)
    if current in (0, 8):
        rows = np.flatnonzero(marked.any(axis=1))
        h = len(marked) // 9
        assert rows.min() >= current * h - 1
        assert rows.max() <= (current + 1) * h


def test_a_walk_of_nothing_but_its_photo() -> None:
    image = paint_matrix(np.full((1, 1), np.nan, np.float32), np.zeros((1, 1), bool), None)
    assert (image == BACKGROUND).all()
    empty = paint_matrix(np.zeros((0, 0), np.float32), np.zeros((0, 0), bool), None)
    assert_array_equal(empty, BACKGROUND[None, None])
    with pytest.raises(ValueError, match="no cells"):
        cell_at((0, 0), 0.5, 0.5)
    with pytest.raises(ValueError, match="shares are"):
        paint_matrix(np.zeros((2, 3), np.float32), np.zeros((3, 2), bool), None)


@given(st.integers(1, 200), st.integers(1, 700), st.floats(-0.5, 1.5), st.floats(-0.5, 1.5))
def test_every_place_is_a_cell(steps: int, views: int, x: float, y: float) -> None:
    step, view = cell_at((steps, views), x, y)
    assert 0 <= step < steps
    assert 0 <= view < views
    at = cell_at((steps, views), (view + 0.5) / views, (step + 0.5) / steps)
    assert at == (step, view)


def test_the_first_steps_do_not_dim_the_others() -> None:
    shares, _ = closing(60)
    assert np.nanmax(shares) == 1
    assert top_share(shares) < 0.5
    assert f"0 to {100 * top_share(shares):.0f} %" in matrix_legend(shares)
    assert top_share(np.full((2, 2), np.nan, np.float32)) == 1
