"""The contract of every geometry estimator: frames and cameras in, world points out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from vmem.cameras.cameras import Camera, Cameras
from vmem.errors import VMemError
from vmem.progress import CancelToken, OnProgress, silent
from vmem.types.views import F32, U8, Frames

if TYPE_CHECKING:
    from vmem.memory.view_memory import MemorySnapshot


class PointMapError(VMemError, ValueError):
    """Point maps of the wrong size, or that are sure of what cannot be."""


@dataclass(frozen=True, eq=False)
class PointMaps:
    """points (T, H, W, 3) f32 world · depth (T, H, W) f32 z-depth · confidence (T, H, W) f32.

    Confidence is 0 in a pixel without usable geometry (sky, failure) and 1 where it is as good as
    the estimator's best; association widens its tolerance in between. state: what the estimator
    wants back with the last of these views, None if nothing (see View.geometry_state) · note: one
    line for the step's log, or "".
    """

    points: F32
    depth: F32
    confidence: F32
    state: Any = None
    note: str = ""

    def validated(self, shape: tuple[int, ...]) -> PointMaps:
        """Self, or PointMapError that says what is wrong; ``shape``: (T, H, W) of the frames.

        Where confidence is 0 (or not a number) anything may stand.
        """
        shapes = (self.points.shape, self.depth.shape, self.confidence.shape)
        if shapes != ((*shape, 3), shape, shape):
            raise PointMapError(
                f"frames of (T, H, W) = {shape} need points (T, H, W, 3), depth and confidence "
                f"(T, H, W); got {shapes}"
            )
        fine = np.isfinite(self.points).all(axis=-1) & (self.depth > 0) & (self.depth < np.inf)
        wrong = (self.confidence > 0) & ~fine
        if wrong.any():
            frame, row, column = (int(at[0]) for at in np.nonzero(wrong))
            raise PointMapError(
                f"frame {frame}, row {row}, column {column}: point "
                f"{self.points[frame, row, column].tolist()}, depth "
                f"{self.depth[frame, row, column]}; give {int(wrong.sum())} such pixels "
                "confidence 0"
            )
        return self


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
