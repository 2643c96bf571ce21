"""The procedural world as data: convex solids, materials, lights, and the structures to trace them.

A world is put together with ``SceneBuilder`` in metres and becomes immutable arrays in scene
units. Everything solid is a box turned about the vertical, an upright cylinder or an ellipsoid,
seen from outside only, so that any slow reference can check the fast ray caster.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from vmem.generation.world_textures import Pattern, compiled
from vmem.generation.world_tree import build_tree

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
Records = NDArray[np.void]
Vec3 = tuple[float, float, float]
Range = tuple[float, float]


class Shape(IntEnum):
    """What a solid is. All are convex; ``half`` is the half extent along its own axes."""

    BOX = 0
    CYLINDER = 1
    ELLIPSOID = 2


# Structured arrays, since a kernel counts references for every array that it is handed.

SOLID = np.dtype(
    [
        ("center", np.float64, 3),
        ("half", np.float64, 3),
        ("cosine", np.float64),
        ("sine", np.float64),
        ("shape", np.int32),
        ("material", np.int32, 6),
        ("anchored", np.bool_),
        ("casts", np.bool_),
    ],
    align=True,
)
"""shape of Shape · centre and half extent in scene units · cosine and sine of the yaw: ``world =
rotation_y(yaw) @ local + center`` · numbers of the materials of the faces -x +x -y +y -z +z
(cylinders: wall at -x, caps at -y +y; ellipsoids: -x) · anchored: textured by world position, so
that the pieces of one wall match · casts: casts shadows."""

MATERIAL = np.dtype(
    [
        ("pattern", np.int32),
        ("palette", np.float64, (3, 3)),
        ("size", np.float64),
        ("seed", np.int64),
        ("emission", np.float64),
        ("turned", np.bool_),
    ],
    align=True,
)
"""pattern of Pattern · three colours in linear RGB · size in metres a period · seed · emission, 0
for what only reflects · turned: pattern at a right angle."""

REGION = np.dtype(
    [
        ("low", np.float64, 3),
        ("high", np.float64, 3),
        ("ambient", np.float64, 3),
        ("open_sky", np.float64),
    ],
    align=True,
)
"""A box of free space in scene units, doorways included · ambient linear light that comes from
everywhere · open_sky: 1 outdoors, 0 indoors."""

LAMP = np.dtype(
    [("position", np.float64, 3), ("color", np.float64, 3), ("reach", np.float64)], align=True
)
"""A point light that fades to nothing at ``reach``, in scene units; linear RGB."""


SETTING = np.dtype(
    [
        ("metre", np.float64),
        ("sun", np.float64, 3),
        ("sun_color", np.float64, 3),
        ("zenith", np.float64, 3),
        ("horizon", np.float64, 3),
        ("hills", np.float64, 3),
        ("sky_seed", np.int64),
        ("grid_low", np.float64, 3),
        ("grid_cell", np.float64),
    ],
    align=True,
)
"""metre: scene units a metre · sun: direction towards it · colours of sun and sky in linear RGB ·
seed of clouds and hills · first point and spacing of the distance grid in scene units."""


@dataclass(frozen=True, eq=False)
class World:
    """One procedural place around the origin; y down, the floor a plane, lengths in scene units.

    solids (P,) SOLID · materials (M,) MATERIAL · regions (R,) REGION and their names · lamps (L,)
    LAMP · setting: one SETTING · tree (N,) NODE over the solids' bounds · distance (X, Y, Z) f32 to
    the nearest solid at ``grid_low + index * grid_cell``, capped at OCCLUSION_REACH metres.
    """

    seed: int
    solids: Records
    materials: Records
    regions: Records
    region_names: tuple[str, ...]
    lamps: Records
    setting: np.void
    tree: Records
    distance: F32


@dataclass(frozen=True)
class Material:
    """How a surface looks; colours are ``#rrggbb``, size is metres a period of the pattern."""

    pattern: Pattern
    colors: tuple[str, str, str]
    size: float = 1.0
    seed: int = 0
    emission: float = 0.0
    turned: bool = False


_SUN_COLOR: Vec3 = (2.6, 2.3, 1.85)


def plain(color: str, *, size: float = 0.8, emission: float = 0.0) -> Material:
    """Painted or plastered: one colour with a breath of variation."""
    return Material(Pattern.PLASTER, (color, color, color), size, emission=emission)


