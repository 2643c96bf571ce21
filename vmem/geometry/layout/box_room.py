"""Hypothesis "box room": a rectangular room seen from inside, found by exhaustive search.

The model of Horry et al., "Tour into the picture" (1997), with the camera calibrated and level so
that only four lengths and a yaw are left to find: the distances of the left, right and back wall
and the height of the ceiling, in camera heights above the floor.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vmem.arrays import F64
from vmem.geometry.layout.level_grid import LevelGrid
from vmem.geometry.layout.score import Scorer
from vmem.geometry.layout.shape import NEAREST, Limits, Shape

SIDE_DISTANCES = np.geomspace(0.5, 6.0, 10)
BACK_DISTANCES = np.geomspace(1.2, 12.0, 13)
CEILING_HEIGHTS = np.geomspace(0.35, 3.0, 9)
TYPICAL_WIDTH = 3.2
TYPICAL_BACK = 3.0
TYPICAL_CEILING = 0.9
PRIOR_WEIGHT = 0.012
"""Score that a room loses when one of its lengths is e times the typical one."""
REFINEMENT = (1.12, 1.06, 1.03)
"""Factors by which lengths are varied, one after the other, after the exhaustive search."""


@dataclass(frozen=True)
class BoxRoom:
    """A rectangular room around the camera; lengths in camera heights above the floor."""

    left: float
    """Distance of the left wall."""
    right: float
    """Distance of the right wall."""
    back: float
    """Distance of the back wall."""
    ceiling: float
    """Height of the ceiling above the camera."""
    yaw: float
    """Radians from the camera's heading to the room's depth axis, to the right."""
    score: float
    """How well it fits, see vmem.geometry.layout.score."""

    def shape(self, grid: LevelGrid) -> Shape:
        """The room's walls as knots at its visible corners."""
        planes = _wall_planes(np.array([[self.left, self.right, self.back]]), self.yaw)[0]
        ends = [float(grid.u[0]), float(grid.u[-1])]
        knots = list(ends)
        for (a0, b0), (a1, b1) in itertools.combinations(planes, 2):
            if abs(a0 - a1) > 1e-12:
                u = (b1 - b0) / (a0 - a1)
                here = (planes[:, 0] * u + planes[:, 1]).max()
                if ends[0] < u < ends[1] and math.isclose(here, a0 * u + b0, rel_tol=1e-9):
                    knots.append(float(u))
        u = np.array(sorted(knots))
        wall = (planes[:, :1] * u + planes[:, 1:]).max(0)
        return Shape(u, wall, self.ceiling)


def _wall_planes(lengths: F64, yaw: float) -> F64:
    """(k, 3, 2) for lengths (k, 3) of left, right, back: inverse distance is a * u + b."""
    c, s = math.cos(yaw), math.sin(yaw)
    directions = np.array([[-c, s], [c, -s], [s, c]])
    return directions / lengths[:, :, None]


def _walls(lengths: F64, yaw: float, grid: LevelGrid) -> tuple[F64, NDArray[np.bool_]]:
    """Inverse distance (k, n) at the grid's columns, and whether a side wall is seen there."""
    planes = _wall_planes(lengths, yaw)
    each = planes[..., :1] * grid.u + planes[..., 1:]
    return each.max(1), each.argmax(1) < 2


def search_box_room(scorer: Scorer, yaw: float, limits: Limits) -> BoxRoom | None:
    """The best room at ``yaw`` (radians, of the room's depth axis against the heading, to the
    right), or None if no room keeps the limits.
    """
    triples = np.array(list(itertools.product(SIDE_DISTANCES, SIDE_DISTANCES, BACK_DISTANCES)))
    wall, sideways = _walls(triples, yaw, scorer.evidence.grid)
    allowed = _within_limits(wall, scorer.evidence.grid, limits)
    if not allowed.any():
        return None
    triples, wall, sideways = triples[allowed], wall[allowed], sideways[allowed]

    on_walls = scorer.score_walls(wall, sideways)
    best, best_score = np.ones(4), -math.inf
    for ceiling in CEILING_HEIGHTS:
        rooms = np.column_stack([triples, np.full(len(triples), ceiling)])
        scores = on_walls + scorer.score_ceiling(wall, rooms[:, 3], sideways) - _prior_cost(rooms)
        scores[_ceiling_too_steep(wall, ceiling, limits)] = -math.inf
        if scores.max() > best_score:
            best, best_score = rooms[scores.argmax()], float(scores.max())
    if best_score == -math.inf:
        return None

    for factor in REFINEMENT:
        for _ in range(2):
            best, best_score = _refine(best, best_score, factor, scorer, yaw, limits)
    left, right, back, ceiling = (float(length) for length in best)
    return BoxRoom(left, right, back, ceiling, yaw, best_score)


def _refine(
    room: F64, score: float, factor: float, scorer: Scorer, yaw: float, limits: Limits
) -> tuple[F64, float]:
    """The best of all rooms whose lengths differ from ``room`` by ``factor`` or not at all."""
    changes = np.array(list(itertools.product((1 / factor, 1.0, factor), repeat=4)))
    rooms = room * changes
    wall, sideways = _walls(rooms[:, :3], yaw, scorer.evidence.grid)
    scores = scorer.score_walls(wall, sideways) - _prior_cost(rooms)
    scores += scorer.score_ceiling(wall, rooms[:, 3], sideways)
    scores[~_within_limits(wall, scorer.evidence.grid, limits)] = -math.inf
    scores[_ceiling_too_steep(wall, rooms[:, 3], limits)] = -math.inf
    if scores.max() <= score:
        return room, score
    return rooms[scores.argmax()], float(scores.max())


def _within_limits(wall: F64, grid: LevelGrid, limits: Limits) -> NDArray[np.bool_]:
    steepest = np.abs(np.diff(np.log(np.maximum(wall, 1e-9)), axis=1)).max(1) / grid.step
    deep_enough = wall.min(1) >= np.maximum(limits.far, NEAREST * wall.max(1))
    return deep_enough & (steepest <= limits.slope)


def _ceiling_too_steep(wall: F64, ceiling: F64 | float, limits: Limits) -> NDArray[np.bool_]:
    return ceiling * wall.min(1) * limits.slope < 1


def _prior_cost(rooms: F64) -> F64:
    """A mild preference for ordinary rooms, (k,) for rooms (k, 4)."""
    width = np.abs(np.log((rooms[:, 0] + rooms[:, 1]) / TYPICAL_WIDTH))
    back = np.abs(np.log(rooms[:, 2] / TYPICAL_BACK))
    ceiling = np.abs(np.log(rooms[:, 3] / TYPICAL_CEILING))
    return PRIOR_WEIGHT * (width + 0.5 * back + 0.7 * ceiling)
