"""From a plan to the flat arrays of a world: walls cut by openings, frames, bounds, distances."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import fields

import numpy as np
from jaxtyping import Float64, Shaped

from vmem.arrays import F32, F64, I32
from vmem.worlds.materials import FIXED, PATTERNS, Material
from vmem.worlds.plan import EYE, THICK, Opening, Plan, Range, Room, Vec3
from vmem.worlds.world import BOX, MATERIAL, NODE, REGION, SETTING, Records, World

Solid = tuple[Vec3, Vec3, tuple[Material, ...]]
"""Opposite corners (x, up, z) in metres, materials of the six faces -x +x top bottom -z +z."""

_HALF, _SLAB = THICK / 2, 0.12
"""Metres of half a wall and of a floor or ceiling."""
_AROUND = 150.0
"""Metres from the start to the edge of the ground."""
_REACH, _CELL = 0.6, 0.1
"""Metres beyond which nothing darkens a corner, and between points of the distance grid."""
_SUN = np.array((-0.69, -0.65, 0.31))
"""Direction towards the sun."""
_SKIES = tuple(
    Material("plaster", 1.0, colors)
    for colors in ("#3f7fcf #cfe2f0", "#5b8fd0 #f2e3cf", "#4a86b8 #e4eaec")
)
"""Colours overhead and at the horizon."""
_INDOORS, _OUTDOORS, _DOORWAY = (0.60, 0.57, 0.53), (0.62, 0.70, 0.82), (0.5, 0.49, 0.46)
"""Ambient light in linear RGB."""


def cut(solid: Solid, low: Vec3, high: Vec3) -> Iterator[Solid]:
    """What is left of a solid when the box between two corners is taken out of it."""
    start, stop, faces = list(solid[0]), list(solid[1]), solid[2]
    if any(start[i] >= high[i] or stop[i] <= low[i] for i in range(3)):
        yield solid
        return
    for i in (0, 2, 1):
        if start[i] < low[i]:
            yield (start[0], start[1], start[2]), _with(stop, i, low[i]), faces
            start[i] = low[i]
        if stop[i] > high[i]:
            yield _with(start, i, high[i]), (stop[0], stop[1], stop[2]), faces
            stop[i] = high[i]


def _with(corner: Sequence[float], axis: int, value: float) -> Vec3:
    x, up, z = (value if i == axis else corner[i] for i in range(3))
    return x, up, z


def _slab(x: Range, up: Range, z: Range, material: Material) -> Solid:
    return (x[0], up[0], z[0]), (x[1], up[1], z[1]), 6 * (material,)


def _shell(room: Room, facade: Material) -> tuple[list[Solid], list[Solid]]:
    """Floor and ceiling of a room; its half of each wall, with a skirting board indoors."""
    low, high = [room.x[0], room.base, room.z[0]], [room.x[1], room.base + room.height, room.z[1]]
    wide, deep = (low[0] - _HALF, high[0] + _HALF), (low[2] - _HALF, high[2] + _HALF)
    flat = [_slab(wide, (low[1] - _SLAB, low[1]), deep, room.floor)]
    if not room.outdoors:
        flat.append(_slab(wide, (high[1], high[1] + _SLAB), deep, FIXED["white"]))
    walls = []
    for axis in (0, 2):
        for end, inwards in ((low[axis], 1), (high[axis], -1)):
            faces = [facade] * 6
            faces[2 * axis + (inwards + 1) // 2] = room.walls
            # Walls along z take the corners.
            along, up = deep if axis == 0 else room.x, (low[1] - _SLAB, high[1] + _SLAB)
            for depth, height, six in (
                (-_HALF, up, tuple(faces)),
                (0.018, (low[1], low[1] + 0.1), 6 * (FIXED["white"],)),
            ):
                across = sorted((end, end + inwards * depth))
                x, z = (across, along) if axis == 0 else (along, across)
                if depth < 0 or not room.outdoors:
                    walls.append(((x[0], height[0], z[0]), (x[1], height[1], z[1]), six))
    return flat, walls


def _frame(opening: Opening) -> Iterator[Solid]:
    """A white frame that stands proud of the wall; a cross and a sill in windows."""
    proud, bar, axis = _HALF + 0.025, 0.045, 0 if opening.axis == "z" else 2
    (low, high), inner = opening.corners(proud), opening.corners(0.02)
    bars = [(low, _with(high, axis, low[axis] + bar)), (_with(low, axis, high[axis] - bar), high)]
    bars.append((_with(low, 1, high[1] - bar), high))
    if opening.kind == "window":
        middle, level = opening.middle - 0.02, low[1] + 0.8
        sill = opening.corners(proud + 0.06)
        bars.append((_with(inner[0], axis, middle), _with(inner[1], axis, middle + 0.04)))
        bars.append((_with(inner[0], 1, level), _with(inner[1], 1, level + 0.04)))
        bars.append((_with(sill[0], 1, low[1] - 0.03), _with(sill[1], 1, low[1] + 0.02)))
    for start, stop in bars:
        yield start, stop, 6 * (FIXED["white"],)


def _solids(plan: Plan) -> list[Solid]:
    """Everything solid."""
    ground = _slab((-_AROUND, _AROUND), (-0.3, -0.06), (-_AROUND, _AROUND), FIXED["grass"])
    found, walls = [ground], []
    for room in plan.rooms:
        flat, upright = _shell(room, plan.facade)
        found += flat
        walls += upright
    for opening in plan.openings:
        hole = opening.corners(_HALF + 0.05)  # deep enough to cut the skirting boards as well
        walls = [piece for wall in walls for piece in cut(wall, *hole)]
        found += _frame(opening)
    return found + walls + [_slab(box.x, box.up, box.z, box.material) for box in plan.boxes]


def build(plan: Plan, name: str, seed: int, metre: float) -> World:
    """The world of a plan, with ``metre`` scene units a metre."""
    solids = _solids(plan)
    numbers: dict[Material, int] = {}
    boxes = np.zeros(len(solids), BOX)
    for row, (start, stop, faces) in zip(boxes, solids, strict=True):
        low, high = _placed(plan, start, stop)
        six = (faces[1], faces[0], *faces[2:]) if plan.mirrored else faces
        row["low"], row["high"] = low * metre, high * metre
        row["material"] = [numbers.setdefault(face, len(numbers)) for face in six]
        # By the plane of the face: the pieces of one wall match, and its two sides do not.
        planes = np.stack([low, high], axis=1).ravel() + 0.0
        names = (f"{k} {at:.3f} {seed}" for k, at in enumerate(planes))
        row["seed"] = [zlib.crc32(one.encode()) % 2**20 for one in names]
        row["casts"] = all(face.emission == 0 for face in six)
    materials = np.zeros(len(numbers), MATERIAL)
    for row, material in zip(materials, numbers, strict=True):
        row["palette"] = material.linear_rgb()
        for owner in (material, PATTERNS[material.pattern]):
            for field in fields(owner):
                if field.name not in ("pattern", "colors"):
                    row[field.name] = getattr(owner, field.name)
    regions, names = _regions(plan, metre)
    setting: np.void = np.zeros(1, SETTING)[0]
    setting["metre"], setting["seed"] = metre, seed % 9973
    setting["sun"] = _SUN / np.linalg.norm(_SUN) * (-1 if plan.mirrored else 1, 1, 1)
    setting["zenith"], setting["horizon"] = _SKIES[seed % len(_SKIES)].linear_rgb()[:2]
    setting["grid_low"] = regions["low"].min(axis=0) - _REACH * metre
    setting["grid_cell"] = _CELL * metre
    corners = [(x, up + EYE, z) for x, up, z in plan.loop]
    return World(
        plan=name,
        seed=seed,
        boxes=boxes,
        tree=build_tree(boxes["low"], boxes["high"]),
        materials=materials,
        regions=regions,
        region_names=names,
        loop=np.array([_placed(plan, corner, corner)[0] * metre for corner in corners]),
        setting=setting,
        distance=_distance(boxes, regions, setting),
    )


def _placed(plan: Plan, low: Vec3, high: Vec3) -> tuple[F64, F64]:
    """Corners in metres in the world: y down from eye height, mirrored if the plan is."""
    (x0, u0, z0), (x1, u1, z1) = low, high
    if plan.mirrored:
        x0, x1 = -x1, -x0
    return np.array((x0, EYE - u1, z0)), np.array((x1, EYE - u0, z1))


def _regions(plan: Plan, metre: float) -> tuple[Records, tuple[str, ...]]:
    """Free space of every room and doorway, and the light in it."""
    rows: list[tuple[str, tuple[Vec3, Vec3], Vec3, float]] = []
    for room in plan.rooms:
        top = room.base + room.height + 0.4 * room.outdoors
        corners = ((room.x[0], room.base, room.z[0]), (room.x[1], top, room.z[1]))
        r, g, b = (0.65 + 0.35 * wall for wall in room.walls.linear_rgb()[0])
        tinted = (r * _INDOORS[0], g * _INDOORS[1], b * _INDOORS[2])
        rows.append((room.name, corners, _OUTDOORS if room.outdoors else tinted, room.outdoors))
    doors = (one for one in plan.openings if one.kind == "door")
    rows += [("doorway", one.corners(_HALF), _DOORWAY, 0.0) for one in doors]
    regions = np.zeros(len(rows), REGION)
    for to, (_, corners, ambient, open_sky) in zip(regions, rows, strict=True):
        to["low"], to["high"] = (corner * metre for corner in _placed(plan, *corners))
        to["ambient"], to["open_sky"] = ambient, open_sky
    return regions, tuple(row[0] for row in rows)


def _distance(boxes: Records, regions: Records, setting: np.void) -> F32:
    """Distance to the nearest box on a grid over all regions and a margin, capped at _REACH."""
    origin, cell, reach = setting["grid_low"], setting["grid_cell"], _REACH * setting["metre"]
    counts = np.ceil((regions["high"].max(axis=0) + reach - origin) / cell).astype(int) + 1
    square = np.full(counts, reach**2, np.float32)
    for low, high in zip(boxes["low"], boxes["high"], strict=True):
        first = np.floor((low - reach - origin) / cell).clip(0, counts).astype(int)
        last = np.ceil((high + reach - origin) / cell).clip(0, counts).astype(int)
        off = []
        for i in range(3):
            at = origin[i] + cell * np.arange(first[i], last[i])
            off.append(np.maximum(np.maximum(low[i] - at, at - high[i]), 0).astype(np.float32) ** 2)
        part = square[tuple(map(slice, first, last))]
        np.minimum(part, off[0][:, None, None] + off[1][:, None] + off[2], out=part)
    return np.sqrt(square)


def build_tree(
    low: Float64[np.ndarray, "B 3"], high: Float64[np.ndarray, "B 3"]
) -> Shaped[np.ndarray, " 2*B-1"]:
    """NODE in depth-first order over the boxes low, high; deterministic.

    Splits by the surface area heuristic (MacDonald and Booth, "Heuristics for ray tracing using
    space subdivision", 1990) over the centres sorted along each axis.
    """
    nodes = np.zeros(2 * len(low) - 1, NODE)

    def fill(node: int, boxes: I32) -> int:
        """Write the tree over ``boxes`` from ``node`` on; returns the node after it."""
        nodes[node]["low"], nodes[node]["high"] = low[boxes].min(axis=0), high[boxes].max(axis=0)
        nodes[node]["box"] = boxes[0] if len(boxes) == 1 else -1
        after = node + 1
        if len(boxes) > 1:
            orders = (boxes[np.argsort(along[boxes], kind="stable")] for along in middle)
            splits = (_split(order, low, high) for order in orders)
            for half in min(splits, key=lambda split: split[0])[1:]:
                after = fill(after, half)
        nodes[node]["skip"] = after
        return after

    middle = (low + high).T
    fill(0, np.arange(len(low), dtype=np.int32))
    return nodes


def _split(order: I32, low: F64, high: F64) -> tuple[float, I32, I32]:
    """The cheapest cut of boxes in an order, and what it costs."""
    count = np.arange(1, len(order))
    ahead, behind = (_running_area(low[part], high[part])[:-1] for part in (order, order[::-1]))
    cost = ahead * count + behind[::-1] * count[::-1]
    at = int(np.argmin(cost)) + 1
    return float(cost[at - 1]), order[:at], order[at:]


def _running_area(low: F64, high: F64) -> F64:
    """(B,) half the surface of the box around the first 1, 2, ... B boxes."""
    x, y, z = (np.maximum.accumulate(high) - np.minimum.accumulate(low)).T
    return x * y + y * z + z * x
