"""The views chosen so far, and how far the others are from them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from vmem.cameras import pose_distance


class Chosen:
    """The views chosen so far, and how far every view is from the nearest of them.

    order · gap (V,) f64 pose distance, infinite before the first choice · nearest (V,) that view.
    """

    def __init__(self, poses: Float64[np.ndarray, "V 4 4"]) -> None:
        self.poses = poses
        self.order: list[int] = []
        self.gap = np.full(len(poses), np.inf)
        self.nearest = np.full(len(poses), -1)
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
