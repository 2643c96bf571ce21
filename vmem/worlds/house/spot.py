"""Where a piece stands and which way it faces, and the few materials that all pieces share."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vmem.worlds.house.records import Range, Shape, Vec3
from vmem.worlds.house.scene import Material, SceneBuilder, plain
from vmem.worlds.house.textures import Pattern

EYE = 1.5
"""Metres from the floor to the first camera, which is the origin."""

CREAM = plain("#efe9dc")
BLACK = plain("#26221f")
BRASS = plain("#b9924a")
TERRACOTTA = plain("#b5623c")
LINEN = Material(Pattern.FABRIC, ("#efe6d5", "#d8cdb8", "#efe6d5"), 0.6)
GLOW = plain("#ffe2b0", emission=1.7)
STONE = Material(Pattern.PLASTER, ("#b8b0a0", "#b8b0a0", "#b8b0a0"), 0.35)


@dataclass(frozen=True)
class Spot:
    """A frame on the floor, in metres: ``across`` to the right and ``out`` towards the viewer who
    faces the piece, whose back is at out = 0; heights are measured up from the floor."""

    builder: SceneBuilder
    x: float
    z: float
    yaw: float = 0.0

    def at(self, across: float, out: float, turn: float = 0.0) -> Spot:
        """Another spot, given in this one's frame."""
        x, z = self._world(across, out)
        return Spot(self.builder, x, z, self.yaw + turn)

    def box(
        self, across: Range, up: Range, out: Range, faces: Material | tuple[Material, ...]
    ) -> None:
        """A box between these bounds."""
        middle = (sum(across) / 2, sum(up) / 2, sum(out) / 2)
        half = ((across[1] - across[0]) / 2, (up[1] - up[0]) / 2, (out[1] - out[0]) / 2)
        self._solid(Shape.BOX, middle, half, faces)

    def cylinder(
        self, across: float, out: float, radius: float, up: Range, faces: Material
    ) -> None:
        """An upright cylinder."""
        half = (radius, (up[1] - up[0]) / 2, radius)
        self._solid(Shape.CYLINDER, (across, sum(up) / 2, out), half, faces)

    def ellipsoid(self, across: float, up: float, out: float, half: Vec3, faces: Material) -> None:
        """An ellipsoid around a centre."""
        self._solid(Shape.ELLIPSOID, (across, up, out), half, faces)

    def light(self, across: float, up: float, out: float, color: Vec3, reach: float) -> None:
        """A point light."""
        x, z = self._world(across, out)
        self.builder.light((x, EYE - up, z), color, reach)

    def _world(self, across: float, out: float) -> tuple[float, float]:
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return self.x + c * across + s * out, self.z - s * across + c * out

    def _solid(
        self, shape: Shape, middle: Vec3, half: Vec3, faces: Material | tuple[Material, ...]
    ) -> None:
        x, z = self._world(middle[0], middle[2])
        self.builder.solid(shape, (x, EYE - middle[1], z), half, faces, yaw=self.yaw)


@dataclass(frozen=True)
class Finish:
    """What the pieces of one room are made of."""

    wood: Material
    fabric: Material
    accent: Material
    paint: Material
