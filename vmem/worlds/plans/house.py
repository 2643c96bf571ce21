"""Plan "house": three rooms and a hall that form a loop, and a courtyard under the open sky.

+-------------------------------+
|           courtyard           |        z
+----------|     |--------------+        ^
|   hall              [] third  |        |
+----| |------+---| |----|      |        +--> x
| living room []  second |      |
|   (start)   |   room   +------+
+-------------+----------+
"""

from __future__ import annotations

from itertools import chain, repeat

import numpy as np

from vmem.worlds.furniture import Item, furnish
from vmem.worlds.materials import Swatches
from vmem.worlds.plan import THICK, Opening, Plan, Room

# fmt: off
_LIVING: tuple[Item, ...] = (
    ("fireplace|bookcase", "far", -1.1), ("lamp|plant", "far", 1.85), ("sofa", "left", 0.2),
    ("armchair", "right", -0.8), ("rug", "floor", -0.1, 0.3), ("coffee table", "floor", 0, 0.1),
    ("pendant", "floor", 0, 1.2), ("cabinet", "near", -0.7), ("bookcase", "right", -2.3),
    ("picture", "near", -0.7), ("picture", "near", 0.9), ("picture", "right", -0.6),
    ("picture", "right", 2.4), ("curtains", "left", -0.5), ("curtains", "left", 1.9),
)
_SECOND: tuple[Item, ...] = (
    ("rug", "floor", 0.3, -0.6), ("dining table", "floor", 0.3, -0.6),
    ("pendant", "floor", 0.3, -0.6),
    ("cabinet", "right", -0.6), ("bookcase|plant", "right", 1.5), ("plant", "far", 1.8),
    ("picture", "right", -0.6), ("picture", "left", -1.2), ("picture", "left", 2.4),
    ("picture", "far", -1.6), ("curtains", "near", -0.95), ("curtains", "near", 0.95),
)
_HALL: tuple[Item, ...] = (
    ("rug", "floor", -2.6, 0), ("rug", "floor", 2.2, 0), ("pendant", "floor", -2.6, 0),
    ("pendant", "floor", 2.2, 0), ("cabinet", "near", -3.4), ("plant", "far", -4.1),
    ("armchair|plant", "near", -0.4), ("picture", "near", -3.4), ("picture", "near", -0.4),
    ("picture", "near", 3.4), ("picture", "far", 3.9),
)
_THIRD: tuple[Item, ...] = (
    ("rug", "floor", 0, 0), ("bed|dining table", "near", 0.3), ("armchair|bookcase", "left", -0.6),
    ("plant", "right", 1.8), ("lamp", "near", 1.5), ("pendant", "floor", 0, 0.2),
    ("picture", "near", 0.2), ("picture", "right", -1.6), ("picture", "left", -1.7),
    ("picture", "far", -1.1), ("curtains", "right", 0),
)
_YARD: tuple[Item, ...] = (
    ("fountain|dining table", "floor", 0, 0.7), ("lawn", "floor", -3.3, 1),
    ("lawn", "floor", 3.3, 1),
    ("tree", "floor", -3.4, 1.2), ("tree", "floor", 3.2, 0.6), ("planter", "far", -3.3),
    ("planter", "far", 3.3), ("bench", "left", -1.9), ("bench", "right", -1.9),
    ("gate", "far", 0.2),
    ("pergola", "near", 0), ("plant", "near", -4.4), ("plant", "near", 0.6), ("plant", "near", 2.4),
    ("plant", "near", 4.4),
    # Beyond the walls, before the windows.
    ("tree", "floor", -7.5, 7), ("tree", "floor", 1, 7.5), ("tree", "floor", 8, 4),
    ("tree", "floor", -11, -9), ("tree", "floor", -13, -5), ("tree", "floor", 2, -17),
    ("tree", "floor", 5, -19), ("tree", "floor", 12, -9),
)
# fmt: on


def house(rng: np.random.Generator) -> Plan:
    """Measures, colours and furniture as the generator draws them."""
    draw, half, swatches = rng.uniform, THICK / 2, Swatches(rng)
    x0, x1, z0, z1 = -draw(2.2, 2.4), draw(2.2, 2.4), -draw(1.1, 1.3), draw(4.7, 5.0)
    x2, hall_z = x1 + THICK + draw(4.3, 4.6), z1 + THICK
    x3, hall_end = x2 + THICK + draw(3.5, 4.0), hall_z + 1.9
    third_z, yard_z = hall_end - draw(4.3, 4.8), hall_end + THICK
    way, turn, back = draw(0.65, 0.8), draw(2.8, 3.1), x1 + draw(2.2, 2.6)
    # The courtyard shows through the living room's door from where the walk starts.
    arch, hall_middle, facade = way * hall_end / z1, (hall_z + hall_end) / 2, swatches["facade"]

    def room(name: str, x: tuple[float, float], z: tuple[float, float]) -> Room:
        return Room(name, x, z, swatches["floor"], swatches["wall"])

    living = room("living room", (x0, x1), (z0, z1))
    second = room("second room", (x1 + THICK, x2), (z0, z1))
    hall = room("hall", (x0, x2), (hall_z, hall_end))
    third = room("third room", (x2 + THICK, x3), (third_z, hall_end))
    yard = Room(
        "courtyard", (x0, x0 + 9.8), (yard_z, yard_z + 8), swatches["paving"], facade,
        height=2.4, outdoors=True,
    )  # fmt: skip
    living_z, second_x = (z0 + z1) / 2, (x1 + THICK + x2) / 2
    openings = (
        Opening("door", "z", z1 + half, way),
        Opening("door", "x", x1 + half, turn, 1.2),
        Opening("door", "z", z1 + half, back),
        Opening("door", "x", x2 + half, hall_middle),
        Opening("door", "z", hall_end + half, arch, 1.6),
        Opening("window", "x", x0 - half, hall_middle),
        Opening("window", "z", hall_end + half, arch + 2.2),
        Opening("window", "z", hall_end + half, x3 - 1.6),
        *(Opening("window", "x", x0 - half, living_z + off) for off in (-0.5, 1.9)),
        *(Opening("window", "z", z0 - half, second_x + off) for off in (-0.95, 0.95)),
        Opening("window", "x", x3 + half, (third_z + hall_end) / 2),
    )
    rooms = (living, second, hall, third, yard)
    items = (_LIVING, _SECOND, _HALL, _THIRD, _YARD)
    boxes = chain.from_iterable(map(furnish, repeat(rng), rooms, items))
    loop = (
        (0, 0, 0), (way, 0, z1 - 0.6), (way, 0, hall_middle), (back, 0, hall_middle),
        (back, 0, z1 - 0.6), (back, 0, turn), (x1 - 0.6, 0, turn), (0, 0, 0),
    )  # fmt: skip
    return Plan(rooms, openings, tuple(boxes), loop, facade, bool(rng.random() < 0.5))
