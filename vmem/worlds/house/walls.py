"""Architecture of the procedural world: walls with openings, rooms, and where things may stand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from vmem.worlds.house.scene import Material, Range, SceneBuilder, Vec3, plain
from vmem.worlds.house.spot import CREAM, EYE, Spot

THICK = 0.18
"""Metres of every wall."""
CEILING = 2.7
"""Metres from floor to ceiling."""
_PARAPET = 0.45

Side = Literal["left", "right", "near", "far"]
Rect = tuple[float, float, float, float]
"""Two ranges one after the other: low, high, low, high."""


@dataclass(frozen=True)
class Opening:
    """A hole in a wall: ``along`` in world x or z, heights above the floor. Sill 0 is a door."""

    along: Range
    sill: float
    head: float

    @property
    def is_door(self) -> bool:
        """Whether one can walk through."""
        return self.sill == 0


def door(middle: float, width: float = 0.95, head: float = 2.1) -> Opening:
    """An opening down to the floor."""
    return Opening((middle - width / 2, middle + width / 2), 0.0, head)


def window(middle: float, width: float = 1.1, sill: float = 0.85, head: float = 2.15) -> Opening:
    """An opening to look through."""
    return Opening((middle - width / 2, middle + width / 2), sill, head)


@dataclass
class Wall:
    """An upright wall in the plane x = ``at`` (axis "x") or z = ``at`` (axis "z"), with what can be
    seen on its low and its high side."""

    axis: Literal["x", "z"]
    at: float
    along: Range
    low: Material
    high: Material
    openings: list[Opening] = field(default_factory=list)
    height: float = CEILING + _PARAPET

    def build(self, builder: SceneBuilder) -> None:
        """Piers between the openings, sills below and lintels above them, and their linings."""
        start = self.along[0]
        for opening in sorted(self.openings, key=lambda o: o.along):
            self._block(builder, (start, opening.along[0]), (0.0, self.height))
            self._block(builder, opening.along, (opening.head, self.height))
            if not opening.is_door:
                self._block(builder, opening.along, (0.0, opening.sill))
            self._line(builder, opening)
            start = opening.along[1]
        self._block(builder, (start, self.along[1]), (0.0, self.height))

    def _block(self, builder: SceneBuilder, along: Range, up: Range) -> None:
        if self.axis == "x":
            faces = (self.low, self.high, CREAM, CREAM, CREAM, CREAM)
        else:
            faces = (CREAM, CREAM, CREAM, CREAM, self.low, self.high)
        self._bar(builder, along, up, THICK / 2, faces)

    def _bar(
        self,
        builder: SceneBuilder,
        along: Range,
        up: Range,
        depth: float,
        faces: Material | tuple[Material, ...],
    ) -> None:
        across = (self.at - depth, self.at + depth)
        x, z = (across, along) if self.axis == "x" else (along, across)
        builder.slab(x, (EYE - up[1], EYE - up[0]), z, faces)

    def _line(self, builder: SceneBuilder, opening: Opening) -> None:
        """A white lining that stands proud of the wall; a cross and a board in windows."""
        (low, high), bar, depth = opening.along, 0.045, THICK / 2 + 0.025
        white = plain("#f4f1ea")
        for a, b in ((low, low + bar), (high - bar, high)):
            self._bar(builder, (a, b), (opening.sill, opening.head), depth, white)
        self._bar(builder, (low, high), (opening.head - bar, opening.head), depth, white)
        if opening.is_door:
            return
        self._bar(builder, (low - 0.05, high + 0.05), (opening.sill - 0.03, opening.sill + 0.02),
                  depth + 0.07, white)  # fmt: skip
        middle, level = (low + high) / 2, opening.sill + 0.62 * (opening.head - opening.sill)
        self._bar(
            builder, (middle - 0.02, middle + 0.02), (opening.sill, opening.head), 0.02, white
        )
        self._bar(builder, (low, high), (level - 0.018, level + 0.018), 0.018, white)


@dataclass
class Floor:
    """The floor plan's free space: rectangles (x, x, z, z) that are taken."""

    taken: list[Rect] = field(default_factory=list)

    def take(self, rect: Rect) -> bool:
        """Claim a rectangle if nobody has any of it."""
        if any(_overlap(rect, other) for other in self.taken):
            return False
        self.taken.append(rect)
        return True


def _overlap(a: Rect, b: Rect) -> bool:
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]


