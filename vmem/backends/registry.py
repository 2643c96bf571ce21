"""The backends by name, one row each: which can run here, and how one is made."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from vmem.backends.backend import Backend, Recipe
from vmem.backends.geometry import (
    AUTO,
    EXACT,
    GEOMETRIES,
    OWN,
    GeometryError,
    geometry_asked,
    resolve_geometry,
)
from vmem.cameras import Camera
from vmem.devices.settings import SAMPLERS, NetworkSettings
from vmem.errors import BackendError
from vmem.formats.photos import check_size
from vmem.types import Frames


@dataclass(frozen=True)
class Order:
    """What a backend is made with. Raises BackendError for another seed, PhotoError for a size."""

    seed: int
    """Fixes the scene of a backend that renders its own."""
    size: int
    """Side of the square frames in pixels, where the backend leaves the choice."""
    networks: NetworkSettings
    """How networks run."""

    def __post_init__(self) -> None:
        if not isinstance(self.seed, int | np.integer) or not 0 <= self.seed < 2**32:
            raise BackendError(
                f"seed must be a whole number between 0 and {2**32 - 1}, got {self.seed!r}"
            )
        check_size(self.size)


@dataclass(frozen=True)
class BackendRow:
    """One backend that a user can name."""

    make: Callable[[Order], Backend]
    """Makes it with its own geometry; networks load when they are first used."""
    geometries: tuple[str, ...]
    """What "auto" geometry means, best first, before the backend's own."""
    aligned: tuple[str, ...]
    """Geometries that bring the depth of its new frames to memory's scale themselves."""
    takes_photo: bool = True
    """Whether it walks into a photo; the others render a scene of their own."""
    own: str | None = OWN
    """Its own geometry: a name of GEOMETRIES, EXACT where it knows the depth of its frames, or OWN;
    None: the layout, which its label then names as it does any other."""
    check: Callable[[NetworkSettings], str] | None = None
    """Raises BackendError where it cannot run; else says where it does, as one clause."""


def _preview(order: Order) -> Backend:
    from vmem.generation.preview.generator import PreviewGenerator

    return Backend(
        "preview",
        "preview: depth warping and mirrored continuation, no diffusion",
        PreviewGenerator(),
        GEOMETRIES["layout"].make(order.networks),
    )


def _world(order: Order) -> Backend:
    from vmem.worlds.backend import WorldGenerator, WorldGeometry, make_world, start_camera

    world = make_world(order.seed)
    generator = WorldGenerator(world)

    def own_scene() -> tuple[Frames, Camera]:
        camera = start_camera(world, (order.size, order.size))
        return generator.render_frames([camera]), camera

    return Backend(
        "world",
        "world: exact renders of a procedural scene (ground truth)",
        generator,
        WorldGeometry(),
        own_scene,
        truth=world,
    )


def _vmem(order: Order) -> Backend:
    from vmem.generation.diffusion.availability import slots
    from vmem.generation.diffusion.generator import DiffusionGenerator

    networks = order.networks
    # What a local copy holds is for its owner to know.
    weights = "weights of VMEM_UNET" if os.environ.get("VMEM_UNET") else "released weights"
    others = tuple(name for name in SAMPLERS if name != networks.preset)
    return Backend(
        "vmem",
        f"vmem: multi-view diffusion, {weights}",
        DiffusionGenerator(networks),
        GEOMETRIES["layout"].make(networks),
        frame_size=networks.size,
        slots=slots(),
        samplers=(networks.preset, *others),
    )


def _check_vmem(networks: NetworkSettings) -> str:
    from vmem.generation.diffusion.availability import refusal, where

    screen = refusal(networks)
    if screen is not None:
        raise BackendError(screen)
    return where(networks)


BACKENDS: dict[str, BackendRow] = {
    # Depth Anything takes the depth that preview's frames carry, so only CUT3R aligns by itself.
    "preview": BackendRow(_preview, ("depth-anything",), ("cut3r",), own="layout"),
    "vmem": BackendRow(
        _vmem,
        ("cut3r", "depth-anything"),
        ("cut3r", "depth-anything"),
        own=None,
        check=_check_vmem,
    ),
    "world": BackendRow(_world, (), ("cut3r",), takes_photo=False, own=EXACT),
}
"""Name -> row. To add a backend, add a row here."""

NAMES = (AUTO, *BACKENDS)
"""All names that a user may give; AUTO is ``vmem`` where it can run, else ``preview``."""
PHOTO_NAMES = (AUTO, *(name for name, row in BACKENDS.items() if row.takes_photo))
"""Those that walk into a photo."""


def resolve(name: str, networks: NetworkSettings | None = None) -> tuple[str, str]:
    """The backend that ``name`` means here, and why, as one clause.

    networks: for the vmem backend; by default from the environment. Raises BackendError, for
    vmem with one screen on what is missing, and NetworkSettingsError.
    """
    if name not in NAMES:
        raise BackendError(f"unknown backend {name!r}: use one of {', '.join(NAMES)}")
    if name != AUTO and BACKENDS[name].check is None:
        return name, "asked for"
    networks = networks or NetworkSettings.from_environment()
    if name == AUTO:
        from vmem.generation.diffusion.availability import where, why_not

        reason = why_not(networks)
        return ("vmem", where(networks)) if reason is None else ("preview", reason)
    check = BACKENDS[name].check
    return name, "asked for" if check is None else check(networks)


def geometry_of(
    backend: str, asked: str | None = None, networks: NetworkSettings | None = None
) -> tuple[str, str]:
    """The geometry that ``asked`` (by default VMEM_GEOMETRY, or auto) means with a backend of
    `resolve`, and why, as one clause. Raises BackendError."""
    row = BACKENDS[backend]
    networks = networks or NetworkSettings.from_environment()
    wanted = asked or geometry_asked()
    if row.own == EXACT and wanted in GEOMETRIES and wanted not in row.aligned:
        if asked:
            raise GeometryError(
                f"the {backend} backend knows the exact depth of its frames, which only "
                f"{' or '.join(row.aligned)} can replace, not {asked}: leave --geometry out"
            )
        wanted = AUTO  # VMEM_GEOMETRY is said of every backend
    return resolve_geometry(wanted, row.geometries, row.own or "layout", networks)


def create_backend(
    name: str,
    *,
    seed: int = 0,
    size: int = 288,
    networks: NetworkSettings | None = None,
    geometry: str | None = None,
) -> Backend:
    """Make a backend; frames will be ``size`` pixels square where it renders its own scene.

    networks: how the vmem backend works (its frames have a size of their own), and where CUT3R
    runs; by default from the environment. Networks load when they are first used. geometry: a name
    of GEOMETRIES, by default VMEM_GEOMETRY, or auto. Raises BackendError for a backend or geometry
    that is unknown or cannot run here and for another seed, PhotoError for another size,
    NetworkSettingsError.
    """
    networks = networks or NetworkSettings.from_environment()
    resolved = resolve(name, networks)[0]
    chosen, why = geometry_of(resolved, geometry, networks)
    row = BACKENDS[resolved]
    made = row.make(Order(seed, size, networks))
    if chosen != row.own:
        made = replace(
            made,
            label=f"{made.label}; {GEOMETRIES[chosen].label} ({why})",
            geometry=GEOMETRIES[chosen].make(networks),
            aligned_depth=chosen in row.aligned,
        )
    parts = made.generator, made.geometry
    return replace(made, recipe=Recipe(resolved, chosen, int(seed), size, networks, *parts))
