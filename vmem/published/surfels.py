"""From point maps to disks, as published: coarse maps, normals, radii.

Differs from ours (vmem.memory.spawn): samples are 19 x 25 averages of two by two pixels, also
across edges, and the deepest of each map is dropped. Normals point away from the camera, the last
row's and column's are zero, and where neighbours coincide they are NaN. The radius is half the
spacing over 0.2 + 0.8 cos, by the mean focal length, which leaves 21 % gaps on a flat grid. Disks
have no colour.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Integer

from vmem.arrays import F32
from vmem.published.arithmetic import fused_cross, fused_length


@dataclass(frozen=True)
class PublishedConfig:
    """The published settings."""

    width: int = 512
    """Pixels of the image in which a query is drawn."""
    height: int = 288
    """Its other side."""
    shrink_factor: float = 0.05
    """Size of the maps that become surfels, relative to the reconstructed ones."""
    radius_scale: float = 0.5
    """Radius of a frontal disk over the spacing of its samples."""
    conf_thresh: float = 1.0
    """Confidence below which a pixel makes no surfel."""
    merge_normal_threshold: float = 0.6
    """Cosine between normals above which two surfels may be one."""
    context_num_frames: int = 4
    """Stored frames that condition a step."""
    target_num_frames: int = 4
    """Frames that every step but the first makes."""
    translation_distance_weight: float = 0.1
    """Radians that a scene unit of distance counts for, between poses."""
    focal_scale: float = 0.65
    """Queries are drawn with this share of the mean focal length."""


@dataclass(frozen=True, eq=False)
class Disks:
    """S disks of the published memory."""

    position: Float32[np.ndarray, "S 3"]
    """Centres, world frame, scene units."""
    normal: Float32[np.ndarray, "S 3"]
    """Unit normals away from the camera that made the disk; zero or NaN where the map had
    none."""
    radius: Float32[np.ndarray, " S"]
    """Scene units."""

    def __len__(self) -> int:
        return len(self.position)

    def __getitem__(
        self, index: slice | Bool[np.ndarray, " S"] | Integer[np.ndarray, " n"]
    ) -> Disks:
        return Disks(self.position[index], self.normal[index], self.radius[index])

    @staticmethod
    def empty() -> Disks:
        """No disks."""
        three = np.zeros((0, 3), np.float32)
        return Disks(three, three, np.zeros(0, np.float32))

    @staticmethod
    def concatenate(parts: list[Disks]) -> Disks:
        """All parts, one after the other."""
        return Disks(
            np.concatenate([part.position for part in parts]),
            np.concatenate([part.normal for part in parts]),
            np.concatenate([part.radius for part in parts]),
        )


def downsample(
    values: Float32[np.ndarray, "H W *channels"], scale: float
) -> Float32[np.ndarray, "h w *channels"]:
    """Bilinear samples of a map: h = floor(H scale), w = floor(W scale).

    Sample i lies at (i + 0.5) / scale - 0.5; nothing is smoothed before.
    """
    for axis in (0, 1):
        size = values.shape[axis]
        at = (np.arange(math.floor(size * scale), dtype=np.float32) + np.float32(0.5)) * np.float32(
            1 / scale
        ) - np.float32(0.5)
        at = np.clip(at, 0, size - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, size - 1)
        weight = (at - low).reshape([-1 if i == axis else 1 for i in range(values.ndim)])
        weight = weight.astype(np.float32)
        values = np.asarray(
            (1 - weight) * values.take(low, axis) + weight * values.take(high, axis), np.float32
        )
    return values


def normal_map(points: Float32[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 3"]:
    """Unit normals: right neighbour crossed with the lower one.

    The last row and the last column stay zero; where a neighbour coincides with the pixel they are
    NaN; where both lie in one direction, zero.
    """
    normal = np.zeros_like(points)
    with np.errstate(invalid="ignore", divide="ignore"):
        right = _unit(points[:-1, 1:] - points[:-1, :-1])
        down = _unit(points[1:, :-1] - points[:-1, :-1])
        cross = fused_cross(right, down)
        norm = np.asarray(fused_length(cross))[..., None]
        normal[:-1, :-1] = np.where(norm < 1e-8, 0, cross / norm)
    return normal


def _unit(vectors: F32) -> F32:
    return np.divide(vectors, np.asarray(fused_length(vectors))[..., None], dtype=np.float32)


def valid_pixels(
    depth: Float32[np.ndarray, "h w"],
    confidence: Float32[np.ndarray, "h w"],
    config: PublishedConfig,
) -> Bool[np.ndarray, "h w"]:
    """Pixels that become surfels: confident ones up to the 0.999 quantile of depth."""
    return (depth <= np.quantile(depth, 0.999)) & (confidence >= config.conf_thresh)


def disks_from_pointmap(
    points: Float32[np.ndarray, "h w 3"],
    depth: Float32[np.ndarray, "h w"],
    confidence: Float32[np.ndarray, "h w"],
    camera_position: Float32[np.ndarray, " 3"],
    focal: Float[np.ndarray, " n"] | float,
    config: PublishedConfig,
) -> Disks:
    """Disks of the valid pixels, row-major.

    points (world), depth and confidence are all downsampled; focal: one or two, in pixels of the
    map before downsampling. NaN normals give NaN radii.
    """
    valid = valid_pixels(depth, confidence, config)
    position, normal = points[valid], normal_map(points)[valid]
    view = position - np.asarray(camera_position, np.float32)
    view = view / np.maximum(fused_length(view), np.float32(1e-12))[:, None]
    products = view * normal
    cosine = products[:, 0] + products[:, 1] + products[:, 2]
    normal = np.where(cosine[:, None] < 0, -normal, normal)
    pixel = np.mean(np.asarray(focal, np.float32)) * np.float32(config.shrink_factor)
    radius = np.float32(config.radius_scale) * depth[valid] / pixel
    radius = radius / (np.float32(0.2) + np.float32(0.8) * np.abs(cosine))
    return Disks(position, normal, radius.astype(np.float32))
