"""The procedural world as data: convex solids, materials, lights, and the structures to trace them.

A world is put together with ``SceneBuilder`` in metres and becomes immutable arrays in scene
units. Everything solid is a box turned about the vertical, an upright cylinder or an ellipsoid,
seen from outside only, so that any slow reference can check the fast ray caster.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vmem.generation.world_textures import Pattern, compiled
from vmem.generation.world_tree import Tree, build_tree

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
Vec3 = tuple[float, float, float]
Range = tuple[float, float]


class Shape(IntEnum):
    """What a solid is. All are convex; ``half`` is the half extent along its own axes."""

    BOX = 0
    CYLINDER = 1
    ELLIPSOID = 2


class Solids(NamedTuple):
    """P solids in scene units.

    shape (P,) i32 of Shape · center (P, 3) f64 · half (P, 3) f64 · turn (P, 2) f64 cosine and sine
    of the yaw: ``world = rotation_y(yaw) @ local + center`` · material (P, 6) i32 of the faces
    -x +x -y +y -z +z (cylinders: wall at -x, caps at -y +y; ellipsoids: -x) · anchored (P,) bool:
    textured by world position, so that pieces of one wall match · casts (P,) bool: casts shadows.
    """

    shape: I32
    center: F64
    half: F64
    turn: F64
    material: I32
    anchored: NDArray[np.bool_]
    casts: NDArray[np.bool_]


class Materials(NamedTuple):
    """M materials: pattern (M,) i32 of Pattern · palette (M, 3, 3) f64 linear RGB · size (M,) f64
    metres a period · seed (M,) i64 · emission (M,) f64 · turned (M,) bool: pattern at a right angle.
    """

    pattern: I32
    palette: F64
    size: F64
    seed: NDArray[np.int64]
    emission: F64
    turned: NDArray[np.bool_]


class Regions(NamedTuple):
    """R boxes of free space, doorways included: low, high (R, 3) f64 scene units · ambient (R, 3)
    f64 linear light that comes from everywhere · open_sky (R,) f64: 1 outdoors, 0 indoors."""

    low: F64
    high: F64
    ambient: F64
    open_sky: F64


class Lighting(NamedTuple):
    """Point lights position (L, 3), color (L, 3), reach (L,) in scene units · sun direction towards
    it (3,), sun_color (3,) · sky (3, 3) linear RGB of zenith, horizon, hills · sky_seed · metre:
    scene units a metre."""

    position: F64
    color: F64
    reach: F64
    sun: F64
    sun_color: F64
    sky: F64
    sky_seed: int
    metre: float


class DistanceField(NamedTuple):
    """distance (X, Y, Z) f32 to the nearest solid at ``low + index * cell``, capped at the reach of
    ambient occlusion; in scene units."""

    distance: F32
    low: F64
    cell: float


@dataclass(frozen=True, eq=False)
class World:
    """One procedural place around the origin; y down, the floor a plane, lengths in scene units."""

    seed: int
    solids: Solids
    materials: Materials
    regions: Regions
    region_names: tuple[str, ...]
    lighting: Lighting
    tree: Tree
    field: DistanceField


@dataclass(frozen=True)
class Material:
    """How a surface looks; colours are ``#rrggbb``, size is metres a period of the pattern."""

    pattern: Pattern
    colors: tuple[str, str, str]
    size: float = 1.0
    seed: int = 0
    emission: float = 0.0
    turned: bool = False


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
        shapes, centers, halves, yaws, faces, anchored, casts = zip(*self._solids, strict=True)
        numbers: dict[Material, int] = {}
        for six in faces:
            for material in six:
                numbers.setdefault(material, len(numbers))
        yaw = np.array(yaws)
        solids = Solids(
            shape=np.array(shapes, np.int32),
            center=np.array(centers) * metre,
            half=np.array(halves) * metre,
            turn=np.stack([np.cos(yaw), np.sin(yaw)], axis=1),
            material=np.array([[numbers[m] for m in six] for six in faces], np.int32),
            anchored=np.array(anchored),
            casts=np.array(casts),
        )
        names, lows, highs, ambients, open_sky = zip(*self._regions, strict=True)
        regions = Regions(
            np.array(lows) * metre, np.array(highs) * metre, np.array(ambients), np.array(open_sky)
        )
        positions, colors, reaches = zip(*self._lights, strict=True)
        to_sun = np.array((-sun[0] if self.mirrored else sun[0], sun[1], sun[2]))
        lighting = Lighting(
            position=np.array(positions) * metre,
            color=np.array(colors),
            reach=np.array(reaches) * metre,
            sun=to_sun / np.linalg.norm(to_sun),
            sun_color=np.array((2.6, 2.3, 1.85)),
            sky=np.array([linear_rgb(color) for color in sky]),
            sky_seed=seed % 9973,
            metre=metre,
        )
        low, high = solid_bounds(solids)
        return World(
            seed=seed,
            solids=solids,
            materials=_pack_materials(list(numbers)),
            regions=regions,
            region_names=names,
            lighting=lighting,
            tree=build_tree(low, high),
            field=_bake_distance(solids, low, high, regions, metre),
        )


