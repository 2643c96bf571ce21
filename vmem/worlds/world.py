"""A world as flat arrays, as the ray caster reads them. Lengths are scene units, y points down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Shaped, UInt8
from numpy.typing import NDArray

from vmem.worlds.materials import Pattern

Records = NDArray[Any]
"""Records of one of the structured types below."""

SKY_DEPTH = 100.0
"""z-depth in scene units given to pixels that see the sky; everything solid is nearer."""

BOX = np.dtype(
    [("low", "f8", 3), ("high", "f8", 3), ("material", "i4", 6), ("seed", "i8", 6), ("casts", "?")],
    align=True,
)
"""Opposite corners; material and seed of the noise of each face, in the order -x +x -y +y -z +z;
whether it casts a shadow. A box is seen from outside only."""

NODE = np.dtype([("low", "f8", 3), ("high", "f8", 3), ("skip", "i4"), ("box", "i4")], align=True)
"""A node of the bounding volume tree in depth-first order: its bounds, the node to go on with when
a ray misses it, and the box of a leaf. -1 marks an inner node, whose children follow it."""

MATERIAL = np.dtype(
    [("palette", "f8", (3, 3)), ("size", "f8"), ("emission", "f8"), ("turned", "?")]
    + [(name, "f8", np.shape(value)) for name, value in vars(Pattern()).items()],
    align=True,
)
"""Three colours in linear RGB, then the fields of materials.Material and materials.Pattern."""

REGION = np.dtype(
    [("low", "f8", 3), ("high", "f8", 3), ("ambient", "f8", 3), ("open_sky", "f8")], align=True
)
"""A box of free space, doorways included: corners, ambient light in linear RGB, and 1 outdoors or 0
indoors, where the ceiling shines."""

SETTING = np.dtype(
    [("metre", "f8"), ("grid_cell", "f8"), ("seed", "i8")]
    + [(name, "f8", 3) for name in ("sun", "zenith", "horizon", "grid_low")],
    align=True,
)
"""Scene units a metre, spacing of the distance grid, seed of the clouds, unit direction towards the
sun, colours of the sky in linear RGB, first point of the distance grid."""


@dataclass(frozen=True, eq=False)
class World:
    """One procedural place around the origin, where the camera starts."""

    plan: str
    """Name of the plan it was built from."""
    seed: int
    """Seed of its measures, colours and furniture."""
    boxes: Shaped[np.ndarray, " B"]
    """BOX: everything solid."""
    tree: Shaped[np.ndarray, " 2*B-1"]
    """NODE over the boxes."""
    materials: Shaped[np.ndarray, " M"]
    """MATERIAL."""
    regions: Shaped[np.ndarray, " R"]
    """REGION: where a camera may be."""
    region_names: tuple[str, ...]
    """Names of the regions; every door is a region "doorway"."""
    loop: Float64[np.ndarray, "N 3"]
    """Corners of a closed walk at eye height through free space, from the origin."""
    setting: np.void
    """One SETTING."""
    distance: Float32[np.ndarray, "X Y Z"]
    """Distance to the nearest box on a grid, up to a limit, to darken corners."""


@dataclass(frozen=True, eq=False)
class WorldRender:
    """What a camera sees of a world."""

    rgb: UInt8[np.ndarray, "H W 3"]
    """sRGB."""
    depth: Float32[np.ndarray, "H W"]
    """z-depth in scene units, SKY_DEPTH in the sky."""
    normal: Float32[np.ndarray, "H W 3"]
    """Unit normals in the world frame, facing the camera; in the sky towards it."""
    hit: Bool[np.ndarray, "H W"]
    """False in the sky."""
