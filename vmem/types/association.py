"""How views enter memory: settings."""

from __future__ import annotations

from dataclasses import dataclass

POINTS_PER_FRAME = 9216
"""Samples that a frame gives at most, or nearly so: 96 x 96 of a square one."""


MIN_CONFIDENCE = 0.1
"""Confidence below which a pixel's depth is not used."""


@dataclass(frozen=True)
class AssociationConfig:
    """How a view is taken into memory."""

    points_per_frame: int = POINTS_PER_FRAME
    """Samples that a frame gives at most, or nearly so, spread over its own aspect."""
    depth_tolerance: float = 0.05
    """Relative depth difference up to which a drawn surfel and a fully confident sample are the
    same surface."""
    doubt: float = 1.0
    """How much wider the tolerance is for a sample of confidence 0: this much, times itself."""
    coarseness: float = 2.0
    """A surfel with more than this many times a sample's radius does not explain it."""
    min_confidence: float = MIN_CONFIDENCE
    """Samples below this confidence neither link nor spawn."""
    bend_depth: bool = False
    """Judge agreement up to a difference from memory that is smooth over the frame
    (vmem.memory.depth_bend): for estimated depth. Points and depth stay as they are."""
    bent_tolerance: float = 0.08
    """With bend_depth: what the frame's residual may widen the tolerance to. Below a tenth, a step
    of 10 % stays one."""
