"""Poses: inverse, distance, rotations, interpolation, and the flip between conventions."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64

_FLIP_YZ = np.diag([1.0, -1.0, -1.0, 1.0])


def invert_pose(c2w: Float64[np.ndarray, "*batch 4 4"]) -> Float64[np.ndarray, "*batch 4 4"]:
    """Rigid inverse of poses."""
    R_T = np.swapaxes(c2w[..., :3, :3], -1, -2)
    out = np.zeros_like(c2w)
    out[..., :3, :3] = R_T
    out[..., :3, 3] = -(R_T @ c2w[..., :3, 3:])[..., 0]
    out[..., 3, 3] = 1
    return out


def to_opengl(c2w: Float64[np.ndarray, "*batch 4 4"]) -> Float64[np.ndarray, "*batch 4 4"]:
    """OpenGL c2w (camera y up, looking along -z) in the same world, and back again."""
    return c2w @ _FLIP_YZ


def rotation_y(angle: float) -> Float64[np.ndarray, "3 3"]:
    """Rotation about the world's vertical; positive turns the view to the right."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def rotation_x(angle: float) -> Float64[np.ndarray, "3 3"]:
    """Rotation about the camera's x axis; positive pitches the view up."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def interpolate_poses(
    start: Float64[np.ndarray, "4 4"], end: Float64[np.ndarray, "4 4"], n: int
) -> Float64[np.ndarray, "n 4 4"]:
    """Poses at (i + 1)/n from ``start`` to ``end``: lerp and slerp; the last is ``end``.

    Source: reference navigator (specification, section 6).
    """
    from scipy.spatial.transform import Rotation, Slerp  # a third of what the viewer would import

    u = (np.arange(n) + 1) / n
    out = np.tile(np.eye(4), (n, 1, 1))
    out[:, :3, 3] = (1 - u)[:, None] * start[:3, 3] + u[:, None] * end[:3, 3]
    ends = Rotation.from_matrix(np.stack([start[:3, :3], end[:3, :3]]))
    out[:, :3, :3] = Slerp([0, 1], ends)(u).as_matrix()
    return out


def rotation_angle(
    a: Float64[np.ndarray, "*#batch 3 3"], b: Float64[np.ndarray, "*#batch 3 3"]
) -> Float64[np.ndarray, "*batch"]:
    """Angle in radians between rotations, broadcast."""
    trace = np.einsum("...ij,...ij->...", a, b)
    return np.asarray(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def pose_distance(
    a: Float64[np.ndarray, "*#batch 4 4"],
    b: Float64[np.ndarray, "*#batch 4 4"],
    translation_weight: float = 0.1,
) -> Float64[np.ndarray, "*batch"]:
    """``translation_weight * |t_a - t_b| + angle(R_a, R_b)`` for poses, broadcast.

    Source: reference, ranking of context views (specification, section 5.7, item 5).
    """
    distance = np.linalg.norm(a[..., :3, 3] - b[..., :3, 3], axis=-1)
    angle = rotation_angle(a[..., :3, :3], b[..., :3, :3])
    return np.asarray(translation_weight * distance + angle)
