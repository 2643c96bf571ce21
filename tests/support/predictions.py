"""A stand-in for a point-map network: exact depth of the procedural world, spoilt on purpose."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vmem.arrays import F32
from vmem.cameras import MOVES, Cameras, apply_move, invert_pose, path_targets, pixel_rays
from vmem.geometry.alignment.predicted import Predicted
from vmem.memory import MemorySnapshot, ViewMemory, make_record
from vmem.types import MIN_CONFIDENCE, AssociationConfig, Frames
from vmem.worlds.backend import World, WorldGeometry, render, start_camera

HW = (96, 96)
EMPTY = MemorySnapshot.empty()
SCALES = (0.2, 1.0, 5.0, 30.0)
"""One for each view of the step."""


@dataclass(frozen=True)
class Spoilt:
    """How predictions err.

    scale, shift: what brings each view's depth (with ``inverse``, its inverse) back to the truth ·
    noise: standard deviation of a smooth field of log depth · outliers: share of pixels off by a
    factor of up to 4 either way · patch: side of a nonsense corner of confidence 1.05, as a share
    of the image's · astray: standard deviation of camera centres, in median depths · confidence
    elsewhere.
    """

    scale: float | tuple[float, ...] = 1.0
    shift: float = 0.0
    inverse: bool = False
    noise: float = 0.0
    outliers: float = 0.0
    patch: float = 0.0
    astray: float = 0.0
    confidence: float = 10.0
    seed: int = 0


FLAWS = {
    "scale alone": (Spoilt(scale=SCALES), 0.002),
    "smooth noise": (Spoilt(scale=SCALES, noise=0.03), 0.02),
    "outliers": (Spoilt(scale=SCALES, outliers=0.2), 0.003),
    "low patch": (Spoilt(scale=SCALES, patch=0.4), 0.003),
    "all of it": (Spoilt(scale=SCALES, noise=0.03, outliers=0.2, patch=0.4), 0.03),
}
"""Flaws and the largest relative error of a view's scale that they may leave."""


def walk_cameras(world: World, moves: str, hw=HW, frames: int = 4) -> list[Cameras]:
    """The start view, then ``frames`` targets for every move."""
    camera = start_camera(world, hw)
    steps = [Cameras.stack([camera])]
    for move in moves.split():
        targets = path_targets(camera, apply_move(camera.c2w, MOVES[move]), frames)
        camera = targets[frames - 1]
        steps.append(targets)
    return steps


def exact_frames(world: World, cameras: Cameras) -> Frames:
    """Frames with exact depth, lit without shadows."""
    renders = [render(world, camera, shadows=False) for camera in cameras]
    return Frames(np.stack([r.rgb for r in renders]), np.stack([r.depth for r in renders]))


def exact_depth(world: World, cameras: Cameras) -> F32:
    """(T, H, W) f32 z-depth."""
    return np.stack([render(world, camera, shadows=False).depth for camera in cameras])


def remembered(world: World, steps: list[Cameras]) -> MemorySnapshot:
    """Memory of steps seen exactly."""
    memory = ViewMemory()
    for cameras in steps:
        frames, now = exact_frames(world, cameras), memory.snapshot()
        maps = WorldGeometry().estimate(frames, cameras, now)
        memory.append(make_record(now, frames, cameras, maps, None, AssociationConfig()))
    return memory.snapshot()


def predicted(cameras: Cameras, depth: F32, how: Spoilt, origin=None) -> Predicted:
    """What a network of flaws ``how`` says of exact ``depth`` (T, H, W), in its own frame: that of
    the camera ``origin`` (4, 4), or of the first one, in units of the first view's scale."""
    rng = np.random.default_rng(how.seed)
    n, h, w = depth.shape
    scales = np.broadcast_to(how.scale, n).astype(np.float64)
    out = np.empty_like(depth)
    confidence = np.full(depth.shape, how.confidence, np.float32)
    for i in range(n):
        true = depth[i].astype(np.float64)
        one = 1 / ((1 / true - how.shift) / scales[i]) if how.inverse else None
        one = (true - how.shift) / scales[i] if one is None else one
        small = rng.normal(size=(6, 6))
        field = cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC)
        one = one * np.exp(how.noise * field / small.std())
        wrong = rng.uniform(size=(h, w)) < how.outliers
        one[wrong] *= np.exp(rng.uniform(-np.log(4), np.log(4), wrong.sum()))
        side = round(how.patch * h), round(how.patch * w)
        one[: side[0], : side[1]] = rng.uniform(5, 500, side)
        confidence[i, : side[0], : side[1]] = 1.05
        out[i] = one
    rays = np.stack([pixel_rays(camera) for camera in cameras])
    own = (rays * out[..., None]).astype(np.float32)
    frame = cameras.c2w[0] if origin is None else np.asarray(origin)
    pose = invert_pose(frame) @ cameras.c2w
    pose[:, :3, 3] += rng.normal(size=(n, 3)) * how.astray * float(np.median(depth))
    # The common frame has one unit, whatever scale each view's own points have.
    unit = 1 / scales[0]
    common = np.einsum("tij,thwj->thwi", pose[:, :3, :3], own)
    common = common * (scales * unit)[:, None, None, None]
    common += unit * pose[:, None, None, :3, 3]
    return Predicted(own, confidence, points_world=common.astype(np.float32), origin=frame)


def scale_errors(report, scales) -> np.ndarray:
    """(T,) relative errors."""
    found = np.array([view.line.scale for view in report.views])
    return np.abs(found / np.broadcast_to(scales, len(found)) - 1)


def depth_errors(maps, truth) -> np.ndarray:
    """Relative, of all pixels that may enter memory."""
    sure = maps.confidence >= MIN_CONFIDENCE
    return np.abs(maps.depth[sure] / truth[sure] - 1)


def sources(report) -> set[str]:
    return {view.source for view in report.views}


def harmless(result, hw=HW):
    """Nothing in it can hurt whoever takes it into memory."""
    maps = result.maps
    maps.validated((len(result.report.views), *hw))
    assert np.isfinite(maps.points).all()
    assert np.isfinite(maps.depth).all()
    assert ((maps.confidence >= 0) & (maps.confidence <= 1)).all()
    assert str(result.report).startswith("alignment: view 0 by ")
    return maps