def _center_half(x: Range, y: Range, z: Range) -> tuple[Vec3, Vec3]:
    center = ((x[0] + x[1]) / 2, (y[0] + y[1]) / 2, (z[0] + z[1]) / 2)
    return center, ((x[1] - x[0]) / 2, (y[1] - y[0]) / 2, (z[1] - z[0]) / 2)


def _pack_materials(materials: list[Material]) -> Materials:
    return Materials(
        pattern=np.array([m.pattern for m in materials], np.int32),
        palette=np.array([[linear_rgb(color) for color in m.colors] for m in materials]),
        size=np.array([m.size for m in materials]),
        seed=np.array([m.seed for m in materials], np.int64),
        emission=np.array([m.emission for m in materials], np.float64),
        turned=np.array([m.turned for m in materials]),
    )


def solid_bounds(solids: Solids) -> tuple[F64, F64]:
    """Axis-aligned bounds low, high (P, 3) f64 of every solid; exact for boxes."""
    cosine, sine = np.abs(solids.turn).T
    reach = solids.half.copy()
    reach[:, 0] = cosine * solids.half[:, 0] + sine * solids.half[:, 2]
    reach[:, 2] = sine * solids.half[:, 0] + cosine * solids.half[:, 2]
    return solids.center - reach, solids.center + reach


# --- distance to the nearest solid -----------------------------------------------------------

OCCLUSION_REACH = 0.6
"""Metres beyond which nothing darkens a corner."""
_CELL = 0.08


@compiled
def solid_distance(solids, i, x, y, z):
    """Distance from a point to solid ``i``, 0 inside: exact for boxes and cylinders, and a bound
    from below for ellipsoids."""
    cosine, sine = solids.turn[i, 0], solids.turn[i, 1]
    px, py, pz = x - solids.center[i, 0], y - solids.center[i, 1], z - solids.center[i, 2]
    lx, lz = cosine * px - sine * pz, sine * px + cosine * pz
    hx, hy, hz = solids.half[i, 0], solids.half[i, 1], solids.half[i, 2]
    if solids.shape[i] == Shape.BOX:
        dx, dy, dz = max(abs(lx) - hx, 0.0), max(abs(py) - hy, 0.0), max(abs(lz) - hz, 0.0)
        return math.sqrt(dx * dx + dy * dy + dz * dz)
    if solids.shape[i] == Shape.CYLINDER:
        radial = max(math.sqrt(lx * lx + lz * lz) - hx, 0.0)
        return math.hypot(radial, max(abs(py) - hy, 0.0))
    ratio = math.sqrt((lx / hx) ** 2 + (py / hy) ** 2 + (lz / hz) ** 2)
    return max(ratio - 1.0, 0.0) * min(hx, hy, hz)


@compiled
def _lower_distance(solids, i, low, cell, first, last, distance):
    for a in range(first[0], last[0]):
        for b in range(first[1], last[1]):
            for c in range(first[2], last[2]):
                d = solid_distance(
                    solids, i, low[0] + a * cell, low[1] + b * cell, low[2] + c * cell
                )
                distance[a, b, c] = min(distance[a, b, c], d)


def _bake_distance(
    solids: Solids, low: F64, high: F64, regions: Regions, metre: float
) -> DistanceField:
    """A grid over all regions with some margin; each solid lowers the cells within its reach."""
    reach, cell = OCCLUSION_REACH * metre, _CELL * metre
    grid_low = regions.low.min(axis=0) - reach
    counts = np.ceil((regions.high.max(axis=0) + reach - grid_low) / cell).astype(int) + 1
    distance = np.full(counts, reach, np.float32)
    first = np.clip(np.floor((low - reach - grid_low) / cell), 0, counts).astype(np.int64)
    last = np.clip(np.ceil((high + reach - grid_low) / cell) + 1, 0, counts).astype(np.int64)
    for i in range(len(low)):
        _lower_distance(solids, i, grid_low, cell, first[i], last[i], distance)
    return DistanceField(distance, grid_low, cell)
