"""Surfaces as data: patterns of cells and noise, and the materials that a seed chooses from."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle

import numpy as np
from jaxtyping import Float64


@dataclass(frozen=True)
class Pattern:
    """Where a surface shows which of its material's three colours A, B and C.

    Cells mix A and B, noise is added to the mix, joints and some whole cells show C. Lengths are
    periods of the material. Noise depends on the place in the world: no two surfaces agree.
    """

    cell: tuple[float, float] = (1.0, 1.0)
    """Width and height of a cell."""
    bond: float = 0.0
    """Shift of every second row in cells; a negative number shifts every row at random."""
    joint: float = 0.0
    """Half the width of the joints between cells."""
    checker: float = 0.0
    """Difference of the mix between neighbouring cells."""
    tone: float = 0.0
    """Range of the random mix of a cell."""
    accent: float = 0.0
    """Share of cells that show C."""
    motif: float = 0.0
    """Difference of the mix between a lozenge in each cell and the rest of the cell."""
    grain: float = 0.5
    """Range of the noise that is added to the mix."""
    scale: tuple[float, float] = (1.5, 1.5)
    """Largest features of that noise along a period, both ways."""
    shade: float = 0.2
    """Range of the noise in brightness."""


PATTERNS = {
    "plaster": Pattern(grain=1.2, scale=(2.5, 2.5)),
    "tiles": Pattern(joint=0.02, checker=0.85, tone=0.25, grain=0.4),
    "planks": Pattern((7, 1), -1, joint=0.022, tone=0.8, grain=0.6, scale=(0.4, 3)),
    "bricks": Pattern((1, 0.32), 0.5, joint=0.022, tone=0.8, scale=(4, 4)),
    "slabs": Pattern((1.4, 1), -1, joint=0.03, tone=0.9, grain=0.6, scale=(2, 2), shade=0.3),
    "stripes": Pattern((0.5, 1e6), checker=1, grain=0.15, scale=(3, 1)),
    "lozenges": Pattern(bond=0.5, motif=1, grain=0.3),
    "leaves": Pattern((0.16, 0.11), -1, tone=0.7, accent=0.12, grain=0.9, scale=(2, 2), shade=0.5),
    "books": Pattern((0.12, 1e6), joint=0.006, tone=1.6, accent=0.25),
    "blocks": Pattern((1, 0.7), -1, tone=1.8, accent=0.2),
}
"""Every pattern by its name."""


@dataclass(frozen=True)
class Material:
    """How a surface looks."""

    pattern: str
    """A name in PATTERNS."""
    size: float
    """Metres a period of the pattern."""
    colors: str
    """A, B and C of the pattern as ``#rrggbb``, with spaces between; the last one is repeated."""
    emission: float = 0.0
    """Light of its own; 0 for a surface that only reflects."""
    turned: bool = False
    """Whether the pattern runs at a right angle."""

    def linear_rgb(self) -> Float64[np.ndarray, "3 3"]:
        """The three colours in linear RGB in [0, 1]."""
        names = self.colors.split()
        three = [*names, names[-1], names[-1]][:3]
        srgb = np.array([[int(name[i : i + 2], 16) / 255 for i in (1, 3, 5)] for name in three])
        return np.where(srgb < 0.04, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def plain(color: str, size: float = 0.8, emission: float = 0.0) -> Material:
    """One colour; only its brightness varies."""
    return Material("plaster", size, color, emission)


FIXED = {
    "cream": plain("#efe9dc"),
    "white": plain("#f4f1ea"),
    "black": plain("#26221f"),
    "stone": plain("#b8b0a0"),
    "clay": plain("#b5623c"),
    "glow": plain("#ffe2b0", emission=1.3),
    "water": Material("plaster", 0.35, "#2f7f93 #8fd0d6"),
    "bark": Material("planks", 0.08, "#5a4430 #78603f #3c2c1e", turned=True),
    "grass": Material("leaves", 0.9, "#4a6a34 #6f8a48 #8fa058"),
    "brick": Material("bricks", 0.25, "#a5553d #c2795a #d6c9b4"),
    "paving": Material("slabs", 0.6, "#b3a68f #d6cab0 #7d705c"),
}
"""Materials that every seed shares, by their roles in furniture."""
_FABRICS = tuple(
    plain(color, 0.12)
    for color in ("#3f6f8c", "#b8503f", "#6f8f5a", "#d8a23f", "#7a4f78", "#d9cdb9", "#2f5a57")
)
CHOICES = {
    "wall": (
        Material("lozenges", 0.3, "#c7d2bd #a9bb9f"),
        Material("stripes", 0.34, "#e9e2cf #9db4c4"),
        Material("plaster", 0.9, "#e6a67c #c97846"),
        Material("plaster", 0.9, "#ecc97c #d3a140"),
        Material("plaster", 0.9, "#78b3ad #488379"),
        Material("lozenges", 0.32, "#8c3a40 #a5504f"),
        Material("bricks", 0.26, "#e9e4da #d2c8b6 #c0b6a4"),
        Material("stripes", 0.26, "#e8cfc8 #d8a9a2"),
        Material("plaster", 0.9, "#cabcd8 #9f8cb5"),
        Material("lozenges", 0.34, "#33506b #46698a"),
    ),
    "floor": (
        Material("planks", 0.13, "#a8733f #c79358 #6b4522"),
        Material("planks", 0.16, "#5f3b24 #8a5d3e #33200f", turned=True),
        Material("tiles", 0.36, "#d9c9ac #b5693f #8f7d68"),
        Material("planks", 0.2, "#bfa98a #dccdb2 #8a765a"),
        Material("tiles", 0.42, "#f0ebe0 #3c3a39 #8a857c"),
        Material("tiles", 0.3, "#f1ead9 #33678a #c1863a"),
        Material("slabs", 0.5, "#a89a86 #c9baa0 #6f6558"),
    ),
    "facade": (
        FIXED["brick"],
        Material("plaster", 0.9, "#efddb6 #d6b981"),
        Material("plaster", 0.9, "#ebb99c #d09070"),
        Material("slabs", 0.42, "#b9aa92 #d6cab2 #8d806c"),
    ),
    "wood": (
        Material("planks", 0.11, "#86553a #5a3520 #4a2a18"),
        Material("planks", 0.11, "#c4935c #9a6a3a #8a5c30"),
        Material("planks", 0.11, "#5d4636 #3b2a20 #2e2018"),
    ),
    "fabric": _FABRICS,
    "accent": (*_FABRICS[3:], *_FABRICS[:3]),
    "glaze": (plain("#3f7580"), FIXED["clay"], plain("#d9b46a")),
    "books": (
        Material("books", 0.5, "#2f4d6b #8c3a34 #d9b25c"),
        Material("books", 0.5, "#3f5f48 #a5702f #e6dcc6"),
    ),
    "leaves": (
        Material("leaves", 0.5, "#2c5426 #47762f #7fa046"),
        Material("leaves", 0.5, "#46591f #76883a #b0b45a"),
    ),
    "flowers": (
        Material("leaves", 0.4, "#d8486a #3f7a34 #f0a8b0"),
        Material("leaves", 0.4, "#e8c23a #4f8238 #f4e08a"),
    ),
    "art": (
        Material("blocks", 0.21, "#f2d7a0 #35506b #e2603a"),
        Material("blocks", 0.26, "#bcd8e6 #3f6b4a #f6e27a"),
        Material("blocks", 0.18, "#f0e8da #c8402f #1f3a5f"),
        Material("blocks", 0.23, "#f7b98f #51315f #ffe9a8"),
        Material("blocks", 0.30, "#2a3f55 #e0a63a #d8dfe2"),
    ),
    "rug": (
        Material("lozenges", 0.32, "#8c2f2f #e0c48a"),
        Material("lozenges", 0.4, "#2f4f6b #d9cdb0"),
        Material("tiles", 0.2, "#b5653a #f0dfb8 #3b2f3f"),
    ),
}
"""Materials to choose from, by their roles."""


class Swatches:
    """Hands out the materials of a role in an order that a seed draws; all before any repeats."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._next = {
            role: cycle([options[i] for i in rng.permutation(len(options))])
            for role, options in CHOICES.items()
        }

    def __getitem__(self, role: str) -> Material:
        """The fixed material of a role, or the next one of its choices."""
        return FIXED[role] if role in FIXED else next(self._next[role])
