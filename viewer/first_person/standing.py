"""Where a walker stands who has pointed at a place of the map."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from vmem.arrays import F64
from vmem.memory import MemorySnapshot

CLEARANCE = 0.1
"""Scene units that a place must be away from every surfel to be free."""
FREE = 0.95
"""Share of the depth that a view saw in a place's direction, up to which a place is free."""


def stand_near(memory: MemorySnapshot, c2w: F64, place: Float64[np.ndarray, " 2"]) -> F64:
    """(4, 4) c2w: at ``place``, x and z in the world, with the height and look of the pose ``c2w``
    if some view has seen that this place is free; else the pose of the nearest view.

    ValueError for a memory without views.
    """
    if not memory.views:
        raise ValueError("a memory without views has no place to stand at: open a walk first")
    there = c2w.copy()
    there[:3, 3] = place[0], c2w[1, 3], place[1]
    if is_free(memory, there[:3, 3]):
        return there
    away = np.linalg.norm(memory.poses[:, [0, 2], 3] - place, axis=1)
    return memory.poses[int(np.argmin(away))].copy()


def is_free(memory: MemorySnapshot, place: Float64[np.ndarray, " 3"]) -> bool:
    """Whether a view saw through a place in the world, and no surfel is within CLEARANCE of it."""
    offset = memory.surfels.position - place.astype(np.float32)
    if len(offset) and float((offset * offset).sum(axis=1).min()) < CLEARANCE**2:
        return False
    seen = np.einsum("vji,vj->vi", memory.poses[:, :3, :3], place - memory.poses[:, :3, 3])
    pixel = np.einsum("vij,vj->vi", memory.K_normalized, seen)
    ahead = seen[:, 2] > 1e-6
    at = pixel[:, :2] / np.where(ahead, seen[:, 2], 1.0)[:, None]
    inside = ahead & (at >= 0).all(axis=1) & (at < 1).all(axis=1)
    for view in np.flatnonzero(inside):
        depth = memory.views[view].depth
        column, row = (at[view] * depth.shape[::-1]).astype(int)
        if seen[view, 2] < FREE * depth[row, column]:
            return True
    return False
