"""What is known about one surfel: where it lies, who made it, and where each view saw it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vmem.arrays import F64
from vmem.cameras import invert_pose
from vmem.errors import VMemError
from vmem.memory import MemorySnapshot


class NoSurfelError(VMemError, ValueError):
    """A surfel that this memory does not hold."""


@dataclass(frozen=True)
class Sighting:
    """How one view saw a surfel.

    view · pixel (x, y) of the surfel's centre in the view's frame, pixel centres at halves, NaN if
    it is not in front of the camera · depth of the centre in scene units, along the view's axis ·
    cosine between the normal and the way back to the view: 1 face on, 0 edge on, below 0 from
    behind · inside: whether the centre lies within the frame, as a disk at its border may not.
    """

    view: int
    pixel: tuple[float, float]
    depth: float
    cosine: float
    inside: bool


@dataclass(frozen=True)
class SurfelAccount:
    """One surfel: position in the world, unit normal, radius in scene units, color (r, g, b) of
    0 to 255 · step that made it, age in steps since · sightings, oldest view first."""

    surfel: int
    position: tuple[float, float, float]
    normal: tuple[float, float, float]
    radius: float
    color: tuple[int, int, int]
    step: int
    age: int
    sightings: tuple[Sighting, ...]


def account(memory: MemorySnapshot, surfel: int) -> SurfelAccount:
    """Everything that ``memory`` knows about a surfel, one of ``range(len(memory.surfels))``.

    Only its own links are touched. Raises NoSurfelError, a ValueError, if there is no such surfel.
    """
    n = len(memory.surfels)
    if not 0 <= surfel < n:
        raise NoSurfelError(f"there is no surfel {surfel}: this memory holds {n}, counted from 0")
    position, normal = memory.surfels.position[surfel], memory.surfels.normal[surfel]
    # The steps' ends ascend, and the first one beyond the surfel is that of its own step.
    low, high = 0, len(memory.steps) - 1
    while low < high:
        middle = (low + high) // 2
        if memory.steps[middle].n_surfels > surfel:
            high = middle
        else:
            low = middle + 1
    x, y, z = position.tolist()
    nx, ny, nz = normal.tolist()
    red, green, blue = memory.surfels.color[surfel].tolist()
    return SurfelAccount(
        surfel=int(surfel),
        position=(x, y, z),
        normal=(nx, ny, nz),
        radius=float(memory.surfels.radius[surfel]),
        color=(red, green, blue),
        step=low,
        age=len(memory.steps) - 1 - low,
        sightings=_sightings(memory, surfel),
    )


def _sightings(memory: MemorySnapshot, surfel: int) -> tuple[Sighting, ...]:
    seen_by = memory.seen_by
    views = np.unique(seen_by.views[seen_by.start[surfel] : seen_by.start[surfel + 1]])
    position = memory.surfels.position[surfel].astype(np.float64)
    normal = memory.surfels.normal[surfel].astype(np.float64)
    poses = memory.poses[views]
    local = (invert_pose(poses) @ np.append(position, 1.0))[:, :3]
    to_eye = poses[:, :3, 3] - position
    cosine = to_eye @ normal / np.maximum(np.linalg.norm(to_eye, axis=1), 1e-12)
    return tuple(
        _sighting(memory, view, local[i], float(cosine[i])) for i, view in enumerate(views.tolist())
    )


def _sighting(memory: MemorySnapshot, view: int, local: F64, cosine: float) -> Sighting:
    camera = memory.views[view].camera
    x, y, depth = local.tolist()
    if depth <= 0:
        return Sighting(view, (math.nan, math.nan), depth, cosine, False)
    K, (h, w) = camera.K, camera.hw
    pixel = float(K[0, 0] * x / depth + K[0, 2]), float(K[1, 1] * y / depth + K[1, 2])
    return Sighting(view, pixel, depth, cosine, 0 <= pixel[0] < w and 0 <= pixel[1] < h)
