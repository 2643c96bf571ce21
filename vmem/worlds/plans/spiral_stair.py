"""Plan "spiral_stair": a stair that winds around a pillar, from a lower to an upper room."""

from __future__ import annotations

import numpy as np

from vmem.worlds.furniture import Item, furnish
from vmem.worlds.materials import Swatches
from vmem.worlds.plan import THICK, Box, Opening, Plan, Room

_TREAD, _RISE = 0.9, 0.24
"""Metres of a step, which is square, and from one step to the next."""
_RING = "01 02 03 13 23 33 32 31 30 20 10 00"
"""Columns and rows of the steps around the pillar; the last is a landing above the entrance."""
_TOP = _RISE * len(_RING.split())
# fmt: off
_LOWER: tuple[Item, ...] = (
    ("rug", "floor", 0.2, 0), ("cabinet", "right", 0.2), ("armchair", "near", 0.3),
    ("plant", "near", 1.4),
    ("picture", "far", 0.6), ("picture", "right", 0.2), ("picture", "near", -1.1),
    ("picture", "near", 0.3),
    ("tree", "floor", -6, 1), ("tree", "floor", -5, 7), ("tree", "floor", 1, 11),
    ("tree", "floor", 7, 5),
)
_UPPER: tuple[Item, ...] = (
    ("rug", "floor", 0.2, 0), ("bookcase", "far", 0.9), ("sofa", "near", 0.3),
    ("plant", "right", 1.6),
    ("picture", "near", 0.3), ("picture", "left", -1.2), ("pendant", "floor", 0, 0.4),
)
# fmt: on


def spiral_stair(rng: np.random.Generator) -> Plan:
    """The walk climbs the stair, turns in the upper room, and comes down again."""
    swatches, half, side = Swatches(rng), THICK / 2, 2 * _TREAD
    z1, floor = rng.uniform(2.4, 3.0), swatches["floor"]
    z2, entrance = z1 + THICK, _TREAD / 2 - side
    z3 = z2 + 2 * side

    def room(name: str, z: tuple[float, float], base: float, height: float) -> Room:
        return Room(name, (-side, side), z, swatches["floor"], swatches["wall"], base, height)

    lower = room("lower room", (-1.5, z1), 0.0, _TOP - 0.26)
    stair = room("stair", (z2, z3), 0.0, _TOP + 2.7)
    upper = room("upper room", (-1.5, z1), _TOP, 2.7)
    steps = [
        (entrance + int(at[0]) * _TREAD, (k + 1) * _RISE, z2 + (int(at[1]) + 0.5) * _TREAD)
        for k, at in enumerate(_RING.split())
    ]
    openings = (
        Opening("door", "z", z1 + half, entrance, 0.86),
        Opening("door", "z", z1 + half, entrance, 0.86, _TOP),
        Opening("window", "x", -side - half, 0.8),
        Opening("window", "x", -side - half, 0.8, 1.4, _TOP),
        Opening("window", "x", side + half, 0.0, 1.4, _TOP),
        Opening("window", "x", -side - half, steps[2][2], 0.9, 0.8),
        Opening("window", "z", z3 + half, steps[4][0], 0.9, 1.2),
        Opening("window", "x", side + half, steps[6][2], 0.9, 1.8),
        Opening("window", "z", z3 + half, steps[1][0], 0.9, _TOP),
    )
    inner, edge = (_TREAD - side, side - _TREAD), _TREAD / 2
    boxes = [
        Box((x - edge, x + edge), (max(0.0, top - 0.3), top), (z - edge, z + edge), floor)
        for x, top, z in steps
    ]
    boxes.append(Box(inner, (0, stair.height), (z2 + _TREAD, z3 - _TREAD), swatches["wall"]))
    # A balustrade keeps the landing from the drop ahead.
    x, top, z = steps[-1]
    boxes.append(Box((x - edge, x + edge), (top, top + 0.9), (z + edge - 0.06, z + edge), floor))
    boxes += [*furnish(rng, lower, _LOWER), *furnish(rng, upper, _UPPER)]
    up = ((0, 0, 0), (entrance, 0, z1 - 0.6), (entrance, 0, z2 + edge), *steps,
          (entrance, _TOP, z1 - 0.6), (0, _TOP, 0))  # fmt: skip
    loop = (*up, *up[-2::-1])
    return Plan((lower, stair, upper), openings, tuple(boxes), loop, swatches["facade"])
