"""Backend ``world``: a walk through a procedural place whose every frame and depth is exact.

It stands in for a perfect generator and a perfect geometry estimator: what retrieval, surfels and
the viewer do with it is free of any other error, which makes it the ground truth of the tests.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8
from numpy.typing import ArrayLike

from vmem.cameras import Camera, Cameras, default_K, unproject
from vmem.errors import BackendError
from vmem.generation import Context
from vmem.memory import MemorySnapshot
from vmem.progress import CancelToken, OnProgress, Progress, silent
from vmem.types import Frames, PointMaps, Provenance
from vmem.worlds.build import build
from vmem.worlds.plans import PLANS
from vmem.worlds.raycast import clearance
from vmem.worlds.rendering import render
from vmem.worlds.world import SKY_DEPTH, World, WorldRender

__all__ = [
    "PLANS",
    "SKY_DEPTH",
    "World",
    "WorldGenerator",
    "WorldGeometry",
    "WorldRender",
    "are_free",
    "is_free",
    "make_world",
    "render",
    "start_camera",
]


def make_world(seed: int, plan: str = "house") -> World:
    """The world of a seed and a plan, around the origin.

    Deterministic. Scaled so that the median depth of the start view is 1 scene unit, as in the
    preview backend. Raises ValueError for a negative seed or an unknown plan.
    """
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    if plan not in PLANS:
        raise ValueError(f"unknown plan {plan!r}: use one of {', '.join(PLANS)}")
    scene = PLANS[plan](np.random.default_rng(seed))
    in_metres = build(scene, plan, seed, 1.0)
    depth = render(in_metres, start_camera(in_metres, (64, 64)), shadows=False).depth
    return build(scene, plan, seed, 1.0 / float(np.median(depth)))


def start_camera(world: World, hw: tuple[int, int]) -> Camera:
    """At the origin, level, looking along +z."""
    return Camera(np.eye(4), default_K(hw), hw)


def are_free(world: World, points: ArrayLike, margin: float = 0.03) -> Bool[np.ndarray, " N"]:
    """Whether a camera may be at each of ``points`` (N, 3): inside a room or a doorway, and at
    least ``margin`` scene units from everything solid."""
    points = np.ascontiguousarray(points, np.float64)
    distance = np.empty(len(points))
    clearance(world.boxes, points, distance)
    low, high = world.regions["low"][:, None], world.regions["high"][:, None]
    inside = ((low <= points) & (points <= high)).all(axis=2).any(axis=0)
    return inside & (distance >= margin)


def is_free(world: World, position: ArrayLike, margin: float = 0.03) -> bool:
    """Whether a camera may be at ``position`` (3,), by ``are_free``."""
    return bool(are_free(world, np.reshape(position, (1, 3)), margin)[0])


class WorldGenerator:
    """Renders its world at the target cameras; needs no views. Implements ``Generator``."""

    def __init__(self, world: World) -> None:
        self.world = world

    def generate(
        self,
        context: Context,
        targets: Cameras,
        *,
        seed: int,
        on_progress: OnProgress,
        cancel: CancelToken,
        sampler: str | None = None,
    ) -> Frames:
        """Frames with exact depth, all observed. Context, seed and sampler change nothing.

        Reports stage "render" and polls ``cancel`` for every frame; raises Cancelled.
        """
        return self.render_frames(targets, on_progress=on_progress, cancel=cancel)

    def render_frames(
        self,
        cameras: Sequence[Camera],
        *,
        on_progress: OnProgress = silent,
        cancel: CancelToken | None = None,
    ) -> Frames:
        """Frames of cameras that share one image size, as ``generate`` makes them."""
        renders = []
        for i, camera in enumerate(cameras):
            if cancel is not None:
                cancel.check()
            renders.append(render(self.world, camera))
            on_progress(Progress("render", i + 1, len(cameras)))
        rgb = np.stack([r.rgb for r in renders])
        return Frames(
            rgb=rgb,
            depth=np.stack([r.depth for r in renders]),
            provenance=np.full(rgb.shape[:3], Provenance.OBSERVED, np.uint8),
            age=np.zeros(rgb.shape[:3], np.float32),
        )


class WorldGeometry:
    """Reads the exact depth that the frames bring along. Implements ``GeometryEstimator``."""

    def place(self, photo: UInt8[np.ndarray, "H W 3"]) -> Camera:
        """Raises BackendError: the world has its own first view, see ``start_camera``."""
        raise BackendError(
            "the world backend renders its own scene and takes no photo: "
            "leave the photo out, or use --backend preview"
        )

    def estimate(
        self,
        frames: Frames,
        cameras: Cameras,
        memory: MemorySnapshot,
        *,
        on_progress: OnProgress = silent,
        cancel: CancelToken | None = None,
    ) -> PointMaps:
        """Unprojected depth, of confidence 1, and 0 in the sky. ValueError without depth."""
        if frames.depth is None:
            raise ValueError(
                "the world backend needs frames with depth, as its own generator makes them"
            )
        depth = frames.depth
        points = [unproject(d, camera) for d, camera in zip(depth, cameras, strict=True)]
        solid = np.isfinite(depth) & (depth < SKY_DEPTH)
        return PointMaps(np.stack(points), depth, solid.astype(np.float32))
