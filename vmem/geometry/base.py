"""The contract of every geometry estimator: frames and cameras in, world points out.

Of the memory that ``estimate`` is handed, estimators use this and nothing else:

- ``views``: the FITTED_VIEWS nearest in pose to each new camera (camera, depth, confidence); the
  newest with a ``geometry_state``; rgb and cameras of those stored after it.
- ``poses``: (N, 4, 4) of all views, to find the nearest.
- ``surfels`` and ``blocks``: whether there are any, and depth drawn from the new cameras, at their
  size and on the coarse grid.

Links, steps and the surfels' colours are never read. So an estimator on another machine needs the
views above and drawn depth, not the surfels.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from jaxtyping import UInt8

from vmem.cameras import Camera, Cameras
from vmem.memory import MemorySnapshot
from vmem.progress import CancelToken, OnProgress, silent
from vmem.types import Frames, PointMaps


class GeometryEstimator(Protocol):
    """Estimates depth and world points of new frames, never of stored ones."""

    def place(self, photo: UInt8[np.ndarray, "H W 3"]) -> Camera:
        """The first camera for a photo: its intrinsics, and its pose in a level world.

        The position is the origin, yaw is zero, pitch and roll are those of the photo.
        """
        ...

    def estimate(
        self,
        frames: Frames,
        cameras: Cameras,
        memory: MemorySnapshot,
        *,
        on_progress: OnProgress = silent,
        cancel: CancelToken | None = None,
    ) -> PointMaps:
        """Point maps of T new frames with known cameras, consistent with ``memory``.

        Slow estimators report progress in stage "geometry" and check ``cancel`` once a view. Raises
        Cancelled.
        """
        ...
