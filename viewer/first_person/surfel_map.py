"""Which surfel a view shows at each place of its picture, as the page's heat gets it.

A file of 4 + N bytes: width and height as u16, then, deflated, the differences of surfel + 1 (0:
none) from one place to the next, row by row, modulo 2^32, u32. The reader is
shaders/first_person/heat.js. All numbers are little-endian.
"""

from __future__ import annotations

import zlib

import numpy as np
from jaxtyping import Int32

from vmem.arrays import I32
from vmem.memory import MemorySnapshot, render
from vmem.types import View

SIDE = 72
"""Places along the longer side of a picture."""
AROUND = 5
"""Of a gap's 8 neighbours: fewer are the rim of what is seen."""


def surfel_map(memory: MemorySnapshot, view: View) -> I32:
    """(h, w) i32 the nearest surfel at each place of a view's picture, -1 where there is none.

    A gap between disks shows a surfel beside it: see `filled`.
    """
    h, w = view.camera.hw
    scale = SIDE / max(h, w)
    hw = max(1, round(h * scale)), max(1, round(w * scale))
    return filled(render(memory, view.camera, hw).index)


def filled(index: Int32[np.ndarray, "h w"]) -> I32:
    """(h, w) i32 the map, where places without a surfel that have AROUND neighbours with one show
    the last of these."""
    h, w = index.shape
    padded = np.pad(index, 1, constant_values=-1)
    beside = [
        padded[1 + i : 1 + i + h, 1 + j : 1 + j + w]
        for i in (-1, 0, 1)
        for j in (-1, 0, 1)
        if (i, j) != (0, 0)
    ]
    gap = (index < 0) & (sum((one >= 0).astype(np.int8) for one in beside) >= AROUND)
    return np.where(gap, np.maximum.reduce(beside), index)


def surfel_map_file(memory: MemorySnapshot, view: View) -> bytes:
    """The file of a view's `surfel_map`: 4 to 8 kB."""
    found = surfel_map(memory, view)
    steps = np.diff((found.ravel() + 1).astype(np.uint32), prepend=np.uint32(0))
    size = np.array(found.shape[::-1], "<u2").tobytes()
    return size + zlib.compress(steps.astype("<u4").tobytes())
