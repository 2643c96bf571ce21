"""How predictions are to be fitted, and what was done to each view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vmem.geometry.alignment.robust_fit import DepthLine, Shift
from vmem.types import PointMaps

Source = Literal["views", "surfels", "step", "poses", "layout", "median", "fallback"]
"""What placed a view: stored views near it, drawn surfels, other views of its step, camera motion,
the caller's own depth (in an empty memory, if a shift is wanted), the convention that median depth
is 1; or nothing did ("fallback")."""


@dataclass(frozen=True)
class AlignmentConfig:
    """How predictions are fitted."""

    shift: Shift = "none"
    """What the network leaves open beside scale: "depth" or "inverse" for one-image networks."""
    neighbours: int = 2
    """Stored views, and as many of the same step, that each new view is compared with."""


@dataclass(frozen=True)
class ViewAlignment:
    """What was done to one view."""

    source: Source
    """What placed it."""
    line: DepthLine
    """The scale and shift that were put on its depth."""
    residual: float
    """Median relative difference left to what it was fitted to; 0 if that says nothing."""
    overlap: float
    """Share of the image that it was fitted on."""
    reason: str = ""
    """Why no better source placed it, or ""."""


@dataclass(frozen=True)
class AlignmentReport:
    """What was done to the new frames."""

    views: tuple[ViewAlignment, ...]
    """One a frame."""

    def __str__(self) -> str:
        """One line for a log."""
        parts = []
        for i, view in enumerate(self.views):
            part = f"view {i} by {view.source}"
            if view.source != "fallback":
                shift = f"{view.line.shift:+.3g}" if view.line.shift else ""
                part += f" (scale {view.line.scale:.4g}{shift}, residual {view.residual:.1%})"
            parts.append(part + (f": {view.reason}" if view.reason else ""))
        return "alignment: " + "; ".join(parts)


@dataclass(frozen=True, eq=False)
class Aligned:
    """Predicted frames after alignment."""

    maps: PointMaps
    """Points, depth and confidence of the T new frames, in memory's unit."""
    report: AlignmentReport
    """How each view was placed."""
