"""A scene as data: rooms, openings in their walls, boxes that stand in them, a walk through it.

All lengths are metres: x to the right, ``up`` from the floor where the walk starts, z ahead. The
walk starts at x = z = 0, EYE above the floor, looking along +z.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vmem.worlds.materials import Material

Range = tuple[float, float]
Vec3 = tuple[float, float, float]

EYE = 1.5
"""Height of the camera above the floor it walks on."""
THICK = 0.18
"""Thickness of a wall between two rooms; each room builds the half on its own side."""


@dataclass(frozen=True)
class Box:
    """A solid box of one material."""

    x: Range
    """From left to right."""
    up: Range
    """From bottom to top."""
    z: Range
    """From near to far."""
    material: Material
    """What all its faces show."""


@dataclass(frozen=True)
class Room:
    """Free space with a floor, walls and a ceiling. Rooms that share a wall lie THICK apart."""

    name: str
    """Name of its region in the world."""
    x: Range
    """Free space from left to right."""
    z: Range
    """Free space from near to far."""
    floor: Material
    """What the floor shows."""
    walls: Material
    """What the walls show inside."""
    base: float = 0.0
    """Height of its floor."""
    height: float = 2.7
    """Height of its walls above its floor."""
    outdoors: bool = False
    """Whether it lies under the open sky and has no ceiling."""


@dataclass(frozen=True)
class Opening:
    """A hole through every wall at its place."""

    kind: Literal["door", "window"]
    """Whether one can walk through; a window has a cross and a sill."""
    axis: Literal["x", "z"]
    """Which coordinate is the same all over the wall."""
    at: float
    """That coordinate, in the middle of the wall."""
    middle: float
    """Middle of the hole along the wall."""
    width: float = 1.1
    """Width of the hole."""
    base: float = 0.0
    """Height of the floor below it."""

    def corners(self, depth: float) -> tuple[Vec3, Vec3]:
        """The hole as a box (x, up, z), ``depth`` to both sides of the middle of the wall."""
        low, high = (0.0, 2.1) if self.kind == "door" else (0.85, 2.15)
        a, b = (depth, self.width / 2)[:: 1 if self.axis == "x" else -1]
        x, z = (self.at, self.middle)[:: 1 if self.axis == "x" else -1]
        return (x - a, self.base + low, z - b), (x + a, self.base + high, z + b)


@dataclass(frozen=True)
class Plan:
    """Everything that a world is built from."""

    rooms: tuple[Room, ...]
    """Rooms, in the order of the world's regions."""
    openings: tuple[Opening, ...]
    """Doors and windows."""
    boxes: tuple[Box, ...]
    """Furniture and everything else that is no wall."""
    loop: tuple[Vec3, ...]
    """Corners (x, height of the floor, z) of a closed walk through free space, from the start."""
    facade: Material
    """What the walls show outside."""
    mirrored: bool = False
    """Whether left and right are exchanged in the world."""
