"""The octree whose traversal order decides which surfel a merge is credited to.

Ten points a leaf; a point on a face lies in several children, and rounding may leave one in none.
All in float32. The published tree never stops splitting once more than ten points coincide; here a
node whose children would coincide with it is a leaf.
"""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Float32

from vmem.published.arithmetic import length

LEAF_SIZE = 10
MAX_DEPTH = 64
"""Deeper nodes are leaves. Reached only about the origin, where float32 never runs out."""

_SIGNS = np.array(list(itertools.product((-1, 1), repeat=3)), np.float32)


class Octree:
    """A node with all below it. ``indices``: ascending rows of ``points``."""

    def __init__(
        self,
        points: Float32[np.ndarray, "N 3"],
        indices: list[int],
        centre: Float32[np.ndarray, " 3"],
        half: np.float32,
        depth: int = 0,
    ) -> None:
        self.points, self.indices, self.centre, self.half = points, indices, centre, half
        self.children: list[Octree] = []
        quarter = half / np.float32(2)
        coincide = np.any(centre + quarter == centre) or depth == MAX_DEPTH
        self.is_leaf = len(indices) <= LEAF_SIZE or bool(coincide)
        if self.is_leaf:
            return
        for sign in _SIGNS:
            child_centre = centre + sign * quarter
            inside = [i for i in indices if (np.abs(points[i] - child_centre) <= quarter).all()]
            if inside:
                child = Octree(points, inside, child_centre, quarter, depth + 1)
                self.children.append(child)

    @staticmethod
    def build(points: Float32[np.ndarray, "N 3"]) -> Octree:
        """The tree over points, N > 0."""
        low, high = points.min(axis=0), points.max(axis=0)
        half = np.max(high - low) / np.float32(2)
        return Octree(points, list(range(len(points))), (low + high) / np.float32(2), half)

    def query(self, at: Float32[np.ndarray, " 3"], radius: np.float32) -> list[int]:
        """Points within ``radius`` of ``at``, in traversal order, perhaps repeated."""
        outside = np.maximum(np.abs(at - self.centre) - self.half, np.float32(0))
        x, y, z = outside * outside
        if x + y + z > radius * radius:
            return []
        if self.is_leaf:
            found = []
            for index in self.indices:
                if length(self.points[index] - at) <= radius:
                    found.append(index)
            return found
        return [index for child in self.children for index in child.query(at, radius)]
