"""Point maps: what a geometry estimator says of each pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from vmem.errors import VMemError
from vmem.types.arrays_state import StateArrays


class PointMapError(VMemError, ValueError):
    """Point maps of the wrong size, or that are sure of what cannot be."""


@dataclass(frozen=True, eq=False)
class PointMaps:
    """Maps of T frames, one value or point a pixel."""

    points: Float32[np.ndarray, "T H W 3"]
    """Points in the world."""
    depth: Float32[np.ndarray, "T H W"]
    """z-depth in scene units."""
    confidence: Float32[np.ndarray, "T H W"]
    """0 in a pixel without usable geometry (sky, failure), 1 where it is as good as the estimator's
    best; association widens its tolerance in between."""
    state: StateArrays | None = None
    """What the estimator wants back with the last of these views, None if nothing (see
    View.geometry_state)."""
    note: str = ""
    """One line for the step's log, or ""."""

    def validated(self, shape: tuple[int, ...]) -> PointMaps:
        """Self, or PointMapError that says what is wrong; ``shape``: (T, H, W) of the frames.

        Where confidence is 0 (or not a number) anything may stand.
        """
        shapes = (self.points.shape, self.depth.shape, self.confidence.shape)
        if shapes != ((*shape, 3), shape, shape):
            raise PointMapError(
                f"frames of (T, H, W) = {shape} need points (T, H, W, 3), depth and confidence "
                f"(T, H, W); got {shapes}"
            )
        wrong = ~((self.depth > 0) & (self.depth < np.inf))
        missing = ~np.isfinite(self.points)
        for axis in range(3):  # several times faster than .any(axis=-1)
            wrong |= missing[..., axis]
        wrong &= self.confidence > 0
        if wrong.any():
            frame, row, column = (int(at[0]) for at in np.nonzero(wrong))
            raise PointMapError(
                f"frame {frame}, row {row}, column {column}: point "
                f"{self.points[frame, row, column].tolist()}, depth "
                f"{self.depth[frame, row, column]}; give {int(wrong.sum())} such pixels "
                "confidence 0"
            )
        return self
