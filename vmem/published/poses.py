"""Pose arithmetic of the published retrieval, with its precisions."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Float64
from numpy.typing import ArrayLike

from vmem.published.arithmetic import fused, fused_length


def flip(c2w: Float[np.ndarray, "*batch 4 4"]) -> Float[np.ndarray, "*batch 4 4"]:
    """OpenGL poses with OpenCV axes, and back: columns 1 and 2 change sign."""
    return c2w * np.array([1, -1, -1, 1], c2w.dtype)


def average_pose(c2w: Float[np.ndarray, "V 4 4"]) -> Float64[np.ndarray, "4 4"]:
    """Mean of poses: translations, and quaternions turned to the first one's
    side."""
    from scipy.spatial.transform import Rotation  # as in vmem/cameras/poses.py

    quaternions = Rotation.from_matrix(c2w[:, :3, :3]).as_quat()
    side = np.where(quaternions @ quaternions[0] < 0, -1.0, 1.0)
    mean = np.mean(quaternions * side[:, None], axis=0)
    out = np.eye(4)
    out[:3, :3] = Rotation.from_quat(mean / np.linalg.norm(mean)).as_matrix()
    out[:3, 3] = np.mean(c2w[:, :3, 3], axis=0)
    return out


def geodesic_distance(
    a: ArrayLike, b: ArrayLike, translation_weight: float = 0.1
) -> Float32[np.ndarray, "*batch"] | np.float32:
    """Weighted distance of positions plus angle between rotations, of poses (..., 4, 4); (...) f32.

    In f32 a pose may be some 1e-3 away from itself: the trace is that of a product of matrices in
    f32, and near 3 its last bit turns into an angle of 5e-4.
    """
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    # Row i of both rotations gives all three diagonal entries of R_a^T R_b their i-th term.
    diagonal = a[..., 0, :3] * b[..., 0, :3]
    for row in (1, 2):
        diagonal = fused(a[..., row, :3], b[..., row, :3], diagonal)
    trace = np.sum(diagonal, axis=-1, dtype=np.float64).astype(np.float32)
    cosine = (np.clip(trace, -1, 3) - 1) / np.float32(2)
    angle = np.arccos(cosine.astype(np.float64)).astype(np.float32)
    return np.float32(translation_weight) * fused_length(a[..., :3, 3] - b[..., :3, 3]) + angle
