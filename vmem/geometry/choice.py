"""Which geometry goes with a backend, and why. Importable without torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec

from vmem.errors import VMemError
from vmem.generation.diffusion.settings import DiffusionSettings
from vmem.geometry.base import GeometryEstimator
from vmem.weights.catalogue import PARTS
from vmem.weights.parts import status

GEOMETRIES = ("auto", "layout", "cut3r")
PACKAGES = ("torch", "safetensors")


class GeometryError(VMemError, RuntimeError):
    """A geometry that is unknown or cannot run here, with what to do about it."""


def geometry_asked(environment: Mapping[str, str] | None = None) -> str:
    """What VMEM_GEOMETRY names, or "auto"."""
    environment = os.environ if environment is None else environment
    return environment.get("VMEM_GEOMETRY", "").strip() or "auto"


def resolve_geometry(asked: str, backend: str, diffusion: DiffusionSettings) -> tuple[str, str]:
    """The geometry that ``asked`` means with a backend ("exact" is the world's own), and why, as
    one clause.

    "auto" takes CUT3R with the vmem backend alone, where its weights are: of the others' frames the
    depth is known to who made them. Raises GeometryError.
    """
    if asked not in GEOMETRIES:
        raise GeometryError(f"unknown geometry {asked!r}: use one of {', '.join(GEOMETRIES)}")
    if backend == "world" and asked != "cut3r":
        return "exact", "the world backend knows its depth"
    if asked == "layout":
        return "layout", "asked for"
    missing = why_no_cut3r(diffusion) if asked == "cut3r" or backend == "vmem" else ""
    if asked == "cut3r":
        if missing:
            raise GeometryError(f"CUT3R cannot run here: {missing}; or use --geometry layout")
        return "cut3r", "asked for"
    if backend == "vmem":
        return ("layout", missing) if missing else ("cut3r", "its weights are here")
    # A depth network for single photos would stand before the layout here.
    return "layout", f"what the {backend} backend is made for"


def why_no_cut3r(diffusion: DiffusionSettings) -> str:
    """One clause on what CUT3R lacks here and what to do about it, or "". Imports torch only where
    the weights are here."""
    row = status(PARTS["cut3r"])
    if row.problem:
        return row.problem
    if not row.present:
        return f"its weights are not here, run `{row.command}`"
    absent = [name for name in PACKAGES if find_spec(name) is None]
    if absent:
        return f"{', '.join(absent)} not installed, `python -m vmem doctor` says more"
    from vmem.generation.diffusion.devices import memory_preset, pick_device

    try:
        memory_preset(diffusion, pick_device(diffusion.device))
    except VMemError as error:
        return f"{error} (VMEM_DEVICE=cpu runs it on the CPU, in seconds to minutes a step)"
    return ""


def _layout(diffusion: DiffusionSettings) -> GeometryEstimator:
    from vmem.geometry.layout import LayoutEstimator

    return LayoutEstimator()


def _cut3r(diffusion: DiffusionSettings) -> GeometryEstimator:
    from vmem.geometry.cut3r.estimator import Cut3rEstimator

    return Cut3rEstimator(diffusion)


ESTIMATORS: dict[str, Callable[[DiffusionSettings], GeometryEstimator]] = {
    "layout": _layout,
    "cut3r": _cut3r,
}
"""How each geometry is made, of those that are not a backend's own."""

LABELS = {
    "layout": "geometry from the room layout of each frame, not CUT3R",
    "cut3r": "geometry by CUT3R, aligned with the memory",
}
ALIGNED = ("cut3r",)
"""Geometries that bring their depth to memory's scale themselves."""
