"""A walk with a generator alone: every view kept, the nearest poses as context.

What is compared so depends on the generator only: a session's retrieval may choose another of two
views that are nearly as good, for a difference in the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np

from vmem.arrays import U8
from vmem.cameras import MOVES, Cameras, apply_move, path_targets, pose_distance
from vmem.generation import Context, Generator
from vmem.progress import CancelToken, silent
from vmem.types import Frames, View

CONTEXT_VIEWS = 4
TARGETS = 4


class Walk:
    """From a first view on."""

    def __init__(self, photo: View, generator: Generator) -> None:
        self.generator = generator
        self.photo = photo
        self.views = [photo]
        self.pose = photo.camera.c2w

    def step(self, word: str, *, without_photo: bool = False) -> None:
        """One step by a move word; ``without_photo`` leaves the first view out of the context."""
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


def psnr(frames: U8, others: U8) -> float:
    """In dB, over all pixels."""
    error = float(np.mean((frames.astype(float) - others) ** 2))
    return 10 * math.log10(255**2 / max(error, 1e-9))


def sharpness(rgb: U8) -> float:
    """Variance of the Laplacian."""
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(cv2.Laplacian(gray, cv2.CV_32F).var())
