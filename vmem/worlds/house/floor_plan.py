"""The ground plan: living room, second room, hall, third room and courtyard, in metres.

    +-------------------------------+
    |           courtyard           |        z
    +----------|     |--------------+        ^
    |   hall              [] third  |        |
    +----| |------+---| |----|      |        +--> x
    | living room []  second |      |
    |   (start)   |   room   +------+
    +-------------+----------+

Living room, second room and hall form a loop through three doors, so that a walk can come back to
where it began. Half of all seeds see the plan mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vmem.worlds.house.records import Range
from vmem.worlds.house.walls import THICK

_HALL_DEPTH, _YARD_DEPTH = 1.9, 8.0


@dataclass(frozen=True)
class Outline:
    """The measures that a seed chooses, in metres, before mirroring."""

    living_x: Range
    second_x: Range
    third_x: Range
    front_z: Range
    hall_z: Range
    third_z: Range
    yard_x: Range
    yard_z: Range
    living_door: float
    arch: float


def draw_outline(rng: np.random.Generator) -> Outline:
    """The measures of one plan."""
    left, right = -rng.uniform(2.0, 2.4), rng.uniform(1.8, 2.2)
    second = (right + THICK, right + THICK + rng.uniform(4.0, 4.8))
    third = (second[1] + THICK, second[1] + THICK + rng.uniform(3.4, 4.0))
    front = (-rng.uniform(0.9, 1.1), rng.uniform(4.5, 5.1))
    hall = (front[1] + THICK, front[1] + THICK + _HALL_DEPTH)
    yard_z = (hall[1] + THICK, hall[1] + THICK + _YARD_DEPTH)
    living_door = rng.uniform(0.3, 0.9) * (1 if rng.random() < 0.7 else -1)
    # The courtyard shows through the living room's door from where the walk starts.
    arch = living_door * hall[1] / front[1]
    return Outline(
        living_x=(left, right),
        second_x=second,
        third_x=third,
        front_z=front,
        hall_z=hall,
        third_z=(hall[1] - rng.uniform(4.2, 4.8), hall[1]),
        yard_x=(left, left + rng.uniform(9.5, 10.5)),
        yard_z=yard_z,
        living_door=living_door,
        arch=arch,
    )
