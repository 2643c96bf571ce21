"""A backend whose every answer is known: the inside of a textured box, in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vmem.arrays import U8
from vmem.backends import Backend
from vmem.cameras import Camera, Cameras, default_K, pixel_rays, unproject
from vmem.generation import Context
from vmem.memory import MemorySnapshot
from vmem.progress import CancelToken, OnProgress, Progress, silent
from vmem.session import Session, SessionConfig
from vmem.types import AssociationConfig, Frames, PointMaps

HW = (48, 48)
HALF = np.array([2.0, 1.5, 3.0])
"""Half the box's sides; its centre is the world's origin."""
CONFIG = SessionConfig(association=AssociationConfig(points_per_frame=600))
"""Few surfels, so that long walks are quick."""

OnFrame = Callable[[int, CancelToken], None]


def box_depth(camera: Camera) -> NDArray[np.float32]:
    """(H, W) f32 exact z-depth of the box's walls, for a camera inside it."""
    rays = pixel_rays(camera) @ camera.c2w[:3, :3].T
    walls = np.where(rays < 0, -HALF, HALF)
    along = np.where(rays == 0, 1.0, rays)
    depth = np.where(rays == 0, np.inf, (walls - camera.position) / along)
    return depth.min(axis=-1).astype(np.float32)


def box_colour(points: NDArray) -> U8:
    """(..., 3) u8 smooth texture of the walls, different everywhere in the box."""
    phase = points * (1.9, 2.3, 1.3) + (0.3, 1.1, 2.0)
    return np.rint(127.5 + 100 * np.sin(np.nan_to_num(phase))).astype(np.uint8)


def box_photo(hw: tuple[int, int] = HW) -> U8:
    """(H, W, 3) u8 what the first camera sees."""
    camera = Camera(np.eye(4), default_K(hw), hw)
    return box_colour(unproject(box_depth(camera), camera))


class BoxGenerator:
    """Renders the box. The seed and the context show, so that tests can tell them apart."""

    def __init__(self, on_frame: OnFrame = lambda i, cancel: None) -> None:
        self.on_frame = on_frame

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
        """Exact renders plus one grey level of noise that depends on seed and step."""
        rng = np.random.default_rng([seed, context.step, len(context.views)])
        frames = []
        for i, target in enumerate(targets):
            self.on_frame(i, cancel)
            cancel.check()
            colour = box_colour(unproject(box_depth(target), target))
            frames.append(colour + rng.integers(0, 2, colour.shape, np.uint8))
            on_progress(Progress("generate", i + 1, len(targets)))
        return Frames(rgb=np.stack(frames))


class BoxGeometry:
    """Knows the box."""

    def place(self, photo: U8) -> Camera:
        """A level camera in the middle of the box."""
        hw = (photo.shape[0], photo.shape[1])
        return Camera(np.eye(4), default_K(hw), hw)

    def estimate(
        self,
        frames: Frames,
        cameras: Cameras,
        memory: MemorySnapshot,
        *,
        on_progress: OnProgress = silent,
        cancel: CancelToken | None = None,
    ) -> PointMaps:
        """Exact point maps, all of confidence 1."""
        depth = np.stack([box_depth(camera) for camera in cameras])
        points = np.stack([unproject(d, camera) for d, camera in zip(depth, cameras, strict=True)])
        return PointMaps(points, depth, np.ones_like(depth))


@dataclass(frozen=True)
class SamplerSettings:
    """As much of a sampling generator's settings as the viewer knows."""

    preset: str = "reference"


class FormingGenerator:
    """Makes the box's frames out of noise, step by step, and shows them as they form.

    ``on_step(i, cancel)`` is called before every one of STEPS steps.
    """

    STEPS = 5
    SMALL = (36, 36)

    def __init__(self, on_step: OnFrame = lambda i, cancel: None) -> None:
        self.on_step = on_step
        self.settings = SamplerSettings()
        self.used: list[str] = []
        """The preset of every step."""

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
        """As BoxGenerator, reporting the stages of a diffusion model."""
        if not self.used:
            on_progress(Progress("weights", 2, 2))
        self.used.append(sampler or self.settings.preset)
        on_progress(Progress("encode", 1, 1))
        made = BoxGenerator().generate(
            context, targets, seed=seed, on_progress=lambda _: None, cancel=cancel
        )
        for i in range(self.STEPS):
            self.on_step(i, cancel)
            cancel.check()
            forming = self.forming(made.rgb, (i + 1) / self.STEPS)
            on_progress(Progress("denoise", i + 1, self.STEPS, forming))
        on_progress(Progress("decode", 1, 1))
        return made

    def forming(self, rgb: U8, share: float) -> U8:
        """(T, *SMALL, 3) u8 frames (T, H, W, 3), ``share`` of them and the rest noise."""
        small = np.stack([cv2.resize(frame, self.SMALL[::-1]) for frame in rgb])
        noise = np.random.default_rng(0).integers(0, 255, small.shape)
        return (share * small + (1 - share) * noise).astype(np.uint8)


def forming_backend(on_step: OnFrame = lambda i, cancel: None) -> Backend:
    """The box by a generator that shows its frames as they form."""
    label = "forming: a test's own scene out of noise"
    samplers = ("reference", "balanced", "fast")
    return Backend("forming", label, FormingGenerator(on_step), BoxGeometry(), samplers=samplers)


def box_backend(on_frame: OnFrame = lambda i, cancel: None) -> Backend:
    """The box as a backend; ``on_frame(i, cancel)`` is called before every frame."""
    return Backend("box", "box: a test's own scene", BoxGenerator(on_frame), BoxGeometry())


def open_box(seed: int = 0, backend: Backend | None = None) -> Session:
    """A session in the box."""
    return Session.open(box_photo(), backend=backend or box_backend(), seed=seed, config=CONFIG)
