"""Everything that a memory knows about one surfel: place, origin, and the views that saw it."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from vmem.arrays import F64
from vmem.cameras import invert_pose
from vmem.errors import VMemError
from vmem.memory import MemorySnapshot


class NoSurfelError(VMemError, ValueError):
    """There is no surfel of that number in this memory."""


@dataclass(frozen=True)
class Sighting:
    """How one view saw a surfel."""

    view: int
    """Number of the view."""
    pixel: tuple[float, float]
    """(x, y) of the surfel's centre in the view's frame, with pixel centres at +0.5; NaN if the
    centre is not in front of the camera."""
    depth: float
    """Depth of the centre along the view's axis, in scene units."""
    cosine: float
    """Cosine between the normal and the direction to the camera: 1 seen face on, 0 edge on,
    negative from behind."""
    inside: bool
    """Whether the centre lies within the frame; that of a disk at the border may not."""


@dataclass(frozen=True)
class SurfelAccount:
    """One surfel and how it was seen."""

    surfel: int
    """Its number in the memory."""
    position: tuple[float, float, float]
    """Centre in the world, in scene units."""
    normal: tuple[float, float, float]
    """Unit normal in the world."""
    radius: float
    """Radius in scene units."""
    color: tuple[int, int, int]
    """(red, green, blue), 0 to 255 each."""
    step: int
    """The step that made it."""
    age: int
    """Steps made since."""
    sightings: tuple[Sighting, ...]
    """One for each view that saw it, the oldest first."""


def account(memory: MemorySnapshot, surfel: int) -> SurfelAccount:
    """Everything that ``memory`` knows about a surfel, one of ``range(len(memory.surfels))``.

    Reads no links but the surfel's own. Raises NoSurfelError if there is no such surfel.
    """
    n = len(memory.surfels)
    if not 0 <= surfel < n:
        raise NoSurfelError(f"there is no surfel {surfel}: this memory holds {n}, counted from 0")
    position, normal = memory.surfels.position[surfel], memory.surfels.normal[surfel]
    # The numbers of surfels at the steps' ends ascend; the first above ``surfel`` is its step's.
    step = bisect_right(memory.steps, surfel, key=lambda end: end.n_surfels)
    x, y, z = position.tolist()
    nx, ny, nz = normal.tolist()
    red, green, blue = memory.surfels.color[surfel].tolist()
    return SurfelAccount(
        surfel=int(surfel),
        position=(x, y, z),
        normal=(nx, ny, nz),
        radius=float(memory.surfels.radius[surfel]),
        color=(red, green, blue),
        step=step,
        age=len(memory.steps) - 1 - step,
        sightings=_sightings(memory, surfel),
    )


def _sightings(memory: MemorySnapshot, surfel: int) -> tuple[Sighting, ...]:
    seen_by = memory.seen_by
    views = np.unique(seen_by.views[seen_by.start[surfel] : seen_by.stop[surfel]])
    position = memory.surfels.position[surfel].astype(np.float64)
    normal = memory.surfels.normal[surfel].astype(np.float64)
    poses = memory.poses[views]
    local = (invert_pose(poses) @ np.append(position, 1.0))[:, :3]
    to_camera = poses[:, :3, 3] - position
    cosine = to_camera @ normal / np.maximum(np.linalg.norm(to_camera, axis=1), 1e-12)
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
