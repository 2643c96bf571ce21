"""The built-in geometry: the layout of one photo as a scene to walk in, without learned weights.

A photo becomes a floor with vertical walls on it, and often a ceiling, found from its lines,
colours and edges. Two hypotheses are scored: a *box room* (vmem.geometry.layout.box_room) and a
*curtain* (vmem.geometry.layout.curtain). Where neither explains the photo, a *flat* scene is used,
so that every photo gives a scene. After "Tour into the picture" (Horry et al., 1997) and "Automatic
photo pop-up" (Hoiem et al., 2005).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray

from vmem.arrays import F64, U8
from vmem.cameras import Camera, Cameras, unproject
from vmem.geometry.alignment.rescale import rescaled
from vmem.geometry.layout.box_room import search_box_room
from vmem.geometry.layout.curtain import search_curtain
from vmem.geometry.layout.first_camera import first_camera
from vmem.geometry.layout.level_grid import LevelGrid, LevelRays, level_rotation
from vmem.geometry.layout.lines import detect_segments, wall_yaws
from vmem.geometry.layout.photo_cues import gather_evidence, line_maps
from vmem.geometry.layout.score import Scorer
from vmem.geometry.layout.shape import NEAREST, Limits, Shape, close_tears
from vmem.memory import MemorySnapshot
from vmem.progress import CancelToken, OnProgress, silent
from vmem.types import Frames, PointMaps

LayoutKind = Literal["box", "curtain", "flat"]

MIN_SCORE = 0.1
"""Score that a hypothesis must reach to be preferred to a flat scene."""
MAX_SKY_IN_ROOM = 0.12
"""Share of sky above which a photo is not taken in a room."""
NEAREST_TO_MEDIAN = 0.25
"""Smallest depth in median depths."""
SKY_DISTANCE = 1.5
"""Depth of the sky, in depths of the farthest thing before it."""
FLAT_FOOT = 0.5
"""Foot of the wall of a flat scene: 0 at the horizon, 1 at the photo's lower edge."""
FLAT_WALL = 0.3
"""Inverse distance of that wall, in camera heights, where nothing below the horizon is seen."""


class Region(IntEnum):
    """What a pixel of a layout belongs to. The walls, left to right, are WALL, WALL + 1, ..."""

    FLOOR = 0
    CEILING = 1
    SKY = 2
    WALL = 3


@dataclass(frozen=True, eq=False)
class Layout:
    """The scene recovered from one photo."""

    depth: Float32[np.ndarray, "H W"]
    """z-depth, median 1, finite and positive everywhere, also in the sky; neighbouring
    pixels differ by a factor of shape.MAX_STEP at most, also at the sky's border."""
    label: UInt8[np.ndarray, "H W"]
    """A Region for every pixel."""
    kind: LayoutKind
    """The hypothesis of the best score."""
    score: float
    """How well it fits, from about 0 to 1; of a flat scene MIN_SCORE."""
    floor_y: float
    """World y of the floor, in the unit of depth."""


class LayoutEstimator:
    """The GeometryEstimator that lays out photos and takes the depth of frames that have any."""

    place = staticmethod(first_camera)

    def estimate(
        self,
        frames: Frames,
        cameras: Cameras,
        memory: MemorySnapshot,
        *,
        on_progress: OnProgress = silent,
        cancel: CancelToken | None = None,
    ) -> PointMaps:
        """Point maps of T new frames.

        Depth that frames carry is used unchanged where it is finite and positive, with the
        confidence that they carry, or 1. Frames without depth are laid out one by one and brought
        to memory's unit, with confidence 0 in the sky. Pixels of confidence 0 have finite points.
        """
        if frames.depth is not None:
            depth = np.asarray(frames.depth, np.float32)
            usable = (depth > 0) & (depth < np.inf)
            if not usable.all():
                depth = np.where(usable, depth, np.float32(0))
            carried = 1 if frames.confidence is None else frames.confidence
            confidence = np.multiply(usable, carried, dtype=np.float32)
        else:
            pairs = zip(frames.rgb, cameras, strict=True)
            layouts = [estimate_layout(rgb, camera) for rgb, camera in pairs]
            depth = np.stack([layout.depth for layout in layouts])
            solid = np.stack([layout.label != Region.SKY for layout in layouts])
            views = zip(depth, solid, cameras, strict=True)
            depth = np.stack([rescaled(*view, memory) for view in views])
            confidence = (solid & (depth > 0)).astype(np.float32)
        points = np.empty((*depth.shape, 3), np.float32)
        for i, camera in enumerate(cameras):
            points[i] = unproject(depth[i], camera)
        return PointMaps(points, depth, confidence)


