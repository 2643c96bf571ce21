"""The views chosen so far, and how far the others are from them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from vmem.cameras import pose_distance


class Chosen:
    """The views chosen so far, and how far every view is from the nearest of them."""

    def __init__(self, poses: Float64[np.ndarray, "V 4 4"]) -> None:
        self.poses = poses
        self.order: list[int] = []
        """Views in the order in which they were chosen."""
        self.gap = np.full(len(poses), np.inf)
        """(V,) f64 pose distance from the nearest chosen view, infinite before the first choice."""
        self.nearest = np.full(len(poses), -1)
        """(V,) that view, -1 before the first choice."""
        self.open = np.ones(len(poses), bool)

    def distances(self, view: int) -> Float64[np.ndarray, " V"]:
        """Pose distances from one view."""
        return pose_distance(self.poses, self.poses[view])

    def add(self, view: int) -> None:
        """Choose a view."""
        distance = self.distances(view)
        nearer = distance < self.gap
        self.gap[nearer], self.nearest[nearer] = distance[nearer], view
        self.open[view] = False
        self.order.append(view)
