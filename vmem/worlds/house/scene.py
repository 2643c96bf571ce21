"""A procedural world is put together in metres and becomes immutable arrays in scene units."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from vmem.arrays import F32
from vmem.worlds.house.distance import CELL, OCCLUSION_REACH, bake_distance
from vmem.worlds.house.records import (
    LAMP,
    MATERIAL,
    REGION,
    SETTING,
    SOLID,
    Range,
    Records,
    Shape,
    Vec3,
    solid_bounds,
)
from vmem.worlds.house.textures import Pattern
from vmem.worlds.house.tree import build_tree


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
        setting: np.void = np.zeros(1, SETTING)[0]
        setting["metre"], setting["sky_seed"] = metre, seed % 9973
        setting["sun_color"] = _SUN_COLOR
        towards = np.array((-sun[0] if self.mirrored else sun[0], sun[1], sun[2]))
        setting["sun"] = towards / np.linalg.norm(towards)
        for name, color in zip(("zenith", "horizon", "hills"), sky, strict=True):
            setting[name] = linear_rgb(color)
        setting["grid_low"] = regions["low"].min(axis=0) - OCCLUSION_REACH * metre
        setting["grid_cell"] = CELL * metre
        low, high = solid_bounds(solids)
        return World(
            seed=seed,
            solids=solids,
            materials=_pack_materials(list(numbers)),
            regions=regions,
            region_names=tuple(region[0] for region in self._regions),
            lamps=lamps,
            setting=setting,
            tree=build_tree(low, high),
            distance=bake_distance(solids, low, high, regions, setting),
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
