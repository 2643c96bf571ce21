"""What a camera saw: frames with what is known about each pixel, and views stored in memory."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from vmem.arrays import F32, U8
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
    """T frames of one size, as a generator returns them.

    rgb (T, H, W, 3) u8 · depth (T, H, W) f32 z-depth in scene units, or None if the generator does
    not know it · provenance (T, H, W) u8 of Provenance, or None · age (T, H, W) f32 number of times
    that a pixel was resampled, or None · confidence (T, H, W) f32 in the depth, 0 in the sky, None
    for 1 everywhere · latents: whatever the generator wants back as context.
    """

    rgb: U8
    depth: F32 | None = None
    provenance: U8 | None = None
    age: F32 | None = None
    confidence: F32 | None = None
    latents: tuple[Any, ...] | None = None

    def __len__(self) -> int:
        return len(self.rgb)


@dataclass(frozen=True, eq=False)
class View:
    """A stored image with its camera.

    rgb (H, W, 3) u8 · camera at the same (H, W) · step that made it (0: the photo) · depth (H, W)
    f32 and confidence (H, W) f32 as the geometry estimated them · provenance (H, W) u8, age (H, W)
    f32 and latents as in Frames · geometry_state: what the geometry estimator that made it wants
    back to go on from here, on the last view of its steps only.
    """

    rgb: U8
    camera: Camera
    step: int
    depth: F32
    confidence: F32
    provenance: U8 | None = None
    age: F32 | None = None
    latents: Any = None
    geometry_state: StateArrays | None = None
