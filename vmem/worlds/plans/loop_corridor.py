"""Plan "loop_corridor": a corridor around a small court, four stretches that look different."""

from __future__ import annotations

from itertools import chain, repeat

import numpy as np

from vmem.worlds.furniture import Item, furnish
from vmem.worlds.materials import Swatches
from vmem.worlds.plan import THICK, Opening, Plan, Room

_WIDE = 2.0
"""Metres from wall to wall of the corridor."""
# fmt: off
_ITEMS: tuple[tuple[Item, ...], ...] = (
    (("plant", "far", -0.7), ("cabinet", "right", -2), ("rug", "floor", 0, 1),
     ("pendant", "floor", 0, 1),
     ("picture", "left", 0.6), ("picture", "left", 2.2), ("picture", "right", -2),
     ("picture", "far", 0.3),
     ("picture", "near", 0), ("tree", "floor", -6, 0)),
    (("bench", "far", -1.6), ("rug", "floor", 0, 0), ("picture", "far", -1.6),
     ("picture", "far", 1.6),
     ("picture", "near", 1.8), ("tree", "floor", 0, -4), ("tree", "floor", 1, 6)),
    (("bookcase", "right", 0), ("lamp", "near", 0.7), ("rug", "floor", 0, -1),
     ("picture", "left", 2),
     ("picture", "right", -2.2), ("picture", "far", 0), ("picture", "near", -0.3),
     ("tree", "floor", 6, 2)),
    (("armchair", "far", 0), ("plant", "near", -2), ("picture", "far", -1.6),
     ("picture", "far", 1.6),
     ("pendant", "floor", 0, 0), ("tree", "floor", -1, -7)),
)
# fmt: on


def loop_corridor(rng: np.random.Generator) -> Plan:
    """The walk leads around the court and comes home from the other side."""
    swatches, half = Swatches(rng), THICK / 2
    x0, x1 = _WIDE / 2 + THICK, _WIDE / 2 + THICK + rng.uniform(4.8, 6.0)
    z0, z1 = -1.6, rng.uniform(6.5, 8.0)
    east = (x1 + THICK, x1 + THICK + _WIDE)
    places = {
        "west corridor": ((-_WIDE / 2, _WIDE / 2), (z0, z1)),
        "north corridor": ((x0, x1), (z1 - _WIDE, z1)),
        "east corridor": (east, (z0, z1)),
        "south corridor": ((x0, x1), (z0, z0 + _WIDE)),
    }
    rooms = [Room(name, *at, swatches["floor"], swatches["wall"]) for name, at in places.items()]
    north, south, middle = z1 - _WIDE / 2, z0 + _WIDE / 2, sum(east) / 2
    across, along = (x0 + x1) / 2, (z0 + z1) / 2
    openings = (
        *(Opening("door", "x", x - half, z, 1.5) for x in (x0, east[0]) for z in (north, south)),
        *(Opening("window", "x", x - half, along) for x in (x0, east[0])),
        Opening("window", "z", z1 - _WIDE - half, across, 1.4),
        Opening("window", "x", -_WIDE / 2 - half, along - 1.4),
        Opening("window", "z", z1 + half, across),
        Opening("window", "x", east[1] + half, along + 1.8),
        Opening("window", "z", z0 - half, across + 0.8),
    )
    loop = (
        (0, 0, 0), (0, 0, north), (middle, 0, north), (middle, 0, south), (0, 0, south), (0, 0, 0),
    )  # fmt: skip
    boxes = chain.from_iterable(map(furnish, repeat(rng), rooms, _ITEMS))
    return Plan(tuple(rooms), openings, tuple(boxes), loop, swatches["facade"])
