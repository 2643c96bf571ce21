"""``surfels.ply``: the surfels as a binary point cloud with normals, colours and radii."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np

from vmem.memory import MemorySnapshot

PLY_NAME = "surfels.ply"
"""File name in a walk's folder."""
VERTEX = np.dtype(
    [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    + [(name, "u1") for name in ("red", "green", "blue", "alpha")]
    + [("radius", "<f4")]
)
"""Fields of a surfel in the file: position, unit normal and radius in scene units, colour."""


def ply_content(memory: MemorySnapshot) -> list[bytes]:
    """All surfels of ``memory`` in its world, as the content of a PLY file in one piece."""
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
    content = io.BytesIO()
    PlyData([PlyElement.describe(rows, "vertex")], byte_order="<").write(content)
    return [content.getvalue()]


def is_of_a_walk(path: Path) -> bool:
    """Whether the file at ``path`` is a point cloud that a walk wrote: one element of exactly the
    fields of VERTEX, and nothing behind its rows."""
    if not path.is_file():  # to open a pipe is to wait for its writer
        return False
    try:
        with path.open("rb") as file:
            head, ended, _ = file.read(1024).partition(b"end_header\n")
            size = path.stat().st_size
    except OSError:
        return False
    lines = head.decode("ascii", "replace").splitlines()
    count = re.fullmatch(r"element vertex (\d+)", lines[2]) if len(lines) > 2 else None
    fields = [line.split()[-1] for line in lines[3:] if line.startswith("property ")]
    if not ended or lines[:2] != ["ply", "format binary_little_endian 1.0"] or count is None:
        return False
    rows = size - len(head) - len(ended)
    return fields == list(VERTEX.names or ()) and rows == int(count[1]) * VERTEX.itemsize
