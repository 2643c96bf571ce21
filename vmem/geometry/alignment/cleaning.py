"""Points in space that a more confident view sees through lose their confidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int
from numba import njit

from vmem.cameras import Camera, pose_distance
from vmem.kernels.parallel import read_only, run_sliced, thread_count

TOLERANCE = (0.05, 0.1)
"""Relative distance in front of a neighbour's depth up to which a point keeps its confidence, and
from which on it has none; linear in between."""


@dataclass(frozen=True, eq=False)
class Neighbour:
    """A view that points are compared with."""

    camera: Camera
    depth: Float32[np.ndarray, "H W"]
    """z-depth, 0 where it is unknown."""
    confidence: Float32[np.ndarray, "H W"]
    """In 0..1."""


def nearest(
    c2w: Float64[np.ndarray, "4 4"], others: Float64[np.ndarray, "V 4 4"], count: int
) -> Int[np.ndarray, " n"]:
    """Indices of the ``count`` of ``others`` nearest in pose, nearest first."""
    if len(others) == 0 or count < 1:
        return np.zeros(0, np.intp)
    distance = pose_distance(others, c2w)
    some = np.argpartition(distance, min(count, len(others)) - 1)[:count]
    return some[np.argsort(distance[some], kind="stable")]


def cleaned(
    points: Float32[np.ndarray, "H W 3"],
    confidence: Float32[np.ndarray, "H W"],
    neighbours: list[Neighbour],
) -> Float32[np.ndarray, "H W"]:
    """Confidence of world points, lowered where they lie in front of the depth of
    a neighbour that is more confident at that pixel.

    The published cleaning compares with all views and sets it to 0 at once
    (tests/golden/published/alignment.py).
    """
    out = confidence.astype(np.float32)
    least, most = (np.float32(bound) for bound in TOLERANCE)
    for view in neighbours:
        maps = read_only(points, view.depth, view.confidence)
        w2c, K = (a.astype(np.float32) for a in (view.camera.w2c, view.camera.K))

        def part(i: int, start: int, stop: int, maps=maps, w2c=w2c, K=K) -> None:
            rows, (mine, depth, sure) = slice(start, stop), maps
            _look_through(mine[rows], depth, sure, w2c, K, least, most, out[rows])

        run_sliced(part, len(out), thread_count())
    return out


@njit(cache=True, nogil=True)
def _look_through(points, depth, sure, w2c, K, least, most, out):
    # points (rows, W, 3) world; depth, sure (h, w) of the neighbour; out (rows, W) is changed.
    h, w = depth.shape
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            if not out[row, column] > 0:
                continue
            # The point in the neighbour's frame, p = w2c x; only what is before its camera counts.
            x, y, z = points[row, column]
            ahead = w2c[2, 0] * x + w2c[2, 1] * y + w2c[2, 2] * z + w2c[2, 3]
            if not ahead > 0:
                continue
            across = w2c[0, 0] * x + w2c[0, 1] * y + w2c[0, 2] * z + w2c[0, 3]
            down = w2c[1, 0] * x + w2c[1, 1] * y + w2c[1, 2] * z + w2c[1, 3]
            # Its pixel (u, v) there.
            u = K[0, 0] * across / ahead + K[0, 2]
            v = K[1, 1] * down / ahead + K[1, 2]
            if not (u >= 0 and u < w and v >= 0 and v < h):
                continue
            i, j = int(v), int(u)
            there = depth[i, j]
            if not (there > 0 and there < np.inf and sure[i, j] > out[row, column]):
                continue
            # Relative gap g = 1 - z / depth; the factor falls from 1 at g = least to 0 at most.
            # Points behind the depth (g < 0) are hidden, not contradicted: clipped to 1.
            left = (most - (np.float32(1) - ahead / there)) / (most - least)
            out[row, column] *= min(max(left, np.float32(0)), np.float32(1))
