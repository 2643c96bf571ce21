"""A backend: a generator and a geometry estimator that belong together, and what they can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from vmem.cameras import Camera
from vmem.devices.settings import NetworkSettings
from vmem.errors import BackendError
from vmem.formats.photos import check_pixels
from vmem.generation import Generator
from vmem.geometry import GeometryEstimator
from vmem.types import Frames, Provenance
from vmem.worlds.backend import World


@dataclass(frozen=True, eq=False)
class Recipe:
    """What `create_backend` made a backend with: enough to make one like it."""

    name: str
    """Its row in vmem.backends.registry.BACKENDS."""
    geometry: str
    """What `geometry_of` answered: a name of GEOMETRIES, or EXACT or OWN."""
    seed: int
    size: int
    networks: NetworkSettings
    generator: Generator
    estimator: GeometryEstimator

    def made(self, backend: Backend) -> bool:
        """Whether the backend still has the parts that were made: another may have been put in
        their place."""
        return backend.generator is self.generator and backend.geometry is self.estimator


@dataclass(frozen=True, eq=False)
class Backend:
    """What makes the frames of a walk, and what it is capable of."""

    name: str
    """Its row in vmem.backends.registry.BACKENDS, or any name for one made by hand."""
    label: str
    """One line for people, honest about what makes the frames."""
    generator: Generator
    """Makes new frames from retrieved views."""
    geometry: GeometryEstimator
    """Says where the pixels of new frames are."""
    own_scene: Callable[[], tuple[Frames, Camera]] | None = None
    """The first view of a backend that renders its own scene and takes no photo."""
    frame_size: int | None = None
    """Side of the square frames in pixels, where the backend makes no others."""
    slots: int | None = None
    """How many context views and targets a step can have together; None for any number."""
    samplers: tuple[str, ...] = ()
    """Names of samplers that a step may be made with, the default first; () where it has none."""
    truth: World | None = None
    """The scene that the frames show exactly, where there is one."""
    aligned_depth: bool = False
    """Whether the geometry fits the depth of new frames to memory, so that what is left are errors
    that are smooth over a frame."""
    recipe: Recipe | None = None
    """What it was made with by `create_backend`; None for one made by hand."""

    @property
    def sampler(self) -> str | None:
        """The sampler of a step that names none; None where the backend has none."""
        return self.samplers[0] if self.samplers else None

    def described(self, sampler: str | None = None) -> str:
        """The label, with the sampler that is used (by default the backend's own)."""
        sampler = sampler or self.sampler
        return f"{self.label} · sampler: {sampler}" if self.samplers else self.label

    def first_view(self, photo: UInt8[np.ndarray, "H W 3"] | None) -> tuple[Frames, Camera]:
        """The first frame and its camera. Raises BackendError where photo and backend don't fit,
        PhotoError for what is no photo."""
        if self.own_scene is not None:
            if photo is not None:
                raise BackendError(
                    f"the {self.name} backend renders its own scene and takes no photo: "
                    "leave the photo out, or use --backend preview"
                )
            return self.own_scene()
        if photo is None:
            raise BackendError(f"the {self.name} backend needs a photo to start from")
        check_pixels(photo)
        side = self.frame_size
        if side is not None and photo.shape[:2] != (side, side):
            raise BackendError(
                f"the {self.name} backend makes frames of {side} by {side} pixels and needs a "
                f"photo of that size, got {photo.shape[1]} by {photo.shape[0]}: give the photo's "
                f"path, or load_photo(path, {side}).rgb"
            )
        whole = np.ones((1, *photo.shape[:2]))
        frames = Frames(
            rgb=photo[None],
            provenance=(whole * Provenance.OBSERVED).astype(np.uint8),
            age=np.zeros(whole.shape, np.float32),
        )
        return frames, self.geometry.place(photo)