def linear_rgb(color: str) -> Vec3:
    """``#rrggbb`` in sRGB as linear RGB in [0, 1]."""
    srgb = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in srgb)
    return r, g, b


@dataclass
class SceneBuilder:
    """Collects solids, lights and regions in metres. ``mirrored`` exchanges left and right."""

    mirrored: bool = False
    _solids: list[tuple[Shape, Vec3, Vec3, float, tuple[Material, ...], bool, bool]] = field(
        default_factory=list
    )
    _lights: list[tuple[Vec3, Vec3, float]] = field(default_factory=list)
    _regions: list[tuple[str, Vec3, Vec3, Vec3, float]] = field(default_factory=list)

    def solid(
        self,
        shape: Shape,
        center: Vec3,
        half: Vec3,
        faces: Material | tuple[Material, ...],
        *,
        yaw: float = 0.0,
        anchored: bool = False,
    ) -> None:
        """Add a solid; ``faces`` is one material or six for -x +x -y +y -z +z."""
        six = (faces,) * 6 if isinstance(faces, Material) else faces
        casts = all(material.emission == 0 for material in six)
        if self.mirrored:
            center = (-center[0], center[1], center[2])
            six = (six[1], six[0], *six[2:])
            yaw = -yaw
        self._solids.append((shape, center, half, yaw, six, anchored, casts))

    def slab(self, x: Range, y: Range, z: Range, faces: Material | tuple[Material, ...]) -> None:
        """An axis-aligned box of the building, textured by world position."""
        center, half = _center_half(x, y, z)
        self.solid(Shape.BOX, center, half, faces, anchored=True)

    def light(self, position: Vec3, color: Vec3, reach: float) -> None:
        """A point light; it fades to nothing at ``reach`` metres."""
        x = -position[0] if self.mirrored else position[0]
        self._lights.append(((x, position[1], position[2]), color, reach))

    def region(
        self, name: str, x: Range, y: Range, z: Range, ambient: Vec3, *, open_sky: bool = False
    ) -> None:
        """A box of free space that people can walk in."""
        if self.mirrored:
            x = (-x[1], -x[0])
        low, high = (x[0], y[0], z[0]), (x[1], y[1], z[1])
        self._regions.append((name, low, high, ambient, float(open_sky)))

    def build(self, seed: int, metre: float, sky: tuple[str, str, str], sun: Vec3) -> World:
        """The finished world with ``metre`` scene units a metre; ``sun`` points towards the sun."""
        numbers: dict[Material, int] = {}
        solids = np.zeros(len(self._solids), SOLID)
        for row, (shape, center, half, yaw, faces, anchored, casts) in zip(
            solids, self._solids, strict=True
        ):
            row["shape"], row["anchored"], row["casts"] = shape, anchored, casts
            row["center"], row["half"] = np.multiply(center, metre), np.multiply(half, metre)
            row["cosine"], row["sine"] = math.cos(yaw), math.sin(yaw)
            row["material"] = [numbers.setdefault(face, len(numbers)) for face in faces]
        regions = np.zeros(len(self._regions), REGION)
        for row, (_, low, high, ambient, open_sky) in zip(regions, self._regions, strict=True):
            row["low"], row["high"] = np.multiply(low, metre), np.multiply(high, metre)
            row["ambient"], row["open_sky"] = ambient, open_sky
        lamps = np.zeros(len(self._lights), LAMP)
        for row, (position, color, reach) in zip(lamps, self._lights, strict=True):
            row["position"], row["color"] = np.multiply(position, metre), color
            row["reach"] = reach * metre
        setting = np.zeros((), SETTING)
        setting["metre"], setting["sky_seed"], setting["sun_color"] = metre, seed % 9973, _SUN_COLOR
        towards = np.array((-sun[0] if self.mirrored else sun[0], sun[1], sun[2]))
        setting["sun"] = towards / np.linalg.norm(towards)
        for name, color in zip(("zenith", "horizon", "hills"), sky, strict=True):
            setting[name] = linear_rgb(color)
        setting["grid_low"] = regions["low"].min(axis=0) - OCCLUSION_REACH * metre
        setting["grid_cell"] = _CELL * metre
        low, high = solid_bounds(solids)
        return World(
            seed=seed,
            solids=solids,
            materials=_pack_materials(list(numbers)),
            regions=regions,
            region_names=tuple(region[0] for region in self._regions),
            lamps=lamps,
            setting=setting[()],
            tree=build_tree(low, high),
            distance=_bake_distance(solids, low, high, regions, setting[()]),
        )


