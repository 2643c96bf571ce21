"""Cameras along a path."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from vmem.cameras.cameras import Camera, Cameras
from vmem.cameras.poses import interpolate_poses


def path_targets(start: Camera, end_c2w: Float64[np.ndarray, "4 4"], n: int) -> Cameras:
    """Cameras for one generation step: ``n`` interpolated poses up to and including ``end_c2w``.

    Raises CameraError for an end that is no rigid pose.
    """
    c2w = interpolate_poses(start.c2w, start.moved_to(end_c2w).c2w, n)
    return Cameras(c2w, np.tile(start.K, (n, 1, 1)), start.hw)