def estimate_layout(rgb: UInt8[np.ndarray, "H W 3"], camera: Camera) -> Layout:
    """The layout of a photo taken by ``camera``, whose pose says where gravity is.

    Raises ValueError if the photo's size is not the camera's.
    """
    if rgb.shape != (*camera.hw, 3):
        raise ValueError(f"expected a photo of shape {(*camera.hw, 3)}, got {rgb.shape}")
    rays = LevelRays.of(camera)
    grid = LevelGrid.over(camera, rays)
    limits = Limits.of(camera, rays)
    evidence = gather_evidence(rgb, camera, grid)
    segments = detect_segments(rgb)

    indoors = bool(evidence.sky.mean() <= MAX_SKY_IN_ROOM)
    options: list[tuple[float, LayoutKind, Shape]] = []
    if indoors:
        for yaw in [0.0, *wall_yaws(segments, camera.K, level_rotation(camera))]:
            scorer = Scorer.of(evidence, line_maps(segments, camera, grid, yaw))
            room = search_box_room(scorer, yaw, limits)
            if room is not None:
                options.append((room.score, "box", room.shape(grid)))
    scorer = Scorer.of(evidence, line_maps(segments, camera, grid, 0.0))
    curtain = search_curtain(scorer, limits, ceilings=indoors)
    if curtain is not None:
        options.append((curtain.score, "curtain", curtain.shape))
    options.append((MIN_SCORE, "flat", _flat_shape(grid, limits)))
    score, kind, shape = max(options, key=lambda option: option[0])
    sky = evidence.sky & (rays.v < 0) if kind == "curtain" else np.zeros(camera.hw, bool)
    shape = _within_reach(shape, rays, sky)
    depth = _depth_of(shape, rays, sky)
    scale = 1 / float(np.median(depth))
    return Layout(
        depth=(depth * scale).astype(np.float32),
        label=_label(shape, rays, sky),
        kind=kind,
        score=score,
        floor_y=float(camera.position[1]) + scale,
    )


def _flat_shape(grid: LevelGrid, limits: Limits) -> Shape:
    """One wall straight ahead, its foot halfway between the horizon and the photo's lower edge."""
    bottom = float(grid.v[-1])
    wall = max(limits.far, FLAT_FOOT * bottom if bottom > 0.05 else FLAT_WALL)
    return Shape(grid.u[[0, -1]], np.array([wall, wall]))


def _within_reach(shape: Shape, rays: LevelRays, sky: NDArray[np.bool_]) -> Shape:
    """The shape with walls so near that no depth falls below NEAREST_TO_MEDIAN medians.

    Walks are made of steps of a tenth of the median depth: were the walls of an open plain left
    at the horizon, the ground would rush by.
    """
    depth = _depth_of(shape, rays, sky)
    if depth.min() >= NEAREST_TO_MEDIAN * np.median(depth):
        return shape
    farthest = depth.min() / NEAREST_TO_MEDIAN / (SKY_DISTANCE if sky.any() else 1)
    return replace(shape, wall=np.maximum(shape.wall, 1 / (farthest * rays.forward.min())))


def _depth_of(shape: Shape, rays: LevelRays, sky: NDArray[np.bool_]) -> F64:
    """z-depth (H, W) in camera heights, free of tears."""
    depth = 1 / (shape.inverse_distance(rays) * rays.forward)
    # Never reached by photos as people take them, but by views straight up or down.
    depth = np.minimum(depth, depth.min() / NEAREST)
    if sky.any() and not sky.all():
        solid = depth[~sky]
        depth[sky] = min(SKY_DISTANCE * solid.max(), solid.min() / NEAREST)
    return close_tears(depth)


def _label(shape: Shape, rays: LevelRays, sky: NDArray[np.bool_]) -> U8:
    inverse = shape.inverse_distance(rays)
    label = Region.WALL + np.searchsorted(shape.u[1:-1], rays.u)
    label[inverse <= rays.v] = Region.FLOOR
    if shape.ceiling is not None:
        label[inverse <= -rays.v / shape.ceiling] = Region.CEILING
    label[sky] = Region.SKY
    return label.astype(np.uint8)
