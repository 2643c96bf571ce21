"""Estimated depth fitted to the depth of what memory already holds there.

Estimators know a view's depth up to a scale, and drift. Where a new view and the memory overlap,
the scale (and shift) that brings them together is fitted robustly, but only if they disagree as a
whole and the fit mends it: depth that is right, or wrong in parts only, is never touched.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vmem.arrays import F32
from vmem.cameras import Camera

GATE = 0.02
"""Median relative residual below which depth counts as right."""
GAIN = 0.5
"""A fit is used if it leaves at most this share of the residual."""
MIN_OVERLAP = 0.1
"""Share of the image that must show memory, for a fit to be tried."""
MIN_SPREAD = 1.2
"""Ratio of far to near depth from which on a scale and a shift can be told apart."""
_ROUNDS = 15


@dataclass(frozen=True)
class DepthFit:
    """``scale * depth + shift``; residual: median |fitted - drawn| / drawn, before and after, 0 if
    no fit was tried."""

    scale: float = 1.0
    shift: float = 0.0
    residual_before: float = 0.0
    residual: float = 0.0

    @property
    def is_identity(self) -> bool:
        """Whether depth stays as it is."""
        return self.scale == 1.0 and self.shift == 0.0

    def applied(self, depth: F32) -> F32:
        """Depth (...) fitted; the same array if there is nothing to do."""
        if self.is_identity:
            return depth
        return (self.scale * depth + self.shift).astype(np.float32)

    def applied_to_points(self, points: F32, depth: F32, camera: Camera) -> F32:
        """World points (..., 3) of ``depth`` (...), moved along their rays."""
        if self.is_identity:
            return points
        eye = camera.position
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = (self.scale * depth + self.shift) / depth
        moved = eye + (points - eye) * ratio[..., None]
        return moved.astype(np.float32)


IDENTITY = DepthFit()


def fitted(measured: F32, drawn: F32, n_pixels: int, *, shift: bool) -> DepthFit:
    """The fit of ``measured`` (N,) to ``drawn`` (N,) z-depth, both positive, of an image of
    ``n_pixels``; the identity unless the fit is called for and mends what it should."""
    good = np.isfinite(measured) & (measured > 0) & (drawn > 0)
    new, old = measured[good].astype(np.float64), drawn[good].astype(np.float64)
    if len(new) < max(8, MIN_OVERLAP * n_pixels):
        return IDENTITY
    before = _residual(new, old)
    if before <= GATE:
        return DepthFit(residual_before=before, residual=before)
    scale, offset = float(np.median(old / new)), 0.0
    near, far = np.quantile(new, (0.1, 0.9))
    if shift and far > MIN_SPREAD * near:
        scale, offset = _line(new, old)
    possible = scale > 0 and (scale * new + offset > 0).all()
    after = _residual(scale * new + offset, old) if possible else np.inf
    if after > GAIN * before:
        return DepthFit(residual_before=before, residual=before)
    return DepthFit(scale, offset, before, after)


def _residual(depth: np.ndarray, drawn: np.ndarray) -> float:
    return float(np.median(np.abs(depth - drawn) / drawn))


def _line(measured: np.ndarray, drawn: np.ndarray) -> tuple[float, float]:
    """Scale and shift of least absolute relative error, by reweighted least squares."""
    columns = np.stack([measured, np.ones_like(measured)], axis=1) / drawn[:, None]
    line, weight = np.array([1.0, 0.0]), np.ones(len(measured))
    for _ in range(_ROUNDS):
        line = np.linalg.lstsq(columns * weight[:, None], weight, rcond=None)[0]
        weight = 1 / np.sqrt(np.maximum(np.abs(columns @ line - 1), 1e-3))
    return float(line[0]), float(line[1])