def _center_half(x: Range, y: Range, z: Range) -> tuple[Vec3, Vec3]:
    center = ((x[0] + x[1]) / 2, (y[0] + y[1]) / 2, (z[0] + z[1]) / 2)
    return center, ((x[1] - x[0]) / 2, (y[1] - y[0]) / 2, (z[1] - z[0]) / 2)


def _pack_materials(materials: list[Material]) -> Records:
    packed = np.zeros(len(materials), MATERIAL)
    for row, material in zip(packed, materials, strict=True):
        row["pattern"], row["size"], row["seed"] = material.pattern, material.size, material.seed
        row["palette"] = [linear_rgb(color) for color in material.colors]
        row["emission"], row["turned"] = material.emission, material.turned
    return packed


def solid_bounds(solids: Records) -> tuple[F64, F64]:
    """Axis-aligned bounds low, high (P, 3) f64 of every solid; exact for boxes."""
    cosine, sine = np.abs(solids["cosine"]), np.abs(solids["sine"])
    center, half = solids["center"], solids["half"]
    reach = half.copy()
    reach[:, 0] = cosine * half[:, 0] + sine * half[:, 2]
    reach[:, 2] = sine * half[:, 0] + cosine * half[:, 2]
    return center - reach, center + reach


# --- distance to the nearest solid -----------------------------------------------------------

OCCLUSION_REACH = 0.6
"""Metres beyond which nothing darkens a corner."""
_CELL = 0.08


@compiled
def solid_distance(solid, x, y, z):
    """Distance from a point to a SOLID record, 0 inside: exact for boxes and cylinders, and a bound
    from below for ellipsoids."""
    px, py, pz = x - solid.center[0], y - solid.center[1], z - solid.center[2]
    lx, lz = solid.cosine * px - solid.sine * pz, solid.sine * px + solid.cosine * pz
    hx, hy, hz = solid.half[0], solid.half[1], solid.half[2]
    if solid.shape == Shape.BOX:
        dx, dy, dz = max(abs(lx) - hx, 0.0), max(abs(py) - hy, 0.0), max(abs(lz) - hz, 0.0)
        return math.sqrt(dx * dx + dy * dy + dz * dz)
    if solid.shape == Shape.CYLINDER:
        radial = max(math.sqrt(lx * lx + lz * lz) - hx, 0.0)
        return math.hypot(radial, max(abs(py) - hy, 0.0))
    ratio = math.sqrt((lx / hx) ** 2 + (py / hy) ** 2 + (lz / hz) ** 2)
    return max(ratio - 1.0, 0.0) * min(hx, hy, hz)


@compiled
def _lower_distance(solids, low, high, reach, setting, distance):
    """Lower the grid cells within ``reach`` of each solid to their distance from it."""
    origin, cell = setting.grid_low, setting.grid_cell
    first, last = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for i in range(len(solids)):
        for axis in range(3):
            start = (low[i, axis] - reach - origin[axis]) / cell
            stop = (high[i, axis] + reach - origin[axis]) / cell
            first[axis] = min(max(start, 0.0), distance.shape[axis])
            last[axis] = min(max(stop + 1.0, 0.0), distance.shape[axis])
        for a in range(first[0], last[0]):
            for b in range(first[1], last[1]):
                for c in range(first[2], last[2]):
                    x, y, z = origin[0] + a * cell, origin[1] + b * cell, origin[2] + c * cell
                    d = solid_distance(solids[i], x, y, z)
                    distance[a, b, c] = min(distance[a, b, c], d)


def _bake_distance(solids: Records, low: F64, high: F64, regions: Records, setting: np.void) -> F32:
    """The distance grid, over all regions with some margin."""
    reach = OCCLUSION_REACH * setting["metre"]
    extent = regions["high"].max(axis=0) + reach - setting["grid_low"]
    counts = np.ceil(extent / setting["grid_cell"]).astype(int) + 1
    distance = np.full(counts, reach, np.float32)
    _lower_distance(solids, low, high, reach, setting, distance)
    return distance
