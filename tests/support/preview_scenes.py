"""Small exact scenes for the tests of the embedded generator."""

from __future__ import annotations

import math

import cv2
import numpy as np

from vmem.cameras import Camera, Cameras, default_K, pixel_rays, rotation_x, rotation_y
from vmem.generation import Context
from vmem.generation.preview.generator import PreviewGenerator
from vmem.progress import CancelToken, silent
from vmem.types import Frames, View

FLOOR = 0.4
WALL = 2.0


def texture(hw: tuple[int, int], seed: int = 0, detail: int = 3) -> np.ndarray:
    """A random picture (H, W, 3) u8 with blobs of ``detail`` pixels."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 235, (hw[0] // detail + 2, hw[1] // detail + 2, 3), np.uint8)
    return cv2.resize(coarse, (hw[1], hw[0]), interpolation=cv2.INTER_CUBIC)


def camera_at(
    position: tuple[float, float, float] = (0, 0, 0),
    yaw: float = 0.0,
    pitch: float = 0.0,
    hw: tuple[int, int] = (48, 64),
) -> Camera:
    c2w = np.eye(4)
    c2w[:3, :3] = rotation_y(yaw) @ rotation_x(pitch)
    c2w[:3, 3] = position
    return Camera(c2w, default_K(hw), hw)


def room_depth(camera: Camera) -> np.ndarray:
    """Exact z-depth of a floor at y = FLOOR before a wall at z = WALL, seen from the origin."""
    rays = pixel_rays(camera) @ camera.c2w[:3, :3].T
    to_wall = WALL / np.maximum(rays[..., 2], 1e-6)
    to_floor = np.where(rays[..., 1] > 0, FLOOR / np.maximum(rays[..., 1], 1e-6), np.inf)
    return np.minimum(to_wall, to_floor).astype(np.float32)


def room(pitch: float = -0.1, hw: tuple[int, int] = (48, 64), detail: int = 3) -> View:
    camera = camera_at(pitch=pitch, hw=hw)
    return View(texture(hw, detail=detail), camera, 0, room_depth(camera), np.ones(hw, np.float32))


def plain_view(rgb: np.ndarray, depth: np.ndarray) -> View:
    hw = (depth.shape[0], depth.shape[1])
    return View(rgb, camera_at(hw=hw), 0, depth.astype(np.float32), np.ones(hw, np.float32))


def generate(view: View, *cameras: Camera, views: tuple[View, ...] = (), seed: int = 0) -> Frames:
    context = Context(views or (view,), view, 1)
    return PreviewGenerator().generate(
        context, Cameras.stack(cameras), seed=seed, on_progress=silent, cancel=CancelToken()
    )


def as_views(frames: Frames, cameras: Cameras, step: int) -> list[View]:
    assert frames.depth is not None
    assert frames.provenance is not None
    assert frames.age is not None
    return [
        View(
            frames.rgb[i],
            cameras[i],
            step,
            frames.depth[i],
            np.ones_like(frames.depth[i]),
            frames.provenance[i],
            frames.age[i],
        )
        for i in range(len(frames))
    ]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return 10 * math.log10(255**2 / max(error, 1e-9))


def sharpness(rgb: np.ndarray) -> float:
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(cv2.Laplacian(gray, cv2.CV_32F)[3:-3, 3:-3].var())
