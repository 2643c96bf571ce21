"""What a rasterizer returns, and the look-ups shared by all engines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vmem.cameras import Camera, pixel_rays
from vmem.surfels import Surfels
from vmem.views import F32

I32 = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class SurfelBuffers:
    """index (H, W) i32, -1 where no disk · depth (H, W) f32 z-depth, 0 where none · cosine (H, W)
    f32 between the disk's normal and the direction back to the eye, 0 where none."""

    index: I32
    depth: F32
    cosine: F32


def shade(index: I32, surfels: Surfels, camera: Camera) -> SurfelBuffers:
    """Depth and cosine on the planes of the disks that ``index`` (H, W) names, exact per pixel."""
    depth = np.zeros(index.shape, np.float32)
    cosine = np.zeros(index.shape, np.float32)
    covered = index >= 0
    seen = index[covered]
    rays = pixel_rays(camera)[covered] @ camera.c2w[:3, :3].T
    normal = surfels.normal[seen].astype(np.float64)
    offset = surfels.position[seen].astype(np.float64) - camera.position
    slope = np.sum(normal * rays, axis=1)
    depth[covered] = np.sum(normal * offset, axis=1) / slope
    cosine[covered] = -slope / np.linalg.norm(rays, axis=1)
    return SurfelBuffers(index, depth, cosine)
