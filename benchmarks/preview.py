"""Speed of the preview generator, and how well a walk in a loop reproduces its first view.

The scene is synthetic (a textured floor before a wall, exact depth): the same on every machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import cv2
import numpy as np

from benchmarks._metrics import Metric, Row, measured
from vmem.arrays import U8
from vmem.cameras import (
    MOVES,
    Camera,
    Cameras,
    apply_move,
    default_K,
    path_targets,
    pixel_rays,
    pose_distance,
    rotation_x,
)
from vmem.generation import Context
from vmem.generation.preview.generator import PreviewGenerator
from vmem.progress import CancelToken, silent
from vmem.types import Frames, View

CONTEXT_VIEWS = 4
TARGETS = 4

METRICS = (
    Metric("step_*", "s"),
    Metric("loop_psnr_*", "dB", "higher", tolerance=0.3),
    Metric("loop_sharpness_*", "ratio", "higher", tolerance=0.02),
)


def run() -> Iterator[Row]:
    """Rows of output."""
    for size in (288, 576):
        seconds = _seconds_a_step(_room(size))
        yield measured(f"step_{size}", seconds)
    yield from _loop_closure(_room(288))


def _room(size: int) -> View:
    rng = np.random.default_rng(0)
    coarse = rng.integers(20, 235, (size // 6 + 2, size // 6 + 2, 3), np.uint8)
    rgb = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    c2w = np.eye(4)
    c2w[:3, :3] = rotation_x(-0.1)
    camera = Camera(c2w, default_K((size, size)), (size, size))
    rays = pixel_rays(camera) @ c2w[:3, :3].T
    to_wall = 2.0 / np.maximum(rays[..., 2], 1e-6)
    to_floor = np.where(rays[..., 1] > 0, 0.4 / np.maximum(rays[..., 1], 1e-6), np.inf)
    depth = np.minimum(to_wall, to_floor).astype(np.float32)
    return View(np.asarray(rgb, np.uint8), camera, 0, depth, np.ones_like(depth))


class _Walk:
    """A session in small: every view kept, the nearest poses as context."""

    def __init__(self, photo: View) -> None:
        self.generator = PreviewGenerator()
        self.photo = photo
        self.views = [photo]
        self.pose = photo.camera.c2w

    def step(self, word: str, *, without_photo: bool = False) -> None:
        end = apply_move(self.pose, MOVES[word])
        targets = path_targets(self.photo.camera.moved_to(self.pose), end, TARGETS)
        pool = self.views[1:] if without_photo and len(self.views) > 1 else self.views
        pool = sorted(pool, key=lambda view: float(pose_distance(view.camera.c2w, end)))
        context = Context(tuple(pool[:CONTEXT_VIEWS]), self.photo, 1)
        frames = self.generator.generate(
            context, targets, seed=0, on_progress=silent, cancel=CancelToken()
        )
        self.views += _views(frames, targets)
        self.pose = end


def _views(frames: Frames, cameras: Cameras) -> Iterator[View]:
    assert frames.depth is not None
    assert frames.provenance is not None
    assert frames.age is not None
    for i in range(len(frames)):
        depth = frames.depth[i]
        yield View(
            frames.rgb[i],
            cameras[i],
            1,
            depth,
            np.ones_like(depth),
            frames.provenance[i],
            frames.age[i],
        )


def _seconds_a_step(photo: View) -> float:
    """Median seconds for one step of four frames from four context views, kernels warm."""
    walk = _Walk(photo)
    walk.step("a")
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        walk.step("a")
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def _loop_closure(photo: View) -> Iterator[Row]:
    """15 turns out and 15 back; once as it is, once never seeing the photo again."""
    for name, without_photo in (("photo_retrieved", False), ("photo_forgotten", True)):
        walk = _Walk(photo)
        for word in ["a"] * 15 + ["d"] * 15:
            walk.step(word, without_photo=without_photo)
        home = walk.views[-1].rgb
        error = np.mean((home.astype(float) - photo.rgb) ** 2)
        psnr = 10 * math.log10(255**2 / max(float(error), 1e-9))
        yield measured(f"loop_psnr_{name}", psnr)
        ratio = _sharpness(home) / _sharpness(photo.rgb)
        yield measured(f"loop_sharpness_{name}", ratio)


def _sharpness(rgb: U8) -> float:
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(cv2.Laplacian(gray, cv2.CV_32F).var())
