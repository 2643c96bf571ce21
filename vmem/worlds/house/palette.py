"""Colours and surfaces that the procedural world chooses from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import TypeVar

import numpy as np

from vmem.worlds.house.scene import Material, plain
from vmem.worlds.house.spot import Finish
from vmem.worlds.house.textures import Pattern

T = TypeVar("T")

SKIES = (
    ("#3f7fcf", "#cfe2f0", "#5f7a66"),
    ("#5b8fd0", "#f2e3cf", "#6b7a78"),
    ("#4a86b8", "#e4eaec", "#4f6b5c"),
)
WALLS = (
    Material(Pattern.DAMASK, ("#c7d2bd", "#a9bb9f", "#e8dfb8"), 0.32),
    Material(Pattern.STRIPES, ("#e9e2cf", "#9db4c4", "#c08a5a"), 0.3),
    plain("#d98f63"),
    plain("#e2b75f"),
    plain("#5f9a96"),
    Material(Pattern.DAMASK, ("#8c3a40", "#a5504f", "#d9b25c"), 0.36),
    Material(Pattern.BRICKS, ("#e9e4da", "#d8d0c2", "#c4bcae"), 0.24),
    Material(Pattern.STRIPES, ("#e8cfc8", "#d8a9a2", "#f6efe6"), 0.22),
    plain("#b9a9c9"),
    Material(Pattern.DAMASK, ("#33506b", "#46698a", "#d8c48a"), 0.34),
)
FLOORS = (
    Material(Pattern.PLANKS, ("#a8733f", "#c79358", "#a8733f"), 0.13),
    Material(Pattern.PLANKS, ("#5f3b24", "#84583a", "#5f3b24"), 0.16, turned=True),
    Material(Pattern.BASKET, ("#9a6534", "#c99a5f", "#9a6534"), 0.42),
    Material(Pattern.CHECKER, ("#d9c9ac", "#b5693f", "#8f7d68"), 0.36),
    Material(Pattern.PLANKS, ("#bfa98a", "#d9c8ab", "#bfa98a"), 0.2),
)
HALL_FLOORS = (
    Material(Pattern.CHECKER, ("#f0ebe0", "#2f2d2c", "#8a857c"), 0.4),
    Material(Pattern.MOSAIC, ("#f1ead9", "#33678a", "#c1863a"), 0.4),
    Material(Pattern.FLAGSTONES, ("#a89a86", "#c4b49a", "#6f6558"), 0.5),
)
FACADES = (
    Material(Pattern.BRICKS, ("#a5553d", "#c2795a", "#d6c9b4"), 0.25),
    plain("#e8d3a8"),
    plain("#e3a988"),
    Material(Pattern.FLAGSTONES, ("#b9aa92", "#d3c6ae", "#8d806c"), 0.42),
)
WOODS = (
    Material(Pattern.WOOD, ("#5a3520", "#86553a", "#5a3520"), 0.35),
    Material(Pattern.WOOD, ("#9a6a3a", "#c4935c", "#9a6a3a"), 0.35),
    Material(Pattern.WOOD, ("#3b2a20", "#5d4636", "#3b2a20"), 0.35),
)
FABRICS = ("#3f6f8c", "#b8503f", "#6f8f5a", "#d8a23f", "#7a4f78", "#d9cdb9", "#2f5a57", "#c97f8a")
PAINTS = ("#f0e6d2", "#4f7f86", "#c9d2c4", "#d9b46a", "#7f93a8")
ART = (
    ("#f2d7a0", "#35506b", "#e2603a"),
    ("#bcd8e6", "#3f6b4a", "#f6e27a"),
    ("#f0e8da", "#c8402f", "#1f3a5f"),
    ("#f7b98f", "#51315f", "#ffe9a8"),
    ("#2a3f55", "#e0a63a", "#d8dfe2"),
    ("#e9dfcf", "#6f8f5a", "#b5503a"),
)
RUGS = (
    ("#8c2f2f", "#e0c48a", "#23405c"),
    ("#2f4f6b", "#d9cdb0", "#b5503a"),
    ("#e6dcc6", "#8f6a4a", "#3f5f58"),
    ("#b5653a", "#f0dfb8", "#3b2f3f"),
)
BLOSSOMS = (("#d8486a", "#f0a8b0"), ("#e8c23a", "#f4e08a"), ("#f4f0ea", "#e0d8e8"))


class Swatches:
    """Palettes in the order that a seed deals them; each deals every option before repeating."""

    def __init__(self, rng: np.random.Generator) -> None:
        def deal(options: Sequence[T]) -> Iterator[T]:
            return cycle([options[i] for i in rng.permutation(len(options))])

        self.skies = deal(SKIES)
        self.walls = deal(WALLS)
        self.floors = deal(FLOORS)
        self.hall_floors = deal(HALL_FLOORS)
        self.facades = deal(FACADES)
        self._woods = deal(WOODS)
        self._fabrics = deal(FABRICS)
        self._paints = deal(PAINTS)
        self._art = deal(ART)
        self._rugs = deal(RUGS)
        self._blossoms = deal(BLOSSOMS)
        self._seeds = iter(rng.permutation(10_000).tolist())

    def seed(self) -> int:
        """A fresh seed for a pattern."""
        return next(self._seeds)

    def fabric(self) -> Material:
        """Upholstery or curtains in the next colour."""
        color = next(self._fabrics)
        return Material(Pattern.FABRIC, (color, color, color), 0.5, self.seed())

    def finish(self) -> Finish:
        """What the furniture of the next room is made of."""
        return Finish(next(self._woods), self.fabric(), self.fabric(), plain(next(self._paints)))

    def art(self) -> Material:
        """The next painting."""
        return Material(Pattern.PAINTING, next(self._art), 1.0, self.seed())

    def rug(self) -> Material:
        """The next rug."""
        return Material(Pattern.RUG, next(self._rugs), 0.6, self.seed())

    def flowers(self) -> Material:
        """The next bunch."""
        light, dark = next(self._blossoms)
        return Material(Pattern.LEAVES, (light, dark, light), 0.08, self.seed())
