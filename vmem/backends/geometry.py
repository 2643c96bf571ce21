"""Which geometry goes with a backend, and why. Importable without torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from vmem.devices.settings import DiffusionSettings
from vmem.errors import VMemError
from vmem.extras import install_command, not_installed
from vmem.geometry import GeometryEstimator
from vmem.weights.catalogue import PARTS
from vmem.weights.parts import status

GEOMETRIES = ("auto", "layout", "depth-anything", "cut3r")
PACKAGES = {
    "depth-anything": ("torch", "transformers", "safetensors"),
    "cut3r": ("torch", "safetensors"),
}
"""What each network needs."""


class GeometryError(VMemError, RuntimeError):
    """A geometry that is unknown or cannot run here, with what to do about it."""


def geometry_asked(environment: Mapping[str, str] | None = None) -> str:
    """What VMEM_GEOMETRY names, or "auto"."""
    environment = os.environ if environment is None else environment
    return environment.get("VMEM_GEOMETRY", "").strip() or "auto"


def resolve_geometry(asked: str, backend: str, diffusion: DiffusionSettings) -> tuple[str, str]:
    """The geometry that ``asked`` means with a backend ("exact" is the world's own), and why, as
    one clause.

    "auto" takes what is here without a download: with the vmem backend CUT3R, else Depth Anything,
    else the layout; with preview, which knows the depth of its frames but not of the photo, the
    latter two. Raises GeometryError.
    """
    if asked not in GEOMETRIES:
        raise GeometryError(f"unknown geometry {asked!r}: use one of {', '.join(GEOMETRIES)}")
    if backend == "world" and asked != "cut3r":
        return "exact", "the world backend knows its depth"
    if asked == "layout":
        return "layout", "asked for"
    if asked != "auto":
        missing = _WHY_NOT[asked](diffusion)
        if missing:
            raise GeometryError(
                f"{_NAMES[asked]} cannot run here: {missing}; or use --geometry layout"
            )
        return asked, "asked for"
    reasons = []
    for name in ("cut3r", "depth-anything") if backend == "vmem" else ("depth-anything",):
        missing = _WHY_NOT[name](diffusion)
        if not missing:
            return name, "its weights are here"
        reasons.append(missing if name == "cut3r" else f"{_NAMES[name]}: {missing}")
    return "layout", "; ".join(reasons)


def why_no_cut3r(diffusion: DiffusionSettings) -> str:
    """One clause on what CUT3R lacks here and what to do about it, or "". Imports torch only where
    the weights are here."""
    absent = _absent("cut3r")
    if absent:
        return absent
    from vmem.devices.devices import pick_device

    try:
        pick_device(diffusion.device)
    except VMemError as error:
        return f"{error} (VMEM_DEVICE=cpu runs it on the CPU, in seconds to minutes a step)"
    return ""


def why_no_depth_anything(diffusion: DiffusionSettings) -> str:
    """As `why_no_cut3r`, for Depth Anything, which runs on any device. Imports no torch."""
    return _absent("depth-anything")


_NAMES = {"cut3r": "CUT3R", "depth-anything": "Depth Anything"}
_WHY_NOT = {"cut3r": why_no_cut3r, "depth-anything": why_no_depth_anything}


def _absent(name: str) -> str:
    """One clause on weights or packages of a network that are not on this machine, or ""."""
    row = status(PARTS[name])
    if row.problem:
        return row.problem
    absent = not_installed(PACKAGES[name])
    if absent:
        return f"{', '.join(absent)} not installed, run `{install_command()}`"
    if not row.present:
        return f"its weights are not here, run `{row.command}`"
    return ""


def _layout(diffusion: DiffusionSettings) -> GeometryEstimator:
    from vmem.geometry.layout.estimator import LayoutEstimator

    return LayoutEstimator()


def _cut3r(diffusion: DiffusionSettings) -> GeometryEstimator:
    from vmem.geometry.cut3r.estimator import Cut3rEstimator

    return Cut3rEstimator(diffusion)


def _depth_anything(diffusion: DiffusionSettings) -> GeometryEstimator:
    from vmem.geometry.depth_anything.estimator import DepthAnythingEstimator

    return DepthAnythingEstimator(diffusion)


ESTIMATORS: dict[str, Callable[[DiffusionSettings], GeometryEstimator]] = {
    "layout": _layout,
    "depth-anything": _depth_anything,
    "cut3r": _cut3r,
}
"""How each geometry is made, of those that are not a backend's own."""

LABELS = {
    "layout": "geometry from the room layout of each frame, not CUT3R",
    "depth-anything": "depth: Depth Anything V2 Small",
    "cut3r": "geometry by CUT3R, aligned with the memory",
}
ALIGNED = {"preview": ("cut3r",), "world": ("cut3r",), "vmem": ("cut3r", "depth-anything")}
"""Geometries that bring the depth of a backend's new frames to memory's scale themselves; Depth
Anything takes the depth that preview's frames carry."""
