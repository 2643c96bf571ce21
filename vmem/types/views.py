"""What a camera saw: frames with what is known about each pixel, and views stored in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from vmem.arrays import freeze
from vmem.cameras import Camera
from vmem.types.arrays_state import StateArrays


class Provenance(IntEnum):
    """Where a pixel's content comes from; stored as u8 maps beside the frames."""

    EXTRAPOLATED = 0
    """Invented in this very frame: beyond everything that memory knew."""
    REOBSERVED = 1
    """Taken from memory, but an earlier frame had invented it."""
    OBSERVED = 2
    """The photo's own light: a pixel of the photo, or one warped from such pixels."""


@dataclass(frozen=True, eq=False)
class Frames:
    """T frames of one size, as a generator returns them."""

    rgb: UInt8[np.ndarray, "T H W 3"]
    """Colours."""
    depth: Float32[np.ndarray, "T H W"] | None = None
    """z-depth in scene units; None if the generator does not know it."""
    provenance: UInt8[np.ndarray, "T H W"] | None = None
    """A Provenance for every pixel; None if it is not known."""
    age: Float32[np.ndarray, "T H W"] | None = None
    """Number of times that a pixel was resampled; None if it is not known."""
    confidence: Float32[np.ndarray, "T H W"] | None = None
    """Confidence in the depth, 0 in the sky; None for 1 everywhere."""
    unknown: Float32[np.ndarray, " T"] | None = None
    """Share of each frame's pixels that nothing showed, neither views nor a continuation of them,
    so that they were filled from their neighbours; None for none."""
    latents: tuple[StateArrays, ...] | None = None
    """What the generator needs of each frame when it becomes context."""

    def __len__(self) -> int:
        return len(self.rgb)


class ViewId(NamedTuple):
    """Identifies a view within a walk: it stays the same through undo, branches and storage."""

    node: int
    """Id of the node of the history that made the view."""
    number: int
    """Number of the view in its step, from 0."""


def _unknown() -> None:
    """A factory and no default: a default would be an attribute of the class, which StoredView
    finds in place of what it is to read."""


@dataclass(frozen=True, eq=False, repr=False)
class View:
    """A stored image with its camera. Its maps cannot be written."""

    rgb: UInt8[np.ndarray, "H W 3"]
    """Colours."""
    camera: Camera
    """The camera that took it, at the same (H, W)."""
    step: int
    """Step that made it; 0 for the photo."""
    depth: Float32[np.ndarray, "H W"]
    """z-depth in scene units as the geometry estimated it."""
    confidence: Float32[np.ndarray, "H W"]
    """Confidence in the depth."""
    provenance: UInt8[np.ndarray, "H W"] | None = field(default_factory=_unknown)
    """A Provenance for every pixel, or None."""
    age: Float32[np.ndarray, "H W"] | None = field(default_factory=_unknown)
    """Number of times that a pixel was resampled, or None."""
    latents: StateArrays | None = field(default_factory=_unknown)
    """What the generator needs of this view when it becomes context, or None."""
    geometry_state: StateArrays | None = field(default_factory=_unknown)
    """What the geometry needs to go on from here, on the last view of its steps only; else None."""
    id: ViewId | None = None
    """Which view of the walk this is; None outside of a walk."""

    def __post_init__(self) -> None:
        freeze(self, "rgb", "depth", "confidence", "provenance", "age")

    def __repr__(self) -> str:
        x, y, z = self.camera.position
        which = "" if self.id is None else f" {self.id.node}.{self.id.number}"
        h, w = self.camera.hw
        return f"<View{which} of step {self.step}: {w} x {h} px from ({x:.2f}, {y:.2f}, {z:.2f})>"


MAPS = ("rgb", "depth", "confidence", "provenance", "age", "latents", "geometry_state")
"""The fields of a View that are large."""

ReadMap = Callable[[ViewId, str], Any]
"""Gives one of MAPS of a view, by the name of its field."""


class StoredView(View):
    """A View whose MAPS are read each time they are asked for; a reader keeps what it likes.

    Asking raises what the reader raises. Copies and pickles hold the maps and are plain Views.
    """

    @staticmethod
    def of(camera: Camera, step: int, id: ViewId, read: ReadMap) -> StoredView:
        """The view ``id`` whose maps ``read`` gives."""
        view = object.__new__(StoredView)
        vars(view).update(camera=camera, step=step, id=id, _read=read)
        return view

    if not TYPE_CHECKING:  # to a type checker every attribute would exist

        def __getattr__(self, name: str) -> Any:
            read = vars(self).get("_read")
            if name not in MAPS or read is None:
                raise AttributeError(f"a view has no {name!r}")
            return read(self.id, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return View, tuple(getattr(self, name.name) for name in fields(View))
