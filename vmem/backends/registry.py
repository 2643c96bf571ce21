"""Named pairs of a generator and a geometry estimator, and the choice among them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from vmem.arrays import U8
from vmem.backends.geometry import (
    ALIGNED,
    ESTIMATORS,
    LABELS,
    GeometryError,
    geometry_asked,
    resolve_geometry,
)
from vmem.cameras import Camera
from vmem.devices.settings import NetworkSettings
from vmem.errors import BackendError
from vmem.generation import Generator
from vmem.geometry import GeometryEstimator
from vmem.types import Frames, Provenance

BACKENDS = ("auto", "preview", "world", "vmem")


@dataclass(frozen=True, eq=False)
class Backend:
    """name · label: one line for people, honest about what makes the frames · generator, geometry ·
    own_scene: the first view of a backend that renders its own scene and takes no photo ·
    frame_size: side of the square frames in pixels where the backend makes no others · slots: how
    many context views and targets a step can have together, None for any number ·
    aligned_depth: the geometry fits the depth of new frames to memory, and what is left errs
    smoothly over a frame."""

    name: str
    label: str
    generator: Generator
    geometry: GeometryEstimator
    own_scene: Callable[[], tuple[Frames, Camera]] | None = None
    frame_size: int | None = None
    slots: int | None = None
    aligned_depth: bool = False

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


def _preview(seed: int, size: int, diffusion: NetworkSettings) -> Backend:
    from vmem.generation.preview.generator import PreviewGenerator

    return Backend(
        "preview",
        "preview: depth warping and mirrored continuation, no diffusion",
        PreviewGenerator(),
        ESTIMATORS["layout"](diffusion),
    )


def _world(seed: int, size: int, diffusion: NetworkSettings) -> Backend:
    from vmem.worlds.backend import WorldGenerator, WorldGeometry, make_world, start_camera

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


def _vmem(seed: int, size: int, diffusion: NetworkSettings) -> Backend:
    from vmem.generation.diffusion.availability import slots
    from vmem.generation.diffusion.generator import DiffusionGenerator

    # What a local copy holds is for its owner to know.
    weights = "weights of VMEM_UNET" if os.environ.get("VMEM_UNET") else "released weights"
    return Backend(
        "vmem",
        f"vmem: multi-view diffusion ({diffusion.preset}), {weights}",
        DiffusionGenerator(diffusion),
        ESTIMATORS["layout"](diffusion),
        frame_size=diffusion.size,
        slots=slots(),
    )


def resolve(name: str, diffusion: NetworkSettings | None = None) -> tuple[str, str]:
    """The backend that ``name`` means here, and why, as one clause.

    ``diffusion``: for the vmem backend; by default from the environment. Raises BackendError, for
    vmem with one screen on what is missing, and NetworkSettingsError.
    """
    if name not in BACKENDS:
        raise BackendError(f"unknown backend {name!r}: use one of {', '.join(BACKENDS)}")
    if name in ("preview", "world"):
        return name, "asked for"
    from vmem.generation.diffusion.availability import refusal, where, why_not

    settings = diffusion or NetworkSettings.from_environment()
    if name == "auto":
        reason = why_not(settings)
        return ("vmem", where(settings)) if reason is None else ("preview", reason)
    screen = refusal(settings)
    if screen is not None:
        raise BackendError(screen)
    return "vmem", where(settings)


def geometry_of(
    backend: str, asked: str | None = None, diffusion: NetworkSettings | None = None
) -> tuple[str, str]:
    """The geometry that ``asked`` (by default VMEM_GEOMETRY, or auto) means with a backend of
    `resolve`, and why, as one clause. Raises BackendError."""
    try:
        return resolve_geometry(
            asked or geometry_asked(), backend, diffusion or NetworkSettings.from_environment()
        )
    except GeometryError as error:
        raise BackendError(str(error)) from error


def create_backend(
    name: str,
    *,
    seed: int = 0,
    size: int = 288,
    diffusion: NetworkSettings | None = None,
    geometry: str | None = None,
) -> Backend:
    """Build a backend; frames will be ``size`` pixels square where it renders its own scene.

    ``diffusion``: how the vmem backend works (its frames have a size of their own), and where CUT3R
    runs; by default from the environment. Networks are loaded when they are first used. geometry:
    of vmem.backends.geometry.GEOMETRIES, by default VMEM_GEOMETRY, or auto. Raises BackendError
    for a backend or geometry that is unknown or cannot run here, NetworkSettingsError.
    """
    diffusion = diffusion or NetworkSettings.from_environment()
    builders = {"preview": _preview, "world": _world, "vmem": _vmem}
    resolved = resolve(name, diffusion)[0]
    chosen, why = geometry_of(resolved, geometry, diffusion)
    made = builders[resolved](seed, size, diffusion)
    if chosen not in ESTIMATORS or (chosen == "layout" and resolved != "vmem"):
        return made
    return replace(
        made,
        label=f"{made.label}; {LABELS[chosen]} ({why})",
        geometry=ESTIMATORS[chosen](diffusion),
        aligned_depth=chosen in ALIGNED[resolved],
    )
