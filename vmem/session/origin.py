"""What a walk's file says of how the walk was made, and the backend that goes on with it."""

from __future__ import annotations

import platform
from dataclasses import asdict, replace
from typing import Any

import numpy as np

import vmem
from vmem.backends import Backend, Recipe, create_backend
from vmem.backends.geometry import GEOMETRIES
from vmem.cameras import Camera
from vmem.devices.settings import NetworkSettings
from vmem.errors import BackendError
from vmem.session.config import ConfigError, SessionConfig
from vmem.store import Origin
from vmem.types import AssociationConfig

OF_A_MACHINE = ("memory", "device")
"""Settings of networks that are the machine's that goes on; all others are the walk's."""
AUTO = "auto"


def origin_of(backend: Backend, config: SessionConfig, camera: Camera, photo: str) -> Origin:
    """What made a walk whose first view is by ``camera``; ``photo``: the name of its photo."""
    recipe = _recipe(backend)
    networks = None
    if recipe is not None and (recipe.name == "vmem" or _is_network(recipe.geometry)):
        networks = {k: v for k, v in asdict(recipe.networks).items() if k not in OF_A_MACHINE}
    return Origin(
        backend=backend.name,
        label=backend.described(config.sampler),
        geometry=None if recipe is None else recipe.geometry,
        seed=config.seed if recipe is None else recipe.seed,
        size=camera.hw[0] if recipe is None else recipe.size,
        config=config_to_json(config),
        networks=networks,
        photo=photo,
        versions={
            "vmem": vmem.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    )


def backend_of(origin: Origin, given: Backend | None) -> Backend:
    """The backend that goes on with a walk: ``given`` if it is the walk's, else made anew.

    Raises BackendError for a given one that differs, saying in what; for a walk whose backend was
    made by hand, if none is given; and what `create_backend` raises.
    """
    if given is not None:
        differs = differences(origin, given)
        if differs:
            raise BackendError(
                f"this walk cannot go on with the backend given: {'; '.join(differs)}. Leave the "
                "backend out, or give one made as the walk's was"
            )
        return given
    if origin.geometry is None:
        raise BackendError(
            f"this walk was made with a backend of its own ({origin.label}): give it to go on, "
            "vmem.resume(path, backend=...)"
        )
    networks = NetworkSettings.from_environment()
    if origin.networks is not None:
        try:
            networks = replace(networks, **origin.networks)
        except TypeError as error:
            raise BackendError(
                f"this walk states settings of networks that are unknown here ({error}): use the "
                f"version that made it, {origin.versions.get('vmem', 'which is not stated')}"
            ) from error
    # A geometry without a row is the backend's own, which is what "auto" means where it is best.
    geometry = origin.geometry if origin.geometry in GEOMETRIES else AUTO
    made = create_backend(
        origin.backend, seed=origin.seed, size=origin.size, networks=networks, geometry=geometry
    )
    differs = differences(origin, made)
    if differs:
        raise BackendError(f"this walk cannot go on here: {'; '.join(differs)}")
    return made


def differences(origin: Origin, backend: Backend) -> list[str]:
    """In what a backend differs from the one that made a walk: one clause each, [] if in nothing
    that its frames depend on."""
    recipe = _recipe(backend)
    found: list[str] = []

    def compare(what: str, was: object, is_: object) -> None:
        if was != is_:
            found.append(f"{what} was {was}, here it is {is_}")

    compare("the backend", origin.backend, backend.name)
    if found:
        return found
    if recipe is None or origin.geometry is None:
        made_by_hand = "one made by hand"
        if (recipe is None) != (origin.geometry is None):
            known = origin.geometry or made_by_hand
            compare("the geometry", known, made_by_hand if recipe is None else recipe.geometry)
        elif not origin.label.startswith(backend.label):
            compare("the backend", origin.label, backend.label)
        return found
    compare("the geometry", origin.geometry, recipe.geometry)
    if backend.own_scene is not None:
        compare("the scene's seed", origin.seed, recipe.seed)
        compare("the frames' side", origin.size, recipe.size)
    if origin.networks is not None:
        settings = asdict(recipe.networks)
        for name, value in origin.networks.items():
            compare(f"the networks' {name}", value, settings.get(name))
    return found


def config_to_json(config: SessionConfig) -> dict[str, Any]:
    """A configuration as plain values."""
    return asdict(config)


def config_from_json(row: dict[str, Any]) -> SessionConfig:
    """What `config_to_json` wrote. Raises ConfigError for anything else."""
    try:
        fields: dict[str, Any] = row | {"association": AssociationConfig(**row["association"])}
        return SessionConfig(**fields)
    except (KeyError, TypeError) as error:
        raise ConfigError(f"this is no configuration of a walk: {error!r}") from error


def _recipe(backend: Backend) -> Recipe | None:
    """What made the backend, or None where parts of it were made by hand."""
    recipe = backend.recipe
    return recipe if recipe is not None and recipe.made(backend) else None


def _is_network(geometry: str) -> bool:
    return geometry in GEOMETRIES and bool(GEOMETRIES[geometry].packages)
