"""The contract of every geometry estimator: frames and cameras in, world points out."""

from __future__ import annotations

from typing import Protocol

from vmem.arrays import U8
from vmem.cameras import Camera, Cameras
from vmem.memory import MemorySnapshot
from vmem.progress import CancelToken, OnProgress, silent
from vmem.types import Frames, PointMaps


class GeometryEstimator(Protocol):
    """Says where things are. Only new frames are estimated."""

    def place(self, photo: U8) -> Camera:
        """The first camera for a photo (H, W, 3) u8: intrinsics, and a level world's pose.

        Position is the origin; yaw is zero; pitch and roll are the photo's own.
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

        Slow ones report views in stage "geometry" and poll ``cancel`` a view; raises Cancelled.
        """
        ...
