"""The contract of every geometry estimator: frames and cameras in, world points out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from vmem.cameras import Camera, Cameras
from vmem.views import F32, U8, Frames

if TYPE_CHECKING:
    from vmem.memory import MemorySnapshot


@dataclass(frozen=True, eq=False)
class PointMaps:
    """points (T, H, W, 3) f32 world · depth (T, H, W) f32 z-depth · confidence (T, H, W) f32.

    Confidence is 0 in a pixel without usable geometry (sky, failure) and 1 where it is as good as
    the estimator's best; association widens its tolerance in between.
    """

    points: F32
    depth: F32
    confidence: F32


class GeometryEstimator(Protocol):
    """Says where things are. Only new frames are estimated."""

    def place(self, photo: U8) -> Camera:
        """The first camera for a photo (H, W, 3) u8: intrinsics, and a level world's pose.

        Position is the origin; yaw is zero; pitch and roll are the photo's own.
        """
        ...

    def estimate(self, frames: Frames, cameras: Cameras, memory: MemorySnapshot) -> PointMaps:
        """Point maps of T new frames with known cameras, consistent with ``memory``."""
        ...
