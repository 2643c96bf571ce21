"""A memory filled the published way: disks from coarse maps, merged by radius.

It differs from ours in all that fills a memory (samples, normals, radii, merging) and in nothing
that judges it: the answer is a snapshot like any other.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vmem.cameras import Camera
from vmem.memory import MemorySnapshot
from vmem.published.grid import HashGridMerge
from vmem.published.surfels import Disks, PublishedConfig, disks_from_pointmap, downsample
from vmem.types import PointMaps, StepEnd, Surfels, View

PUBLISHED_POINTS = 25 * 19
"""Samples of a frame in the published code: its maps of 512x384, shrunk to a twentieth."""


def shrink_factor(hw: tuple[int, int], points_per_frame: int) -> float:
    """One over the whole number of pixels that spaces nearly ``points_per_frame`` samples."""
    return 1 / max(1, round(np.sqrt(hw[0] * hw[1] / points_per_frame)))


def published_memory(
    steps: Iterable[tuple[tuple[View, ...], PointMaps]], points_per_frame: int
) -> MemorySnapshot:
    """The memory after steps of T views each, with their maps (T, H, W, ...), in the published way.

    A map gives samples over the whole frame, in its own aspect. The published code makes surfels of
    frame 0 only after its first step, but frame after frame, so the result is the same. Links are
    its lists of time steps. Raises SurfelError for a position that is not finite.
    """
    grid = HashGridMerge(PublishedConfig.merge_normal_threshold)
    views: list[View] = []
    ends: list[StepEnd] = []
    link_surfel: list[np.ndarray] = []
    link_view: list[np.ndarray] = []
    n_links = 0
    for new_views, maps in steps:
        for i, view in enumerate(new_views):
            known = len(grid)
            merge = grid.merge(disks_of_frame(maps, i, view.camera, points_per_frame))
            again = np.unique(merge.credited[merge.credited >= 0])
            seen = np.concatenate([again, np.arange(known, len(grid))]).astype(np.int32)
            link_surfel.append(seen)
            link_view.append(np.full(len(seen), len(views), np.int32))
            n_links += len(seen)
            views.append(view)
        ends.append(StepEnd(len(views), len(grid), n_links))
    return MemorySnapshot(
        as_surfels(grid.disks),
        np.concatenate(link_surfel),
        np.concatenate(link_view),
        tuple(views),
        tuple(ends),
        (None,) * len(ends),
    )


def disks_of_frame(maps: PointMaps, i: int, camera: Camera, points_per_frame: int) -> Disks:
    """Disks of frame ``i`` of maps (T, H, W, ...), in about so many samples over its own aspect."""
    shrink = shrink_factor(camera.hw, points_per_frame)
    points, depth, confidence = (
        downsample(one[i], shrink) for one in (maps.points, maps.depth, maps.confidence)
    )
    position = camera.position.astype(np.float32)
    config = PublishedConfig(shrink_factor=shrink)
    return disks_from_pointmap(points, depth, confidence, position, camera.K[0, 0], config)


def as_surfels(disks: Disks) -> Surfels:
    """Published disks as surfels that our rasterizer draws, in the same order, black.

    Published normals point away from the camera that made the disk, ours towards it; each side
    skips what is seen from behind, so the same disks show. Zero normals (the last row and column of
    every map) and NaN ones keep their place among the surfels, but get some normal and a radius
    that meets no pixel: the published code skips them when it draws. In merging, which is over by
    then, they had their own radii, five times a frontal disk's.
    """
    length = np.linalg.norm(disks.normal, axis=1)
    proper = length >= 1e-12  # False for NaN
    normal = np.zeros_like(disks.normal)
    normal[:, 2] = 1
    normal[proper] = -disks.normal[proper] / length[proper, None]
    radius = np.where(proper, disks.radius, 1e-30).astype(np.float32)
    color = np.zeros((len(disks), 3), np.uint8)
    return Surfels(disks.position.copy(), normal, radius, color)
