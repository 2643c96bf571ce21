"""Points that stand where a surer view looks through, found in a few neighbours' images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vmem.cameras import Camera, FloatArray, pose_distance
from vmem.views import F32

TOLERANCE = (0.05, 0.1)
"""Share by which a point may stand in front of what a neighbour saw without harm, and from which on
nothing is left of its confidence."""


@dataclass(frozen=True, eq=False)
class Neighbour:
    """A view with depth (H, W) f32 z-depth and confidence (H, W) f32, 0 where it knows nothing."""

    camera: Camera
    depth: F32
    confidence: F32


def nearest(c2w: FloatArray, others: FloatArray, count: int) -> NDArray[np.intp]:
    """Indices of the ``count`` of ``others`` (N, 4, 4) nearest in pose, nearest first."""
    if len(others) == 0 or count < 1:
        return np.zeros(0, np.intp)
    distance = pose_distance(others, c2w)
    some = np.argpartition(distance, min(count, len(others)) - 1)[:count]
    return some[np.argsort(distance[some], kind="stable")]


def cleaned(points: F32, confidence: F32, neighbours: list[Neighbour]) -> F32:
    """Confidence (H, W) of world points (H, W, 3), less where they stand in front of what a
    neighbour saw, and saw more surely. Source: the published cleaning, against all views there
    (vmem/reference/alignment.py); here it falls gently."""
    out = confidence.copy()
    for view in neighbours:
        rows, columns = np.nonzero(out > 0)
        w2c = view.camera.w2c.astype(np.float32)
        local = points[rows, columns] @ w2c[:3, :3].T + w2c[:3, 3]
        z, K = local[:, 2], view.camera.K
        front = np.maximum(z, 1e-9)
        h, w = view.camera.hw
        # Clipped before the cast: a point beside the camera may fall anywhere.
        u = np.clip(K[0, 0] * local[:, 0] / front + K[0, 2], -1, w).astype(np.int64)
        v = np.clip(K[1, 1] * local[:, 1] / front + K[1, 2], -1, h).astype(np.int64)
        seen = (z > 0) & (u >= 0) & (u < w) & (v >= 0) & (v < h)
        u, v = np.where(seen, u, 0), np.where(seen, v, 0)
        there = view.depth[v, u]
        surer = seen & (there > 0) & (view.confidence[v, u] > out[rows, columns])
        surer &= np.isfinite(there)
        ahead = 1 - z[surer] / there[surer]
        least, most = TOLERANCE
        left = np.clip((most - ahead) / (most - least), 0, 1)
        out[rows[surer], columns[surer]] *= left.astype(np.float32)
    return out
