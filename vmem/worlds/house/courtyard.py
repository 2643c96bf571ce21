"""The courtyard of the procedural world, and the landscape around it."""

from __future__ import annotations

import math

import numpy as np

from vmem.worlds.house import furniture, garden
from vmem.worlds.house.floor_plan import Outline
from vmem.worlds.house.palette import Swatches
from vmem.worlds.house.records import Range
from vmem.worlds.house.scene import Material, SceneBuilder, plain
from vmem.worlds.house.spot import CREAM, EYE, TERRACOTTA, Finish, Spot
from vmem.worlds.house.textures import Pattern
from vmem.worlds.house.walls import CEILING, THICK, Wall, door

_YARD_WALL = 2.5


class Courtyard:
    """Walls, paving, a fountain, a pergola, trees and flowers under the open sky."""

    def __init__(
        self, builder: SceneBuilder, rng: np.random.Generator, plan: Outline, swatches: Swatches
    ) -> None:
        self.builder = builder
        self.rng = rng
        self.plan = plan
        self.swatches = swatches

    def build(self) -> None:
        x, z = self.plan.yard_x, self.plan.yard_z
        up = (EYE - CEILING - 0.4, EYE)
        self.builder.region("courtyard", x, up, z, (0.62, 0.70, 0.82), open_sky=True)
        self._ground(x, z)
        self._enclosure(x, z)
        self._pergola(x, z)
        self._garden(x, z)
        self._landscape(x, z)

    def _ground(self, x: Range, z: Range) -> None:
        paving = Material(
            Pattern.FLAGSTONES, ("#b3a68f", "#d0c3a8", "#7d705c"), 0.55, self.swatches.seed()
        )
        grass = Material(Pattern.LEAVES, ("#4a6a34", "#6f8a48", "#a8b070"), 0.5, 3)
        self.builder.slab(
            (x[0] - 0.1, x[1] + 0.1), (EYE, EYE + 0.1), (z[0] - 0.09, z[1] + 0.1), paving
        )
        self.builder.slab((-60.0, 60.0), (EYE + 0.06, EYE + 0.2), (-60.0, 60.0), grass)
        self.lawns = []
        middle = sum(x) / 2
        for low, high in ((x[0] + 0.4, middle - 2.0), (middle + 2.0, x[1] - 0.4)):
            lawn = ((low, high), (z[0] + 3.4, z[1] - 0.5))
            self.lawns.append(lawn)
            self.builder.slab(lawn[0], (EYE - 0.05, EYE), lawn[1], grass)

    def _enclosure(self, x: Range, z: Range) -> None:
        stone, half = next(self.swatches.facades), THICK / 2
        cap = Material(Pattern.ROOF, ("#b5623c", "#c97a50", "#b5623c"), 0.4)
        gate = door(sum(x) / 2 + self.rng.uniform(-0.5, 0.5), 1.3, 2.05)
        sides = (
            Wall("x", x[0] - half, (z[0] - 0.05, z[1] + THICK), stone, stone, height=_YARD_WALL),
            Wall("x", x[1] + half, (z[0] - 0.05, z[1] + THICK), stone, stone, height=_YARD_WALL),
            Wall("z", z[1] + half, (x[0] - THICK, x[1] + THICK), stone, stone, height=_YARD_WALL),
        )
        for wall in sides:
            wall.build(self.builder)
            low, high = wall.at - 0.2, wall.at + 0.2
            xs, zs = ((low, high), wall.along) if wall.axis == "x" else (wall.along, (low, high))
            self.builder.slab(xs, (EYE - _YARD_WALL - 0.1, EYE - _YARD_WALL + 0.02), zs, cap)
        leaf = Material(Pattern.PANELS, ("#2f5f6b", "#3f7580", "#2f5f6b"), 1.0)
        spot = Spot(self.builder, sum(gate.along) / 2, z[1], math.pi)
        spot.box((-0.6, 0.6), (0.0, gate.head), (0.0, 0.06), leaf)
        spot.box((-0.72, 0.72), (gate.head, gate.head + 0.16), (0.0, 0.1), CREAM)
        for side in (-1, 1):
            spot.box((side * 0.66 - 0.07, side * 0.66 + 0.07), (0, gate.head), (0.0, 0.1), CREAM)

    def _pergola(self, x: Range, z: Range) -> None:
        """Columns before the house, a beam on them, rafters that stripe the sun."""
        stone, height = plain("#e9e2d2"), 2.45
        wood = Material(Pattern.WOOD, ("#6b4a30", "#8a6444", "#6b4a30"), 0.4)
        line, count = z[0] + 1.9, 5
        start, end = x[0] + 0.5, x[1] - 0.5
        for k in range(count):
            across = start + (end - start) * k / (count - 1)
            if abs(across - self.plan.arch) > 0.5:
                garden.column(Spot(self.builder, across, line), height, stone)
        spot = Spot(self.builder, (start + end) / 2, line)
        half = (end - start) / 2 + 0.2
        spot.box((-half, half), (height, height + 0.16), (-0.09, 0.09), wood)
        for k in range(13):
            across = -half + 0.15 + (2 * half - 0.3) * k / 12
            spot.box(
                (across - 0.04, across + 0.04), (height + 0.16, height + 0.28), (-1.9, 0.3), wood
            )

    def _garden(self, x: Range, z: Range) -> None:
        middle, seed = sum(x) / 2, self.swatches.seed
        glaze = Material(Pattern.MOSAIC, ("#e9e2cf", "#2f7f86", "#d0a03f"), 0.3, seed())
        center = z[0] + 4.7
        if self.rng.random() < 0.75:
            garden.fountain(Spot(self.builder, middle, center), glaze)
        else:
            self._parasol(Spot(self.builder, middle, center))
        greens = (("#2c5426", "#47762f", "#8fb04f"), ("#4d5f22", "#7f8f35", "#c2c25f"))
        for k, (across, along) in enumerate(self.lawns):
            leaves = Material(Pattern.LEAVES, greens[(k + seed()) % 2], 0.32, seed())
            at_x, at_z = sum(across) / 2, along[0] + self.rng.uniform(1.0, 3.0)
            garden.tree(Spot(self.builder, at_x, at_z), leaves, self.rng.uniform(2.6, 3.6), seed())
            garden.planter(Spot(self.builder, at_x, along[1] + 0.12), 1.8, seed())
        wood = Material(Pattern.WOOD, ("#7a5a3c", "#99754f", "#7a5a3c"), 0.4)
        garden.bench(Spot(self.builder, x[0] + 0.15, z[0] + 2.7, math.pi / 2), wood)
        garden.bench(Spot(self.builder, x[1] - 0.15, z[0] + 2.7, -math.pi / 2), wood)
        pots = (plain("#3f7580"), TERRACOTTA, plain("#d9b46a"))
        for k in range(6):
            at_x = x[0] + 0.7 + (x[1] - x[0] - 1.4) * (k + self.rng.uniform(-0.2, 0.2)) / 5
            if abs(at_x - self.plan.arch) > 1.2:
                spot = Spot(self.builder, at_x, z[0] + 0.35)
                furniture.plant(spot, pots[k % 3], seed(), self.rng.uniform(0.7, 1.3))

    def _parasol(self, spot: Spot) -> None:
        finish: Finish = self.swatches.finish()
        furniture.dining_set(spot, finish, self.swatches.flowers())
        spot.cylinder(0, 0, 0.025, (0.76, 2.3), CREAM)
        spot.ellipsoid(0, 2.3, 0, (1.4, 0.28, 1.4), finish.fabric)

    def _landscape(self, x: Range, z: Range) -> None:
        """Trees that look over the walls and stand before the windows, clear of the sun's way."""
        seed = self.swatches.seed
        places = [
            (x[0] - 2.5, z[1] + 3.0),
            (sum(x) / 2 + 1.5, z[1] + 4.5),
            (x[1] + 3.0, z[1] - 1.0),
            (x[1] + 2.5, z[1] + 4.0),
            (self.plan.living_x[0] - 9.0, 2.0),
            (self.plan.living_x[0] - 11.0, 6.0),
            (sum(self.plan.second_x) / 2 - 1.0, -8.0),
            (sum(self.plan.second_x) / 2 + 3.0, -10.0),
            (self.plan.third_x[1] + 6.0, sum(self.plan.third_z) / 2 + 1.0),
        ]
        for at_x, at_z in places:
            tone = ("#2a4f28", "#3f6f33", "#86a850")
            leaves = Material(Pattern.LEAVES, tone, 0.45, seed())
            spot = Spot(self.builder, at_x, at_z)
            garden.tree(spot, leaves, self.rng.uniform(3.4, 5.0), seed())