@dataclass
class Room:
    """A rectangle of the plan that is furnished piece by piece, never twice in one place."""

    name: str
    x: Range
    z: Range
    builder: SceneBuilder
    floor: Floor
    rng: np.random.Generator
    openings: dict[Side, list[Opening]] = field(default_factory=dict)
    _on_walls: dict[Side, list[Rect]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for side, openings in self.openings.items():
            for o in openings:
                self._on_walls.setdefault(side, []).append((*o.along, o.sill, o.head))
                if o.is_door:
                    self.floor.taken.append(self._footprint(side, o.along, 0.75))

    @property
    def middle(self) -> tuple[float, float]:
        """Centre x, z."""
        return sum(self.x) / 2, sum(self.z) / 2

    def span(self, side: Side) -> Range:
        """Where along x or z a wall runs."""
        return self.x if side in ("near", "far") else self.z

    def spot(self, side: Side, along: float, off: float = 0.0) -> Spot:
        """At a wall, facing into the room."""
        if side == "near":
            return Spot(self.builder, along, self.z[0] + off, 0.0)
        if side == "far":
            return Spot(self.builder, along, self.z[1] - off, math.pi)
        if side == "left":
            return Spot(self.builder, self.x[0] + off, along, math.pi / 2)
        return Spot(self.builder, self.x[1] - off, along, -math.pi / 2)

    def place(
        self,
        side: Side,
        size: Vec3,
        piece: Callable[[Spot], None],
        *,
        at: float | None = None,
        off: float = 0.0,
    ) -> bool:
        """Put a piece of ``size`` (width, height, depth) at a wall where it fits, near ``at``."""
        width, height, depth = size
        for along in self._tries(side, width, at):
            stretch = (along - width / 2, along + width / 2)
            on_wall = (*stretch, 0.0, height)
            if any(_overlap(on_wall, other) for other in self._on_walls.get(side, [])):
                continue
            if self.floor.take(self._footprint(side, stretch, depth + off)):
                self._on_walls.setdefault(side, []).append(on_wall)
                piece(self.spot(side, along, off))
                return True
        return False

    def hang(
        self,
        side: Side,
        size: tuple[float, float],
        up: float,
        piece: Callable[[Spot], None],
        *,
        at: float | None = None,
    ) -> bool:
        """Hang a thing of ``size`` (width, height) with its middle ``up`` high."""
        width, height = size
        for along in self._tries(side, width, at):
            rect = (
                along - width / 2 - 0.15,
                along + width / 2 + 0.15,
                up - height / 2,
                up + height / 2,
            )
            if not any(_overlap(rect, other) for other in self._on_walls.get(side, [])):
                self._on_walls.setdefault(side, []).append(rect)
                piece(self.spot(side, along))
                return True
        return False

    def stand(
        self,
        size: tuple[float, float],
        piece: Callable[[Spot], None],
        *,
        near: tuple[float, float] | None = None,
        yaw: float = 0.0,
        spread: float = 0.5,
    ) -> bool:
        """Put a piece of ``size`` (across x, along z) freely, close to ``near`` or the middle."""
        x, z = near or self.middle
        w, d = size[0] / 2, size[1] / 2
        for attempt in range(40):
            reach = spread * attempt / 12
            a = float(np.clip(x + self.rng.uniform(-reach, reach), self.x[0] + w, self.x[1] - w))
            b = float(np.clip(z + self.rng.uniform(-reach, reach), self.z[0] + d, self.z[1] - d))
            if self.floor.take((a - w, a + w, b - d, b + d)):
                piece(Spot(self.builder, a, b, yaw))
                return True
        return False

    def trim(self, material: Material, height: float, depth: float) -> None:
        """A strip along the foot of all walls, from skirting to wainscot, open at doors."""
        sides: tuple[Side, ...] = ("near", "far", "left", "right")
        for side in sides:
            start, end = self.span(side)
            doors = [o.along for o in self.openings.get(side, []) if o.is_door]
            for low, high in [*sorted(doors), (end, end)]:
                if low - start > 0.02:
                    spot = self.spot(side, (start + low) / 2)
                    half = (low - start) / 2
                    spot.box((-half, half), (0.0, height), (-0.01, depth), material)
                start = high

    def _tries(self, side: Side, width: float, at: float | None) -> list[float]:
        low, high = self.span(side)
        low, high = low + width / 2 + 0.05, high - width / 2 - 0.05
        if high < low:
            return []
        tries = np.sort(self.rng.uniform(low, high, 30))
        if at is not None:
            tries = np.append(tries, np.clip(at, low, high))
            return sorted(tries.tolist(), key=lambda along: abs(along - at))
        return self.rng.permutation(tries).tolist()

    def _footprint(self, side: Side, along: Range, depth: float) -> Rect:
        if side == "near":
            return (*along, self.z[0], self.z[0] + depth)
        if side == "far":
            return (*along, self.z[1] - depth, self.z[1])
        if side == "left":
            return (self.x[0], self.x[0] + depth, *along)
        return (self.x[1] - depth, self.x[1], *along)
