"""``surfels.ply``: the surfels as a binary point cloud with normals, colours and radii."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vmem.formats.files import replacing
from vmem.memory import MemorySnapshot

VERTEX = np.dtype(
    [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    + [(name, "u1") for name in ("red", "green", "blue", "alpha")]
    + [("radius", "<f4")]
)
"""Fields of a surfel in the file: position, unit normal and radius in scene units, colour."""


def write_ply(memory: MemorySnapshot, path: Path) -> None:
    """Write all surfels of ``memory`` in its world."""
    from plyfile import PlyData, PlyElement

    surfels = memory.surfels
    rows = np.empty(len(surfels), VERTEX)
    for axis, name in enumerate("xyz"):
        rows[name] = surfels.position[:, axis]
        rows[f"n{name}"] = surfels.normal[:, axis]
    for channel, name in enumerate(("red", "green", "blue")):
        rows[name] = surfels.color[:, channel]
    rows["alpha"] = 255
    rows["radius"] = surfels.radius
    with replacing(path) as part:
        PlyData([PlyElement.describe(rows, "vertex")], byte_order="<").write(part)
