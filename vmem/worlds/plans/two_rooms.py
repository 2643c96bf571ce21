"""Plan "two_rooms": two rooms that see each other only through the door between them."""

from __future__ import annotations

import numpy as np

from vmem.worlds.furniture import Item, furnish
from vmem.worlds.materials import Swatches
from vmem.worlds.plan import THICK, Opening, Plan, Room

# fmt: off
_FIRST: tuple[Item, ...] = (
    ("rug", "floor", 0, 0.6), ("coffee table", "floor", 0.1, 0.6), ("pendant", "floor", 0, 0.9),
    ("sofa", "left", 0.2), ("bookcase", "right", -0.6), ("plant", "far", -1.9),
    ("lamp", "far", 1.9),
    ("cabinet", "near", 0.8), ("picture", "near", -1.2), ("picture", "near", 0.8),
    ("picture", "right", 1.6), ("picture", "far", 1.5), ("picture", "far", -1.2),
    ("tree", "floor", -7, 1), ("tree", "floor", 7, 2),
)
_SECOND: tuple[Item, ...] = (
    ("screen", "floor", 0, 0), ("dining table|nothing", "floor", 0, 1.3),
    ("pendant", "floor", 0, -1.2),
    ("cabinet", "left", 0), ("plant", "right", 2.2), ("armchair", "right", -1.9),
    ("picture", "left", 0),
    ("picture", "near", -2), ("picture", "near", 2), ("picture", "far", 0),
    ("picture", "right", -1.9),
    ("tree", "floor", -2, 7), ("tree", "floor", 3, 8), ("tree", "floor", 8, -1),
)
# fmt: on


def two_rooms(rng: np.random.Generator) -> Plan:
    """The walk leads through the door, round a screen in the second room, and back."""
    swatches, half = Swatches(rng), THICK / 2
    z1, way = rng.uniform(3.9, 4.3), rng.uniform(-0.3, 0.3)
    z2, z3 = z1 + THICK, z1 + THICK + rng.uniform(5.0, 5.6)
    first = Room("first room", (-2.4, 2.4), (-1.3, z1), swatches["floor"], swatches["wall"])
    second = Room("second room", (-2.7, 2.7), (z2, z3), swatches["floor"], swatches["wall"])
    openings = (
        Opening("door", "z", z1 + half, way, 1.2),
        Opening("window", "x", -2.4 - half, z1 / 2 - 0.4, 1.4),
        Opening("window", "x", 2.7 + half, (z2 + z3) / 2, 1.4),
        Opening("window", "z", z3 + half, -1.4),
        Opening("window", "z", z3 + half, 1.4),
    )
    before, behind = z2 + 0.8, z3 - 1.0
    loop = (
        (0, 0, 0), (way, 0, z1 - 0.6), (way, 0, before), (1.6, 0, before), (1.6, 0, behind),
        (-1.6, 0, behind), (-1.6, 0, before), (way, 0, before), (way, 0, z1 - 0.6), (0, 0, 0),
    )  # fmt: skip
    boxes = (*furnish(rng, first, _FIRST), *furnish(rng, second, _SECOND))
    return Plan((first, second), openings, boxes, loop, swatches["facade"])
