"""The vmem backend on tiny networks, in files of the released formats, found by the environment.

`tests.backends.conftest` has the fixtures. Steps take a fraction of a second: geometry is exact
unless a test asks for the backend as people get it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.support import tiny
from tests.support.fakes import BoxGeometry, box_photo
from vmem.arrays import U8
from vmem.backends import create_backend
from vmem.generation.diffusion.generator import DiffusionGenerator
from vmem.generation.diffusion.sampling.presets import PRESETS
from vmem.progress import Progress
from vmem.session import Session, SessionConfig

SIZE = 64
CONFIG = SessionConfig(target_views=2, context_views=3)
STEPS = PRESETS["fast"].steps
"""Evaluations of the network a step."""
PHOTO = box_photo((SIZE, SIZE))


def write_released(folder: Path) -> Path:
    """Write the three parts that the backend needs; returns the folder."""
    tiny.write_unet(folder / "unet")
    tiny.write_vae(folder / "vae")
    tiny.write_clip(folder / "clip")
    return folder


def environment(files: Path) -> dict[str, str]:
    """The variables of someone who has the weights and asks for the CPU."""
    named = {f"VMEM_{part.upper()}": str(files / part) for part in ("unet", "vae", "clip")}
    own = {"VMEM_CACHE": str(files / "cache"), "VMEM_DEVICE": "cpu", "VMEM_SIZE": str(SIZE)}
    return named | own | {"VMEM_PRESET": "fast"}


def opened(seed: int = 0, photo: U8 = PHOTO, **changes: int) -> Session:
    """A session on the tiny networks with exact geometry; ``changes`` to its configuration."""
    backend = replace(create_backend("vmem"), geometry=BoxGeometry())
    return Session.open(photo, backend=backend, seed=seed, config=replace(CONFIG, **changes))


def generator(session: Session) -> DiffusionGenerator:
    """The session's generator."""
    assert isinstance(session.backend.generator, DiffusionGenerator)
    return session.backend.generator


def state_of(session: Session) -> tuple:
    """What must not change when a step fails."""
    return session.memory, session.history.head, session.camera


def frames_of(session: Session) -> np.ndarray:
    """(N, H, W, 3) u8: the pictures of all views."""
    return np.stack([view.rgb for view in session.memory.views])


def stages(reports: list[Progress]) -> list[str]:
    """Names of the stages in the order in which they began."""
    return list(dict.fromkeys(progress.stage for progress in reports))
