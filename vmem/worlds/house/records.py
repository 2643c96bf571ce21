"""The procedural world as records: solids, materials, regions of free space, lamps, the setting.

Lengths are scene units. Everything solid is a box turned about the vertical, an upright cylinder
or an ellipsoid, seen from outside only, so that any slow reference can check the ray caster.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from vmem.arrays import F64

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


def solid_bounds(solids: Records) -> tuple[F64, F64]:
    """Axis-aligned bounds low, high (P, 3) f64 of every solid; exact for boxes."""
    cosine, sine = np.abs(solids["cosine"]), np.abs(solids["sine"])
    center, half = solids["center"], solids["half"]
    reach = half.copy()
    reach[:, 0] = cosine * half[:, 0] + sine * half[:, 2]
    reach[:, 2] = sine * half[:, 0] + cosine * half[:, 2]
    return center - reach, center + reach
