"""Named pairs of a generator and a geometry estimator, and the choice among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vmem.cameras import Camera
from vmem.errors import VMemError
from vmem.generation.base import Generator
from vmem.geometry.base import GeometryEstimator
from vmem.views import U8, Frames, Provenance

BACKENDS = ("auto", "preview", "world", "vmem")


class BackendError(VMemError, RuntimeError):
    """A backend that cannot run here, with what to do about it."""


@dataclass(frozen=True, eq=False)
class Backend:
    """name · label: one line for people, honest about what makes the frames · generator, geometry ·
    own_scene: the first view of a backend that renders its own scene and takes no photo."""

    name: str
    label: str
    generator: Generator
    geometry: GeometryEstimator
    own_scene: Callable[[], tuple[Frames, Camera]] | None = None

    def first_view(self, photo: U8 | None) -> tuple[Frames, Camera]:
        """The first frame and its camera. Raises BackendError where photo and backend don't fit."""
        if self.own_scene is not None:
            if photo is not None:
                raise BackendError(
                    f"the {self.name} backend renders its own scene and takes no photo: "
                    "leave the photo out, or use --backend preview"
                )
            return self.own_scene()
        if photo is None:
            raise BackendError(f"the {self.name} backend needs a photo to start from")
        whole = np.ones((1, *photo.shape[:2]))
        frames = Frames(
            rgb=photo[None],
            provenance=(whole * Provenance.OBSERVED).astype(np.uint8),
            age=np.zeros(whole.shape, np.float32),
        )
        return frames, self.geometry.place(photo)


def _preview(seed: int, size: int) -> Backend:
    from vmem.generation.preview import PreviewGenerator
    from vmem.geometry.layout import LayoutEstimator

    return Backend(
        "preview",
        "preview: depth warping and mirrored continuation, no diffusion",
        PreviewGenerator(),
        LayoutEstimator(),
    )


def _world(seed: int, size: int) -> Backend:
    from vmem.generation.world import WorldGenerator, WorldGeometry, make_world, start_camera

    world = make_world(seed)
    generator = WorldGenerator(world)

    def own_scene() -> tuple[Frames, Camera]:
        camera = start_camera(world, (size, size))
        return generator.render_frames([camera]), camera

    return Backend(
        "world",
        "world: exact renders of a procedural scene (ground truth)",
        generator,
        WorldGeometry(),
        own_scene,
    )


NO_VMEM = "the released model is not part of this version yet"


def resolve(name: str) -> tuple[str, str]:
    """The backend that ``name`` means here, and why, as one clause. Raises BackendError."""
    if name not in BACKENDS:
        raise BackendError(f"unknown backend {name!r}: use one of {', '.join(BACKENDS)}")
    if name == "vmem":
        raise BackendError(
            f"the vmem backend cannot run: {NO_VMEM}. "
            "Use --backend preview; `python -m vmem doctor` tells what this machine has."
        )
    return ("preview", NO_VMEM) if name == "auto" else (name, "asked for")


def create_backend(name: str, *, seed: int = 0, size: int = 288) -> Backend:
    """Build a backend; frames will be ``size`` pixels square where it renders its own scene.

    Raises BackendError for one that is unknown or cannot run here.
    """
    builders = {"preview": _preview, "world": _world}
    return builders[resolve(name)[0]](seed, size)
