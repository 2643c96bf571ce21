"""Which surfels can be seen, one by one: a drawing shows only the foremost at each pixel."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int32
from numba import njit

from vmem.cameras import Camera
from vmem.kernels.parallel import read_only, run_sliced, thread_count
from vmem.raster.blocks import BLOCK
from vmem.types import SurfelBuffers, Surfels

DEPTH_TOLERANCE = 0.03
"""Relative depth by which a surfel may lie behind what is drawn and still be part of it."""
NEAREST = 1e-3
"""Depth from which on a surfel can be seen."""
SURFELS_A_THREAD = 50_000
"""Below this a second thread costs more than it saves."""


def visible_votes(
    surfels: Surfels,
    buffers: SurfelBuffers,
    camera: Camera,
    by_slant: bool = True,
    by_depth: bool = True,
    blocks: Int32[np.ndarray, " M"] | None = None,
    out: Float32[np.ndarray, " S"] | None = None,
) -> Float32[np.ndarray, " S"]:
    """Vote cos / (1 + depth) of every surfel that ``camera`` sees, 0 for the others.

    Without ``by_slant`` or ``by_depth`` that part of a vote is 1. ``blocks`` (see
    vmem/raster/blocks.py) are the only ones to look at, by default all; with ``near=NEAREST``,
    visible_blocks leaves out none that this would find. ``out`` is raised to the votes and
    returned.

    ``buffers`` is what the camera (at their size) draws of these surfels. A surfel counts as seen
    if its centre is in the frame, it faces the camera, and nothing is drawn clearly before it: so
    disks that their neighbours in the same plane cover count too.
    """
    h, w = buffers.index.shape
    K = camera.resized((h, w)).K
    votes = np.zeros(len(surfels), np.float32) if out is None else out
    given = read_only(
        surfels.position,
        surfels.normal,
        buffers.depth,
        camera.w2c.astype(np.float32),
        camera.position.astype(np.float32),
        K.astype(np.float64),
    )

    if blocks is None:
        blocks = np.arange(-(-len(surfels) // BLOCK), dtype=np.int32)
    (where,) = read_only(blocks)

    def look(part: int, start: int, stop: int) -> None:
        _look(votes, where[start:stop], BLOCK, by_slant, by_depth, *given)

    run_sliced(look, len(where), min(thread_count(), len(where) * BLOCK // SURFELS_A_THREAD))
    return votes


@njit(cache=True, nogil=True)
def _look(votes, blocks, size, by_slant, by_depth, position, normal, drawn, w2c, eye, K):
    h, w = drawn.shape
    reach = np.float32(1 + DEPTH_TOLERANCE)
    n = position.shape[0]
    for block in blocks:
        for s in range(block * size, min(n, (block + 1) * size)):
            X, Y, Z = position[s, 0], position[s, 1], position[s, 2]
            depth = w2c[2, 0] * X + w2c[2, 1] * Y + w2c[2, 2] * Z + w2c[2, 3]
            to_x, to_y, to_z = eye[0] - X, eye[1] - Y, eye[2] - Z
            facing = normal[s, 0] * to_x + normal[s, 1] * to_y + normal[s, 2] * to_z
            if not (depth > NEAREST and facing > 0):
                continue
            x = w2c[0, 0] * X + w2c[0, 1] * Y + w2c[0, 2] * Z + w2c[0, 3]
            y = w2c[1, 0] * X + w2c[1, 1] * Y + w2c[1, 2] * Z + w2c[1, 3]
            column = np.floor(K[0, 0] * x / depth + K[0, 2])
            row = np.floor(K[1, 1] * y / depth + K[1, 2])
            if not (0 <= column < w and 0 <= row < h):
                continue
            if depth <= drawn[int(row), int(column)] * reach:
                length = np.sqrt(to_x * to_x + to_y * to_y + to_z * to_z)
                vote = facing / max(length, np.float32(1e-12)) if by_slant else np.float32(1)
                votes[s] = max(votes[s], vote / (1 + depth) if by_depth else vote)
