"""The geometries by name, one row each, and which one goes with a backend. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vmem.devices.settings import NetworkSettings
from vmem.errors import BackendError, VMemError
from vmem.extras import install_command, not_installed
from vmem.geometry import GeometryEstimator
from vmem.weights.catalogue import PARTS
from vmem.weights.parts import status


class GeometryError(BackendError):
    """A geometry that is unknown or cannot run here, with what to do about it."""


@dataclass(frozen=True)
class Geometry:
    """One geometry that a backend can be combined with."""

    title: str
    """What people call it."""
    label: str
    """What a backend's label says of it."""
    make: Callable[[NetworkSettings], GeometryEstimator]
    """Makes the estimator; networks load when they are first used."""
    packages: tuple[str, ...] = ()
    """Packages of the extra ``gpu`` that it needs."""
    needs_gpu: bool = False
    """Whether it runs on the device of the settings, and so not on every machine."""

    def why_not(self, name: str, settings: NetworkSettings) -> str:
        """One clause on what is missing here and what to do about it, or "".

        Imports torch only for a network whose weights are here and whose device matters.
        """
        if not self.packages:
            return ""
        row = status(PARTS[name])
        if row.problem:
            return row.problem
        absent = not_installed(self.packages)
        if absent:
            return f"{', '.join(absent)} not installed, run `{install_command()}`"
        if not row.present:
            return f"its weights are not here, run `{row.command}`"
        return _why_no_device(settings) if self.needs_gpu else ""


def _layout(settings: NetworkSettings) -> GeometryEstimator:
    from vmem.geometry.layout.estimator import LayoutEstimator

    return LayoutEstimator()


def _cut3r(settings: NetworkSettings) -> GeometryEstimator:
    from vmem.geometry.cut3r.estimator import Cut3rEstimator

    return Cut3rEstimator(settings)


def _depth_anything(settings: NetworkSettings) -> GeometryEstimator:
    from vmem.geometry.depth_anything.estimator import DepthAnythingEstimator

    return DepthAnythingEstimator(settings)


GEOMETRIES: dict[str, Geometry] = {
    "layout": Geometry(
        "the room layout", "geometry from the room layout of each frame, not CUT3R", _layout
    ),
    "depth-anything": Geometry(
        "Depth Anything",
        "depth: Depth Anything V2 Small",
        _depth_anything,
        ("torch", "transformers", "safetensors", "einops"),
    ),
    "cut3r": Geometry(
        "CUT3R",
        "geometry by CUT3R, aligned with the memory",
        _cut3r,
        ("torch", "safetensors", "einops"),
        needs_gpu=True,
    ),
}
"""Name -> row. To add a geometry, add a row here and name it in the backends that may use it."""

AUTO = "auto"
"""The best geometry whose weights are on this machine."""
OWN = "own"
"""The geometry that a backend comes with, where it has no row."""
EXACT = "exact"
"""Geometry of a backend that knows the depth of its frames."""


def geometry_asked(environment: Mapping[str, str] | None = None) -> str:
    """What VMEM_GEOMETRY names, or "auto"."""
    environment = os.environ if environment is None else environment
    return environment.get("VMEM_GEOMETRY", "").strip() or AUTO


def resolve_geometry(
    asked: str, preferred: tuple[str, ...], own: str, settings: NetworkSettings
) -> tuple[str, str]:
    """The geometry that ``asked`` means, and why, as one clause.

    preferred: what the backend takes for "auto", best first, before its ``own``. Raises
    GeometryError.
    """
    if asked != AUTO and asked not in GEOMETRIES:
        known = ", ".join((AUTO, *GEOMETRIES))
        raise GeometryError(f"unknown geometry {asked!r}: use one of {known}")
    if asked != AUTO:
        row = GEOMETRIES[asked]
        missing = row.why_not(asked, settings)
        if missing:
            raise GeometryError(f"{row.title} cannot run here: {missing}; or use --geometry layout")
        return asked, "asked for"
    reasons = []
    for name in preferred:
        missing = GEOMETRIES[name].why_not(name, settings)
        if not missing:
            return name, "its weights are here"
        reasons.append(f"{GEOMETRIES[name].title}: {missing}")
    return own, "; ".join(reasons) or "the backend's own"


def _why_no_device(settings: NetworkSettings) -> str:
    from vmem.devices.devices import pick_device

    try:
        pick_device(settings.device)
    except VMemError as error:
        return f"{error} (VMEM_DEVICE=cpu runs it on the CPU, in seconds to minutes a step)"
    return ""
