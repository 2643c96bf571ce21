"""Whether a new view is worth making for where the walker is, or will be."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64

from vmem.arrays import F64
from vmem.cameras import (
    Camera,
    Cameras,
    path_targets,
    pixel_rays,
    rotation_angle,
    rotation_y,
)
from vmem.memory import MemorySnapshot, render
from vmem.types import AssociationConfig

MOVED = 0.065
"""Scene units from the nearest view of about the same look, from which another is made."""
TURNED = np.radians(10)
"""Angle from the nearest view of about the same place, from which another is made."""
BETWEEN = 0.3
"""Scene units to views between which no other is needed,"""
OPPOSITE = -0.8
"""and cosine of the angle between the directions to them."""
LITTLE = 0.4
"""Share of MOVED and TURNED within which a view shows all that another would: who stands still
after it was made has none made, whatever is uncovered."""
UNCOVERED = 0.2
"""Share of a picture without memory's surfaces from which a view is made earlier."""
LOOK_SIDE = 48
"""Side in pixels of the drawing in which that is looked for."""
SKIES = 6
"""Stored views, the nearest, that are asked whether it is only the sky."""
_UNSURE = AssociationConfig().min_confidence
"""Confidence below which pixels of a view have no surface."""


def adds_something(memory: MemorySnapshot, camera: Camera) -> bool:
    """Whether no stored view is as near to a camera as MOVED and TURNED, both at once; or, unless
    one is LITTLE away, whether much of what the camera shows is not covered.

    So who stands still, or goes back the way he came, makes none.
    """
    distances = _distances(memory, camera)
    nearest = float(distances.min())
    if nearest > 1 and not _is_between(memory, camera):
        return True
    return nearest > LITTLE and uncovered(memory, camera) > UNCOVERED


def uncovered(memory: MemorySnapshot, camera: Camera) -> float:
    """Share of a camera's picture where memory has no surface and no near view saw the sky."""
    small = camera.resized((LOOK_SIDE, LOOK_SIDE))
    missing = render(memory, small).index < 0
    directions = pixel_rays(small)[missing] @ small.c2w[:3, :3].T
    sky = np.zeros(len(directions), bool)
    for number in np.argsort(_distances(memory, camera), kind="stable")[:SKIES]:
        sky |= _sees_sky(memory, int(number), directions)
    return float((~sky).sum() / missing.size)


def nearest_view(memory: MemorySnapshot, camera: Camera) -> int:
    """The stored view that is nearest to a camera, in place and look."""
    return int(_distances(memory, camera).argmin())


def step_targets(memory: MemorySnapshot, camera: Camera, n: int) -> Cameras:
    """The n cameras of a step that ends at ``camera``, on the way from the nearest stored view."""
    begin = memory.views[nearest_view(memory, camera)].camera
    return Cameras.of(camera) if n == 1 else path_targets(begin, camera.c2w, n)


def ahead(
    c2w: Float64[np.ndarray, "4 4"],
    velocity: Float64[np.ndarray, " 3"],
    turn_rate: float,
    seconds: float,
) -> Float64[np.ndarray, "4 4"]:
    """Where who is at ``c2w`` will be.

    velocity: scene units a second along the world's axes · turn_rate: radians a second to the right
    about the world's vertical.
    """
    there = c2w.copy()
    there[:3, 3] += velocity * seconds
    there[:3, :3] = rotation_y(turn_rate * seconds) @ c2w[:3, :3]
    return there


def _distances(memory: MemorySnapshot, camera: Camera) -> F64:
    """(V,) from each stored view, in MOVED and TURNED."""
    poses = memory.poses
    moved = np.linalg.norm(poses[:, :3, 3] - camera.c2w[:3, 3], axis=1) / MOVED
    turned = rotation_angle(poses[:, :3, :3], camera.c2w[:3, :3]) / TURNED
    return np.hypot(moved, turned)


def _is_between(memory: MemorySnapshot, camera: Camera) -> bool:
    """Whether a camera is on the way from one stored view to another that look about as it does:
    where views come slowly, they lie far apart along the way, and the way back needs none."""
    poses = memory.poses
    turned = rotation_angle(poses[:, :3, :3], camera.c2w[:3, :3])
    offsets = poses[turned < TURNED, :3, 3] - camera.position
    lengths = np.linalg.norm(offsets, axis=1)
    offsets, lengths = offsets[lengths < BETWEEN], lengths[lengths < BETWEEN]
    directions = offsets / np.maximum(lengths, 1e-9)[:, None]
    return bool((directions @ directions.T < OPPOSITE).any())


def _sees_sky(
    memory: MemorySnapshot, number: int, directions: Float64[np.ndarray, "N 3"]
) -> Bool[np.ndarray, " N"]:
    """Which directions of the world, far away, a stored view shows without a surface."""
    view = memory.views[number]
    (h, w), K = view.camera.hw, view.camera.K
    x, y, z = (directions @ view.camera.c2w[:3, :3]).T
    ahead_of_it = z > 1e-6
    z = np.where(ahead_of_it, z, 1)
    column, row = (np.floor(K[i, i] * along / z + K[i, 2]) for i, along in ((0, x), (1, y)))
    inside = ahead_of_it & (row >= 0) & (row < h) & (column >= 0) & (column < w)
    sky = np.zeros(len(directions), bool)
    at = row[inside].astype(int), column[inside].astype(int)
    sky[inside] = view.confidence[at] < _UNSURE
    return sky
