"""The matrix of a walk: which step drew on which view. Loop closures lie off its diagonal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from viewer.paint.palette import BACKGROUND, BLACK, INFERNO, POINTED, WHITE, colormap
from vmem.arrays import F32, U8
from vmem.types import Retrieval

WIDEST, TALLEST = 14, 14
"""Pixels of a cell at most."""
STEEPEST = 4
"""How many times as high as wide a cell may be: about as many views as a step makes, so that the
diagonal is one."""
ROOMY = 5
"""Pixels that a cell needs, across and down, to show a mark and its share as well."""
NO_SHARE = 0.1
"""Where on the colour map a share of 0 lies: it must not look like a view that did not exist."""
MARK, RIM = WHITE, BLACK
"""A chosen cell: a dot with a rim, for the brightest shares are nearly white; or all of it, where
cells are small, for that is what shows loop closures at a glance."""
ROW = POINTED
"""The outline of the step that is explained."""


def shares_of(
    retrievals: Sequence[Retrieval | None], n_views: int, max_side: int | None = None
) -> tuple[F32, NDArray[np.bool_]]:
    """(T, V) f32 share of the votes that each of ``n_views`` views had at each of T steps, and
    (T, V) bool which were chosen.

    The share is NaN where a view did not exist yet, and for a step that retrieved nothing. Of more
    steps or views than ``max_side``, neighbours are taken together, and the greatest counts: both
    arrays have at most that many rows and columns. None: no limit.
    """
    most = max(len(retrievals), n_views, 1) if max_side is None else max_side
    shape = (min(len(retrievals), most), min(n_views, most))
    shares, chosen = np.full(shape, np.nan, np.float32), np.zeros(shape, bool)
    if not chosen.size:
        return shares, chosen
    columns = _edges(n_views, most)
    whole = np.empty(n_views, np.float32)
    for step, retrieval in enumerate(retrievals):
        if retrieval is None:
            continue
        known = retrieval.share[:n_views]
        whole[: len(known)], whole[len(known) :] = known, np.nan
        row = row_of(step, len(retrievals), most)
        shares[row] = np.fmax(shares[row], np.fmax.reduceat(whole, columns[:-1]))
        chosen[row, np.searchsorted(columns, retrieval.order, side="right") - 1] = True
    return shares, chosen


def row_of(step: int, steps: int, max_side: int) -> int:
    """The row of `shares_of` that has a step."""
    return int(np.searchsorted(_edges(steps, max_side), step, side="right")) - 1


def top_share(shares: F32) -> float:
    """The share at which the scale ends: nearly the greatest, so that the first steps, which had
    but a few views to choose from, do not put all others in the dark."""
    some = shares[shares > 0]
    return float(np.quantile(some, 0.99)) if len(some) else 1.0


def matrix_legend(shares: F32) -> str:
    """What the colours of ``paint_matrix`` mean; their bar is that of inferno."""
    return (
        f"share of the votes: 0 to {100 * top_share(shares):.0f} % or more (square root) · "
        "white: chosen · background: no such view yet"
    )


def paint_matrix(
    shares: F32, chosen: NDArray[np.bool_], current: int | None, max_side: int = 600
) -> U8:
    """(h, w, 3) u8: a row for each step from the top, a column for each view, at most ``max_side``
    pixels either way.

    shares (T, V) f32 as by ``shares_of`` · chosen (T, V) bool, marked white · current: the step
    that is outlined. Cells are whole pixels; where there are more of them than pixels, the greatest
    share of those on a pixel shows. ValueError if the shapes differ.
    """
    if shares.shape != chosen.shape:
        raise ValueError(f"shares are {shares.shape}, but choices are {chosen.shape}")
    steps, views = shares.shape
    if not shares.size:
        return BACKGROUND[None, None].copy()
    across = min(max(1, max_side // views), WIDEST)
    down = min(max(1, max_side // steps), TALLEST, STEEPEST * across)
    rows, columns = _edges(steps, max_side), _edges(views, max_side)
    pooled = np.fmax.reduceat(shares, rows[:-1], axis=0)
    pooled = np.fmax.reduceat(pooled, columns[:-1], axis=1)
    level = np.sqrt(np.clip(pooled / np.float32(top_share(shares)), 0, 1))
    color = colormap(NO_SHARE + (1 - NO_SHARE) * np.nan_to_num(level), INFERNO)
    color[np.isnan(pooled)] = BACKGROUND
    roomy = min(across, down) >= ROOMY
    if not roomy:
        marked = np.logical_or.reduceat(chosen, rows[:-1], axis=0)
        color[np.logical_or.reduceat(marked, columns[:-1], axis=1)] = MARK
    image = color.repeat(down, axis=0).repeat(across, axis=1)
    if roomy:
        cells = image.reshape(steps, down, views, across, 3)
        size = max(1, min(across, down) // 4)
        for side, mark in ((size + 2, RIM), (size, MARK)):
            top, left = (down - side) // 2, (across - side) // 2
            spots = cells[:, top : top + side, :, left : left + side]
            spots[np.broadcast_to(chosen[:, None, :, None], spots.shape[:4])] = mark
    if current is not None and 0 <= current < steps:
        _outline(image, *_row_pixels(current, rows, down))
    return image


def cell_at(shape: tuple[int, int], x: float, y: float) -> tuple[int, int]:
    """(step, view) at a place in the picture of a matrix of ``shape`` (T, V); x from the left and y
    from the top, in [0, 1] of its sides. ValueError for a matrix without cells."""
    if min(shape) < 1:
        raise ValueError(f"a matrix of {shape} has no cells")
    step, view = (min(max(int(at * n), 0), n - 1) for at, n in zip((y, x), shape, strict=True))
    return step, view


def _edges(n: int, most: int) -> NDArray[np.int64]:
    """Bounds of ``n`` cells shared out to at most ``most`` pixels: (min(n, most) + 1,).

    A pixel has the cells whose middles lie on it, so the cell at its middle is one of them.
    """
    pixels = min(n, max(1, most))
    return -((pixels - 2 * n * np.arange(pixels + 1)) // (2 * pixels))


def _row_pixels(step: int, rows: NDArray[np.int64], down: int) -> tuple[int, int]:
    """First pixel of a step's row, and the first beyond it."""
    row = int(np.searchsorted(rows, step, side="right")) - 1
    return row * down, (row + 1) * down


def _outline(image: U8, top: int, bottom: int) -> None:
    """A frame about a row: outside of it where there is room, so that it hides none of its own."""
    above, below = max(0, top - 1), min(len(image) - 1, bottom)
    image[above] = image[below] = ROW
    image[above : below + 1, 0] = image[above : below + 1, -1] = ROW
