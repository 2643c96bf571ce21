"""Scale, rotation and translation between two sets of points (Umeyama, 1991).

trimesh's procrustes would do, but imports more than this whole package does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64


@dataclass(frozen=True, eq=False)
class Similarity:
    """The map ``x -> scale R x + T``."""

    scale: float
    R: Float64[np.ndarray, "3 3"]
    """Rotation."""
    T: Float64[np.ndarray, " 3"]
    """Translation."""

    def applied(self, points: Float[np.ndarray, "*batch 3"]) -> Float32[np.ndarray, "*batch 3"]:
        """Points mapped, as f32."""
        linear = (self.scale * self.R).astype(np.float32)
        return points.astype(np.float32) @ linear.T + self.T.astype(np.float32)


def nearest_rotation(matrix: Float64[np.ndarray, "3 3"]) -> Float64[np.ndarray, "3 3"]:
    """The rotation nearest to a matrix."""
    U, _, Vt = np.linalg.svd(matrix)
    return U @ np.diag([1, 1, np.linalg.det(U @ Vt)]) @ Vt


def similarity(
    x: Float[np.ndarray, "*batch 3"],
    y: Float[np.ndarray, "*batch 3"],
    weight: Float[np.ndarray, "*batch"] | None = None,
) -> Similarity:
    """The similarity of least ``sum w |scale R x + T - y|^2``, in float64.

    x and y must be finite; ``weight`` w is 1 by default.

    Where all x coincide its scale is inf or nan.
    """
    x, y = (a.reshape(-1, 3).astype(np.float64) for a in (x, y))
    w = np.ones(len(x)) if weight is None else weight.reshape(-1).astype(np.float64)
    w = w / w.sum()
    x_mean, y_mean = w @ x, w @ y
    x, y = x - x_mean, y - y_mean
    # R is the rotation nearest to the covariance K = sum w y x^T of the centred points, and
    # scale = tr(R^T K) / sum w |x|^2.
    K = (y * w[:, None]).T @ x
    R = nearest_rotation(K)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = float(np.trace(R.T @ K) / (w @ np.sum(x * x, axis=1)))
    return Similarity(scale, R, y_mean - scale * R @ x_mean)
