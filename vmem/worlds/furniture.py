"""Furniture and garden pieces as tables of boxes, and how a room is furnished with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from vmem.worlds.materials import Swatches
from vmem.worlds.plan import Box, Room

Row = tuple[str, float, float, float, float, float, float]
"""Role of its material, then two bounds each across, up, and out from the wall behind the piece, in
metres. Across is measured to the right for who faces the piece, from its middle."""
Item = tuple[str, str, float] | tuple[str, str, float, float]
"""A piece, or several with "|" between of which a seed takes one; the side of the room that its
back is turned to; how far from the middle of that wall it stands, in x or z. On the "floor": how
far from the middle of the room, in x and z."""


def _both(*rows: Row) -> tuple[Row, ...]:
    """Rows, and the same boxes on the other side of the middle."""
    return rows + tuple((role, -b, -a, *rest) for role, a, b, *rest in rows)  # pyright: ignore


# fmt: off
PIECES: dict[str, tuple[Row, ...]] = {
    "nothing": (),
    "sofa": (
        ("fabric", -1, 1, 0.08, 0.42, 0.05, 0.9), ("fabric", -1, 1, 0.42, 0.82, 0.05, 0.28),
        *_both(("fabric", 0.9, 1.08, 0.06, 0.6, 0.05, 0.92),
               ("fabric", 0.015, 0.9, 0.42, 0.5, 0.26, 0.88),
               ("accent", 0.45, 0.85, 0.5, 0.82, 0.3, 0.42)),
    ),
    "armchair": (
        ("fabric", -0.36, 0.36, 0.12, 0.44, 0.05, 0.78),
        ("fabric", -0.36, 0.36, 0.44, 0.92, 0.05, 0.22),
        ("accent", -0.24, 0.24, 0.44, 0.76, 0.22, 0.34),
        *_both(("fabric", 0.32, 0.45, 0.1, 0.6, 0.05, 0.8)),
    ),
    "coffee table": (
        ("wood", -0.5, 0.5, 0.36, 0.42, -0.35, 0.35), ("glaze", 0.12, 0.32, 0.42, 0.5, -0.05, 0.15),
        ("accent", -0.3, 0.02, 0.42, 0.45, -0.2, 0.06),
        *_both(("wood", 0.42, 0.48, 0, 0.36, -0.33, 0.33)),
    ),
    "dining table": (
        ("wood", -0.8, 0.8, 0.71, 0.76, -0.45, 0.45),
        ("flowers", -0.12, 0.12, 0.76, 1, -0.12, 0.12),
        *_both(("wood", 0.66, 0.74, 0, 0.71, -0.4, 0.4),
               ("fabric", 0.18, 0.58, 0.3, 0.47, 0.35, 0.75),
               ("wood", 0.18, 0.58, 0, 0.92, 0.75, 0.79),
               ("fabric", 0.18, 0.58, 0.3, 0.47, -0.75, -0.35),
               ("wood", 0.18, 0.58, 0, 0.92, -0.79, -0.75)),
    ),
    "bookcase": (
        ("wood", -0.7, 0.7, 0, 2.0, 0, 0.04), ("wood", -0.72, 0.72, 1.98, 2.04, 0, 0.33),
        *_both(("wood", 0.66, 0.7, 0, 1.98, 0, 0.31)),
        *(("wood", -0.67, 0.67, up, up + 0.04, 0.04, 0.3) for up in (0.06, 0.46, 0.86, 1.26, 1.66)),
        *(("books", -0.66, 0.5, up, up + 0.28, 0.04, 0.24) for up in (0.1, 0.9, 1.7)),
        *(("books", -0.4, 0.66, up, up + 0.25, 0.04, 0.22) for up in (0.5, 1.3)),
    ),
    "cabinet": (
        ("wood", -0.8, 0.8, 0.1, 0.82, 0, 0.42), ("cream", -0.83, 0.83, 0.82, 0.86, 0, 0.45),
        *_both(("cream", 0.03, 0.76, 0.16, 0.76, 0.42, 0.44),
               ("black", 0.06, 0.08, 0.42, 0.56, 0.44, 0.455),
               ("black", 0.66, 0.76, 0, 0.1, 0.06, 0.36)),
        ("clay", 0.36, 0.52, 0.86, 1.04, 0.14, 0.3), ("flowers", 0.3, 0.58, 1.04, 1.3, 0.08, 0.36),
    ),
    "bed": (
        ("wood", -0.8, 0.8, 0.08, 0.32, 0, 2), ("wood", -0.84, 0.84, 0, 1.05, 0, 0.06),
        ("cream", -0.76, 0.76, 0.32, 0.5, 0.06, 1.98), ("fabric", -0.8, 0.8, 0.3, 0.53, 0.7, 2.02),
        *_both(("accent", 0.08, 0.7, 0.5, 0.64, 0.12, 0.52)),
    ),
    "fireplace": (
        *_both(("brick", 0.45, 0.8, 0, 0.78, 0, 0.45), ("wood", 0.04, 0.3, 0.05, 0.13, 0.1, 0.36),
               ("white", 0.7, 0.74, 1.16, 1.42, 0.3, 0.34)),
        ("brick", -0.8, 0.8, 0.78, 1.1, 0, 0.46), ("black", -0.45, 0.45, 0, 0.78, 0, 0.06),
        ("stone", -0.85, 0.85, 0, 0.05, 0.06, 0.75), ("wood", -0.9, 0.9, 1.1, 1.16, 0, 0.52),
        ("brick", -0.6, 0.6, 1.16, 2.7, 0, 0.3), ("glow", -0.16, 0.12, 0.13, 0.3, 0.14, 0.3),
        ("wood", -0.34, 0.34, 1.55, 2.15, 0.3, 0.33), ("art", -0.3, 0.3, 1.59, 2.11, 0.33, 0.335),
    ),
    "lamp": (
        ("black", -0.16, 0.16, 0, 0.03, 0.1, 0.42),
        ("black", -0.015, 0.015, 0.03, 1.4, 0.245, 0.275),
        ("glow", -0.2, 0.2, 1.4, 1.7, 0.06, 0.46),
    ),
    "pendant": (
        ("black", -0.01, 0.01, 2.35, 2.7, -0.01, 0.01),
        ("glow", -0.17, 0.17, 2.15, 2.35, -0.17, 0.17),
    ),
    "plant": (
        ("glaze", -0.2, 0.2, 0, 0.36, 0.05, 0.45), ("bark", -0.03, 0.03, 0.36, 0.7, 0.22, 0.28),
        ("leaves", -0.27, 0.27, 0.6, 1, 0.03, 0.53), ("leaves", -0.19, 0.21, 1, 1.35, 0.06, 0.42),
    ),
    "picture": (
        ("wood", -0.45, 0.45, 1.3, 1.95, 0, 0.03), ("art", -0.4, 0.4, 1.35, 1.9, 0.03, 0.036),
    ),
    "rug": (
        ("cream", -1.3, 1.3, 0, 0.012, -1.1, 1.1), ("rug", -1.15, 1.15, 0.012, 0.02, -0.95, 0.95),
    ),
    "curtains": (
        ("black", -0.95, 0.95, 2.28, 2.31, 0.08, 0.11),
        *_both(("fabric", 0.56, 0.74, 0.05, 2.3, 0.05, 0.14),
               ("fabric", 0.74, 0.9, 0.05, 2.3, 0.05, 0.11)),
    ),
    "bench": (
        *(("wood", -0.8, 0.8, 0.42, 0.46, out, out + 0.12) for out in (0.08, 0.23, 0.38)),
        *(("wood", -0.8, 0.8, up, up + 0.11, 0.03, 0.07) for up in (0.6, 0.78)),
        *_both(("black", 0.66, 0.74, 0, 0.42, 0.06, 0.48),
               ("black", 0.66, 0.74, 0.4, 0.9, 0, 0.06)),
    ),
    "tree": (
        ("bark", -0.12, 0.12, 0, 2, -0.12, 0.12), ("leaves", -0.95, 0.95, 1.7, 2.7, -0.9, 0.9),
        ("leaves", -0.7, 0.6, 2.7, 3.3, -0.6, 0.7), ("leaves", -1.25, 0.3, 1.95, 2.5, -0.4, 1.15),
        ("leaves", -0.2, 1.2, 1.85, 2.4, -1.15, 0.3),
    ),
    "fountain": (
        *_both(("stone", 1, 1.2, 0, 0.45, -1.2, 1.2)),
        *(("stone", -1, 1, 0, 0.45, out, out + 0.2) for out in (-1.2, 1)),
        ("paving", -1.4, 1.4, 0, 0.1, -1.4, 1.4), ("water", -1, 1, 0.1, 0.38, -1, 1),
        ("stone", -0.16, 0.16, 0.38, 1, -0.16, 0.16), ("stone", -0.45, 0.45, 1, 1.1, -0.45, 0.45),
        ("water", -0.38, 0.38, 1.1, 1.13, -0.38, 0.38),
        ("stone", -0.12, 0.12, 1.1, 1.35, -0.12, 0.12),
    ),
    "planter": (
        ("clay", -0.9, 0.9, 0, 0.4, 0, 0.4), ("flowers", -0.85, 0.85, 0.4, 0.56, 0.02, 0.38),
        *_both(("flowers", 0.2, 0.75, 0.56, 0.7, 0.08, 0.34)),
    ),
    "gate": (
        ("cream", -0.72, 0.72, 0, 2.2, 0, 0.05), ("black", 0.4, 0.5, 1, 1.06, 0.08, 0.11),
        *_both(("glaze", 0.01, 0.6, 0, 2.08, 0.05, 0.08)),
    ),
    "lawn": (("grass", -1.4, 1.4, 0, 0.05, -2.1, 2.1),),
    "pergola": (
        *((role, x - half, x + half, low, high, 1.9 - half, 1.9 + half)
          for x in (-4.2, -2.1, 0.5, 2.6, 4.2)
          for role, half, low, high in (("stone", 0.2, 0, 0.14), ("cream", 0.12, 0.14, 2.45))),
        ("wood", -4.5, 4.5, 2.45, 2.61, 1.81, 1.99),
        *(("wood", 0.7 * k - 0.04, 0.7 * k + 0.04, 2.61, 2.73, 0, 2.2) for k in range(-6, 7)),
    ),
    "screen": (
        ("wood", -0.85, 0.85, 0, 2.15, -0.02, 0.02), ("art", -0.8, 0.8, 0, 2.1, -0.12, -0.02),
        ("books", -0.8, 0.8, 0, 2.1, 0.02, 0.12),
    ),
}
"""Every piece by its name."""
# fmt: on


def furnish(rng: np.random.Generator, room: Room, items: Iterable[Item]) -> Iterator[Box]:
    """The boxes of pieces in a room. One set of materials furnishes all of it, but for pictures."""
    swatches, x, z = Swatches(rng), sum(room.x) / 2, sum(room.z) / 2
    own = {role: swatches[role] for role in ("wood", "fabric", "accent", "glaze", "books")}
    for names, side, *along in items:
        rows = PIECES[str(rng.choice(names.split("|")))]
        materials = {role: own.get(role) or swatches[role] for role in {row[0]: 0 for row in rows}}
        for role, a, b, low, high, c, d in rows:
            at = {
                "floor": (x + along[0] + a, x + along[0] + b, z + along[-1] + c, z + along[-1] + d),
                "near": (x + along[0] + a, x + along[0] + b, room.z[0] + c, room.z[0] + d),
                "far": (x + along[0] - b, x + along[0] - a, room.z[1] - d, room.z[1] - c),
                "left": (room.x[0] + c, room.x[0] + d, z + along[0] - b, z + along[0] - a),
                "right": (room.x[1] - d, room.x[1] - c, z + along[0] + a, z + along[0] + b),
            }[side]
            yield Box(at[:2], (room.base + low, room.base + high), at[2:], materials[role])
