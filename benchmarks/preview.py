"""Speed of the preview generator, and how well a walk in a loop reproduces its first view.

The scene is synthetic (a textured floor before a wall, exact depth): the same on every machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import cv2
import numpy as np

from benchmarks._metrics import Metric, Row, measured
from benchmarks._preview_walk import Walk, psnr, sharpness
from vmem.cameras import Camera, default_K, pixel_rays, rotation_x
from vmem.generation.preview.generator import PreviewGenerator
from vmem.types import View

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


def _seconds_a_step(photo: View) -> float:
    """Median seconds for one step of four frames from four context views, kernels warm."""
    walk = Walk(photo, PreviewGenerator())
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
        walk = Walk(photo, PreviewGenerator())
        for word in ["a"] * 15 + ["d"] * 15:
            walk.step(word, without_photo=without_photo)
        home = walk.views[-1].rgb
        yield measured(f"loop_psnr_{name}", psnr(home, photo.rgb))
        ratio = sharpness(home) / sharpness(photo.rgb)
        yield measured(f"loop_sharpness_{name}", ratio)
