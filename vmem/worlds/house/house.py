"""The rooms of the procedural world: their shell, their doors and windows, their furniture."""

from __future__ import annotations

import math

import numpy as np

from vmem.worlds.house import furniture, garden
from vmem.worlds.house.floor_plan import Outline
from vmem.worlds.house.palette import Swatches
from vmem.worlds.house.records import Range, Vec3
from vmem.worlds.house.scene import Material, SceneBuilder, linear_rgb, plain
from vmem.worlds.house.spot import EYE, Spot
from vmem.worlds.house.textures import Pattern
from vmem.worlds.house.walls import (
    CEILING,
    THICK,
    Floor,
    Opening,
    Room,
    Side,
    Wall,
    door,
    window,
)

_LAMP: Vec3 = (1.75, 1.45, 1.05)


class House:
    """Rooms, their walls and what stands in them."""

    def __init__(
        self, builder: SceneBuilder, rng: np.random.Generator, plan: Outline, swatches: Swatches
    ) -> None:
        self.builder = builder
        self.rng = rng
        self.plan = plan
        self.swatches = swatches
        self.wall_of: dict[str, Material] = {}
        self.floor = Floor([(-0.55, 0.55, -0.7, 1.6)])

    def build(self) -> None:
        p, rng = self.plan, self.rng
        between = door(rng.uniform(1.6, p.front_z[1] - 0.9), 1.2)
        second_door = door(rng.uniform(p.second_x[0] + 1.0, p.second_x[1] - 1.0))
        third_door = door(sum(p.hall_z) / 2)
        living_windows = [window(1.9 + rng.uniform(-0.2, 0.2)), window(3.7 + rng.uniform(-0.2, 0))]
        second_windows = [window(sum(p.second_x) / 2 + off) for off in (-0.9, 0.9)]
        third_windows = [window(sum(p.third_z) / 2 + rng.uniform(-0.4, 0.4), 1.5)]
        arch = Opening((p.arch - 0.8, p.arch + 0.8), 0.0, 2.3)
        hall_windows = [
            window(x, 1.2, 0.7)
            for x in (p.arch - 2.1, p.arch + 2.2, p.arch + 4.4)
            if p.living_x[0] + 0.8 < x < p.second_x[1] - 0.8
        ]
        living = self._room(
            "living room",
            p.living_x,
            p.front_z,
            {"left": living_windows, "right": [between], "far": [door(p.living_door)]},
        )
        second = self._room(
            "second room",
            p.second_x,
            p.front_z,
            {"left": [between], "near": second_windows, "far": [second_door]},
        )
        hall = self._room(
            "hall",
            (p.living_x[0], p.second_x[1]),
            p.hall_z,
            {
                "left": [window(sum(p.hall_z) / 2, 1.0)],
                "near": [door(p.living_door), second_door],
                "far": [arch, *hall_windows],
                "right": [third_door],
            },
        )
        third = self._room(
            "third room",
            p.third_x,
            p.third_z,
            {"left": [third_door], "right": third_windows, "far": [window(sum(p.third_x) / 2)]},
        )
        self._walls(living, second, hall, third)
        self._furnish_living(living)
        self._furnish_second(second)
        self._furnish_third(third)
        self._furnish_hall(hall)

    # --- shell -----------------------------------------------------------------------------

    def _room(self, name: str, x: Range, z: Range, openings: dict[Side, list[Opening]]) -> Room:
        """The room with its floor, ceiling, skirting and curtains; its walls come later."""
        hall = name == "hall"
        ground = next(self.swatches.hall_floors if hall else self.swatches.floors)
        wall = self.wall_of[name] = next(self.swatches.walls)
        room = Room(name, x, z, self.builder, self.floor, self.rng, openings)
        half = THICK / 2
        wide, deep = (x[0] - half, x[1] + half), (z[0] - half, z[1] + half)
        self.builder.slab(wide, (EYE, EYE + 0.1), deep, ground)
        self.builder.slab(wide, (EYE - CEILING - 0.12, EYE - CEILING), deep, plain("#f3efe6"))
        tint = np.array(linear_rgb(wall.colors[0])) * 0.35 + 0.65
        ambient = tint * np.array((0.60, 0.57, 0.53))
        r, g, b = ambient.tolist()
        self.builder.region(name, x, (EYE - CEILING, EYE), z, (r, g, b))
        if self.rng.random() < 0.35 and not hall:
            panel = Material(Pattern.STRIPES, ("#ece7da", "#e2dccd", "#a9a294"), 0.16)
            room.trim(panel, 0.78, 0.018)
            room.trim(plain("#f1ede3"), 0.1, 0.03)
        else:
            room.trim(plain("#f1ede3"), 0.11, 0.018)
        drape = self.swatches.fabric()
        for side, side_openings in openings.items():
            for o in side_openings:
                if not o.is_door and not hall:
                    spot = room.spot(side, sum(o.along) / 2)
                    furniture.curtains(spot, o.along[1] - o.along[0], o.head, drape)
        return room

    def _walls(self, living: Room, second: Room, hall: Room, third: Room) -> None:
        p, half = self.plan, THICK / 2
        facade = next(self.swatches.facades)
        inside = self.wall_of
        a, b, h, c = (inside[r.name] for r in (living, second, hall, third))
        (ax0, ax1), (_, bx1), (_, cx1) = p.living_x, p.second_x, p.third_x
        (z0, z1), (_, hz1), (cz0, _) = p.front_z, p.hall_z, p.third_z
        doors_low, doors_high = hall.openings["near"]
        yard_window = third.openings["far"]
        walls = [
            Wall("x", ax0 - half, (z0 - THICK, z1 + half), facade, a, living.openings["left"]),
            Wall("x", ax0 - half, (z1 + half, hz1 + THICK), facade, h, hall.openings["left"]),
            Wall("z", z0 - half, (ax0 - THICK, ax1 + half), facade, a),
            Wall("z", z0 - half, (ax1 + half, bx1 + THICK), facade, b, second.openings["near"]),
            Wall("x", ax1 + half, (z0 - half, z1 + half), a, b, living.openings["right"]),
            Wall("x", bx1 + half, (z0 - THICK, cz0 - half), b, facade),
            Wall("x", bx1 + half, (cz0 - half, z1 + half), b, c),
            Wall("x", bx1 + half, (z1 + half, hz1 + THICK), h, c, hall.openings["right"]),
            Wall("z", z1 + half, (ax0 - THICK, ax1 + half), a, h, [doors_low]),
            Wall("z", z1 + half, (ax1 + half, bx1 + half), b, h, [doors_high]),
            Wall("z", hz1 + half, (ax0 - THICK, bx1 + half), h, facade, hall.openings["far"]),
            Wall("z", hz1 + half, (bx1 + half, cx1 + THICK), c, facade, yard_window),
            Wall("z", cz0 - half, (bx1 + half, cx1 + THICK), facade, c),
            Wall("x", cx1 + half, (cz0 - THICK, hz1 + THICK), c, facade, third.openings["right"]),
        ]
        for wall in walls:
            wall.build(self.builder)
            for opening in wall.openings:
                if opening.is_door:
                    self._doorway(wall, opening)

    def _doorway(self, wall: Wall, opening: Opening) -> None:
        across = (wall.at - THICK / 2, wall.at + THICK / 2)
        x, z = (across, opening.along) if wall.axis == "x" else (opening.along, across)
        self.builder.region("doorway", x, (EYE - opening.head, EYE), z, (0.5, 0.49, 0.46))

    # --- furniture -------------------------------------------------------------------------

    def _pictures(self, room: Room, count: int) -> None:
        sides: tuple[Side, ...] = ("far", "right", "left", "near")
        for k in range(count):
            size = (self.rng.uniform(0.5, 1.1), self.rng.uniform(0.45, 0.75))
            art = self.swatches.art()

            def hang(spot: Spot, size: tuple[float, float] = size, art: Material = art) -> None:
                furniture.picture(spot, 1.6, *size, art)

            room.hang(sides[k % 4], size, 1.6, hang)

    def _pendant(self, room: Room) -> None:
        x, z = room.middle
        furniture.pendant(Spot(self.builder, x, z), _LAMP, CEILING)

    def _furnish_living(self, room: Room) -> None:
        f, seed = self.swatches.finish(), self.swatches.seed
        middle = (room.x[0] + room.x[1]) / 2
        beside = -0.6 * room.x[1] if self.plan.living_door > 0 else 0.6 * room.x[1]
        if self.rng.random() < 0.55:
            room.place("far", (1.75, 2.7, 0.8), lambda s: furniture.fireplace(s, f), at=beside)
            room.place("left", (1.3, 0.8, 0.9), lambda s: furniture.armchair(s, f), at=2.9)
        else:
            room.place("far", (1.8, 2.05, 0.35),
                       lambda s: furniture.bookcase(s, f, 1.75, seed()), at=beside)  # fmt: skip
        room.place("right", (2.2, 0.8, 0.95), lambda s: furniture.sofa(s, f), at=2.4)
        furniture.rug(Spot(self.builder, middle, 2.8), 2.3, 2.6, self.swatches.rug())
        room.stand((0.7, 1.0), lambda s: furniture.coffee_table(s, f), near=(middle + 0.1, 2.7),
                   yaw=math.pi / 2, spread=0.2)  # fmt: skip
        room.place("left", (0.8, 0.6, 0.8), lambda s: furniture.armchair(s, f), at=2.8)
        pot = self.swatches.finish().paint
        room.place(
            "far", (0.6, 1.6, 0.6), lambda s: furniture.plant(s.at(0, 0.3), pot, seed(), 1.5)
        )
        room.place("right", (0.5, 1.7, 0.5), lambda s: furniture.floor_lamp(s.at(0, 0.25)), at=4.4)
        room.place("near", (1.7, 1.3, 0.45),
                   lambda s: furniture.sideboard(s, f, self.swatches.flowers()))  # fmt: skip
        room.place("right", (1.3, 2.05, 0.35), lambda s: furniture.bookcase(s, f, 1.2, seed()))
        self._pendant(room)
        self._pictures(room, 6)

    def _furnish_second(self, room: Room) -> None:
        if self.rng.random() < 0.5:
            self._furnish_kitchen(room)
        else:
            self._furnish_dining(room)

    def _furnish_third(self, room: Room) -> None:
        if self.rng.random() < 0.5:
            self._furnish_study(room)
        else:
            self._furnish_bedroom(room)

    def _furnish_dining(self, room: Room) -> None:
        f, x, z = self.swatches.finish(), *room.middle
        furniture.rug(Spot(self.builder, x, z), 2.6, 2.2, self.swatches.rug())
        room.stand((1.7, 2.0), lambda s: furniture.dining_set(s, f, self.swatches.flowers()))
        room.place("right", (1.7, 1.3, 0.45),
                   lambda s: furniture.sideboard(s, f, self.swatches.flowers()))  # fmt: skip
        room.place("far", (1.3, 2.1, 0.62), lambda s: furniture.wardrobe(s, f))
        self._corner_plant(room)
        self._pendant(room)
        self._pictures(room, 6)

    def _furnish_kitchen(self, room: Room) -> None:
        f = self.swatches.finish()
        room.place("right", (3.1, 2.69, 0.65), lambda s: furniture.kitchen(s, f, 3.0))
        room.stand((1.7, 2.0), lambda s: furniture.dining_set(s, f, self.swatches.flowers()),
                   near=(room.middle[0] - 0.3, room.middle[1]))  # fmt: skip
        room.place("far", (1.3, 2.05, 0.35),
                   lambda s: furniture.bookcase(s, f, 1.2, self.swatches.seed()))  # fmt: skip
        self._corner_plant(room)
        self._pendant(room)
        self._pictures(room, 5)

    def _furnish_bedroom(self, room: Room) -> None:
        f, x, z = self.swatches.finish(), *room.middle
        for side in ("near", "right", "left"):
            if room.place(side, (2.8, 1.1, 2.1), lambda s: furniture.bed(s, f)):
                break
        furniture.rug(Spot(self.builder, x, z), 2.4, 1.7, self.swatches.rug())
        for side in ("left", "far", "right"):
            if room.place(side, (1.3, 2.1, 0.62), lambda s: furniture.wardrobe(s, f)):
                break
        room.place("right", (0.8, 0.9, 0.8), lambda s: furniture.armchair(s, f))
        self._corner_plant(room)
        self._pendant(room)
        self._pictures(room, 6)

    def _furnish_study(self, room: Room) -> None:
        f, x, z = self.swatches.finish(), *room.middle
        room.place("right", (1.5, 0.8, 1.2), lambda s: furniture.desk(s, f))
        for side in ("left", "near", "near", "left"):
            room.place(side, (1.45, 2.05, 0.35),
                       lambda s: furniture.bookcase(s, f, 1.4, self.swatches.seed()))  # fmt: skip
        furniture.rug(Spot(self.builder, x, z), 1.9, 2.4, self.swatches.rug())
        room.stand((0.9, 0.9), lambda s: furniture.armchair(s.at(0, -0.4), f))
        self._corner_plant(room)
        self._pendant(room)
        self._pictures(room, 5)

    def _corner_plant(self, room: Room) -> None:
        pot, seed = self.swatches.finish().paint, self.swatches.seed()

        def grow(spot: Spot) -> None:
            furniture.plant(spot.at(0, 0.28), pot, seed, 1.4)

        corners: tuple[tuple[Side, float], ...] = (
            ("far", room.x[1]),
            ("near", room.x[1]),
            ("far", room.x[0]),
        )
        for side, at in corners:
            if room.place(side, (0.55, 1.6, 0.55), grow, at=at):
                return

    def _furnish_hall(self, room: Room) -> None:
        f = self.swatches.finish()
        x, z = room.middle
        runner = self.swatches.rug()
        for off in (-2.2, 2.2):
            furniture.rug(Spot(self.builder, x + off, z, math.pi / 2), 1.0, 3.2, runner)
            furniture.pendant(Spot(self.builder, x + off, z), (1.2, 0.98, 0.7), CEILING)
        room.place("near", (1.7, 1.3, 0.45),
                   lambda s: furniture.sideboard(s, f, self.swatches.flowers()))  # fmt: skip
        room.place("near", (1.1, 0.9, 0.4), lambda s: garden.bench(s, f.wood))
        room.place("left", (0.6, 0.8, 0.6),
                   lambda s: furniture.plant(s.at(0, 0.3), f.paint, 7, 0.9))  # fmt: skip
        for side in ("near", "near", "near", "far", "far", "right"):
            art = self.swatches.art()

            def hang(spot: Spot, art: Material = art) -> None:
                furniture.picture(spot, 1.6, 0.7, 0.55, art)

            room.hang(side, (0.7, 0.55), 1.6, hang)
