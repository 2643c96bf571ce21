"""Hypothesis "curtain": one foot of the wall in each column, vertical walls standing on it.

The foot is found by dynamic programming over the columns of the level grid and then straightened
into a polygon, so that each of its pieces carries a plane wall. Source of the idea: Hoiem et al.,
"Automatic photo pop-up" (2005); the dynamic programming is that of seam finding.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vmem.arrays import F64
from vmem.geometry.layout.level_grid import LevelGrid
from vmem.geometry.layout.score import FLOOR_EDGE_WEIGHT, FLOOR_WEIGHT, Scorer
from vmem.geometry.layout.shape import Limits, Shape, limit_walls

JUMP_COST = 0.012
"""Cost of moving the foot by one cell between two columns, in scores of a whole column."""
LONGEST_JUMP = 14
"""Cells beyond which a jump costs no more: it is an object's side, not a crooked wall."""
STRAIGHTNESS = 1.5
"""Grid cells by which the first polygon may leave the traced foot."""
CORNER_COST = 0.01
"""Score that a curtain loses for each corner of its polygon."""
KNOT_MOVES = (-6, -3, -1, 1, 3, 6)
"""Grid cells by which the polygon's knots are tried higher and lower."""
MAX_ROUNDS = 24
"""Most changes made to a polygon after tracing."""
CEILING_HEIGHTS = np.geomspace(0.5, 4.0, 24)
CEILING_DISTINCTION = 0.025
"""Score by which a ceiling must surpass the median of all ceilings to be believed."""


@dataclass(frozen=True, eq=False)
class Curtain:
    """Walls along a polygon."""

    shape: Shape
    """The walls, whose foot the polygon is, and perhaps a ceiling."""
    score: float
    """How well it fits, less CORNER_COST a corner."""


def search_curtain(scorer: Scorer, limits: Limits, *, ceilings: bool) -> Curtain | None:
    """The best curtain, or None if no floor can be seen. ``ceilings`` allows it a ceiling."""
    grid = scorer.evidence.grid
    rows = np.flatnonzero(grid.v - grid.step / 2 >= limits.far)
    if len(rows) < 4:
        return None
    foot = _trace_foot(scorer, rows, limits)
    polygon = _improve(_simplify(grid, foot), scorer, grid.v[rows[[0, -1]]])
    u, wall = _limit(polygon, grid, limits)
    on_columns = np.interp(grid.u, u, wall)[None]
    score = float(scorer.score_walls(on_columns)[0]) - CORNER_COST * (len(polygon) - 2)
    ceiling = _find_ceiling(on_columns, scorer, limits) if ceilings else None
    return Curtain(Shape(u, wall, ceiling), score)


def _find_ceiling(wall: F64, scorer: Scorer, limits: Limits) -> float | None:
    """Height of the ceiling on walls (1, n) if one stands out from all other heights."""
    heights = CEILING_HEIGHTS[CEILING_HEIGHTS * wall.min() * limits.slope >= 1]
    if not len(heights):
        return None
    gains = scorer.score_ceiling(np.repeat(wall, len(heights), axis=0), heights)
    best = int(gains.argmax())
    # Where a ceiling's rim leaves the photo the gain is 0 and says nothing.
    seen = gains[best] != 0 and gains[best] - np.median(gains) >= CEILING_DISTINCTION
    return float(heights[best]) if seen else None


def _trace_foot(scorer: Scorer, rows: NDArray[np.intp], limits: Limits) -> F64:
    """(n,) height v of the foot in every column of the grid; ``rows`` are those it may take."""
    evidence, grid = scorer.evidence, scorer.evidence.grid
    columns = len(grid.u)
    share = max(float(scorer.column_share.max()), 1e-12)
    floor = scorer.floor_above[-1] - scorer.floor_above[rows] - scorer.floor_above[rows + 1]
    edge = (np.abs(evidence.edge_v) - evidence.texture)[rows]
    gain = FLOOR_WEIGHT * floor / share + FLOOR_EDGE_WEIGHT * edge * grid.inside[rows]

    height = np.log(grid.v[rows])
    step = np.abs(rows[:, None] - rows)
    jump_cost = JUMP_COST * np.minimum(step, LONGEST_JUMP)
    reach = max(limits.slope * grid.step, float(np.diff(height).max()) * 1.001)
    jump_cost = np.where(np.abs(height[:, None] - height) <= reach, jump_cost, np.inf)

    total = gain[:, 0]
    came_from = np.zeros((columns, len(rows)), np.intp)
    for column in range(1, columns):
        through = total - jump_cost
        came_from[column] = through.argmax(1)
        total = gain[:, column] + through.max(1)
    path = np.zeros(columns, np.intp)
    path[-1] = total.argmax()
    for column in range(columns - 1, 0, -1):
        path[column - 1] = came_from[column, path[column]]
    return grid.v[rows[path]]


def _simplify(grid: LevelGrid, foot: F64) -> F64:
    """Knots (k, 2) of a polygon (u, v) along ``foot`` (n,), by Douglas and Peucker's method."""
    curve = np.column_stack([grid.u, foot]).astype(np.float32)
    polygon = cv2.approxPolyDP(curve[:, None], STRAIGHTNESS * grid.step, False)[:, 0]
    return polygon.astype(np.float64)


def _improve(polygon: F64, scorer: Scorer, v_range: F64) -> F64:
    """The polygon (k, 2) after the best single changes, one at a time, while the score grows.

    A change leaves out an inner knot or moves a knot up or down. The tracing is blind to creases
    that run steeply and to the merit of fewer walls; this is where both count.
    """
    grid = scorer.evidence.grid
    best = -np.inf
    for _ in range(MAX_ROUNDS):
        options = [polygon]
        options += [np.delete(polygon, k, axis=0) for k in range(1, len(polygon) - 1)]
        for k in range(len(polygon)):
            for cells in KNOT_MOVES:
                moved = polygon.copy()
                moved[k, 1] = np.clip(moved[k, 1] + cells * grid.step, v_range[0], v_range[1])
                options.append(moved)
        walls = np.stack([np.interp(grid.u, option[:, 0], option[:, 1]) for option in options])
        corners = np.array([len(option) - 2 for option in options])
        scores = scorer.score_walls(walls) - CORNER_COST * corners
        winner = int(scores.argmax())
        if scores[winner] <= best + 1e-9:
            break
        best, polygon = float(scores[winner]), options[winner]
    return polygon


def _limit(polygon: F64, grid: LevelGrid, limits: Limits) -> tuple[F64, F64]:
    """Knots (u, inverse distance) of the polygon's walls, drawn nearer where limits require it."""
    u, v = polygon[:, 0], polygon[:, 1]
    on_columns = np.interp(grid.u, u, v)
    limited = limit_walls(on_columns, grid.step, limits)
    if np.allclose(limited, on_columns, rtol=1e-3):
        return u, v
    # Limits bend the walls at single columns; where they do not, the polygon's few knots suffice.
    bends = np.abs(np.diff(limited, 2)) > 1e-9
    kept = np.concatenate([[True], bends, [True]])
    return grid.u[kept], limited[kept]
