"""Pose arithmetic of the published retrieval, with its precisions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from vmem.views import F32


def flip(c2w: NDArray[np.floating]) -> NDArray[np.floating]:
    """OpenGL poses (..., 4, 4) with OpenCV axes, and back: columns 1 and 2 change sign."""
    return c2w * np.array([1, -1, -1, 1], c2w.dtype)


def average_pose(c2w: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean (4, 4) f64 of poses (N, 4, 4): translations, and quaternions turned to the first one's
    side."""
    quaternions = Rotation.from_matrix(c2w[:, :3, :3]).as_quat()
    side = np.where(quaternions @ quaternions[0] < 0, -1.0, 1.0)
    mean = np.mean(quaternions * side[:, None], axis=0)
    out = np.eye(4)
    out[:3, :3] = Rotation.from_quat(mean / np.linalg.norm(mean)).as_matrix()
    out[:3, 3] = np.mean(c2w[:, :3, 3], axis=0)
    return out


def geodesic_distance(a: ArrayLike, b: ArrayLike, translation_weight: float = 0.1) -> F32:
    """Weighted distance of positions plus angle between rotations, of poses (..., 4, 4); (...) f32.

    In f32 a pose may be up to about 1e-3 away from itself.
    """
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    trace = np.sum(a[..., :3, :3] * b[..., :3, :3], axis=(-2, -1))
    angle = np.arccos((np.clip(trace, -1, 3) - 1) / 2)
    offset = np.linalg.norm(a[..., :3, 3] - b[..., :3, 3], axis=-1)
    return np.float32(translation_weight) * offset + angle
