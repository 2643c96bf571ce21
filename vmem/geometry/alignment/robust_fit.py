"""Scale, and shift if wanted, between depths of which some are wrong.

Started by the weighted median of log ratios, or by the best of many lines through two samples, then
refined by a few rounds of reweighted least squares with Tukey's biweight, which gives outliers no
weight at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64

from vmem.arrays import F64

Shift = Literal["none", "depth", "inverse"]
"""What a network leaves open beside scale: nothing, a shift of depth, or one of inverse depth."""

REACH = (1e-4, 1e6)
"""Least and largest depth, in scene units, that is accepted: beyond it a surfel's radius would be 0
or infinite."""
NEAR = 0.1
"""Relative difference up to which a sample agrees with the fit."""
MIN_SPREAD = 1.2
"""Ratio of far to near depth from which on a scale and a shift can be told apart."""
SHIFT_GAIN = 0.8
"""A shift is used if it leaves at most this share of the residual."""
MAX_UNEXPLAINED = 0.7
"""A fit explains known depth if it leaves at most this share of its own variation."""
FLAT = 0.12
"""Residual up to which it need not, if the depth given varies as much: noise hides what little
there is on a flat wall."""
EVEN = 0.01
"""Variation of known depth (median deviation of its logarithm) up to which a constant is right."""
_ROUNDS = 12
_PAIRS = 96
_SAMPLES = 1024
_TUKEY = 4.685
_LEAST_SPREAD = 2e-3


@dataclass(frozen=True)
class DepthLine:
    """A change of depth z: ``scale z + shift``, or ``1 / (scale / z + shift)`` with ``inverse``."""

    scale: float = 1.0
    """Factor, without unit."""
    shift: float = 0.0
    """In scene units; with ``inverse``, in their inverse."""
    inverse: bool = False
    """Whether scale and shift apply to inverse depth."""

    def applied(self, depth: Float32[np.ndarray, "*batch"]) -> Float32[np.ndarray, "*batch"]:
        """Depth fitted; 0 where that is out of REACH, or nothing was given."""
        given = np.where(depth > 0, depth, 1).astype(np.float64)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            if self.inverse:
                line = 1 / (self.scale / given + self.shift)
            else:
                line = self.scale * given + self.shift
            fine = (depth > 0) & (line > REACH[0]) & (line < REACH[1])
            return np.where(fine, line, 0).astype(np.float32)


@dataclass(frozen=True)
class RobustFit:
    """A fit and how good it is, over all samples."""

    line: DepthLine
    """From measured to known depth."""
    residual: float
    """Weighted median relative difference that it leaves."""
    agreeing: float
    """Share of the weight within NEAR of the line."""
    explained: bool
    """Whether measured depth varies as known depth does, or that does not vary. Without this a
    constant would pass: its scale alone brings it near to anything."""


def robust_fit(
    measured: Float32[np.ndarray, " N"],
    known: Float32[np.ndarray, " N"],
    weight: Float32[np.ndarray, " N"],
    shift: Shift = "none",
) -> RobustFit:
    """Fit ``measured`` depth to ``known``, both positive and finite, N > 0, with ``weight`` > 0.
    Deterministic."""
    x, y, w = (a.astype(np.float64) for a in (measured, known, weight))
    ratio = np.log(y) - np.log(x)
    # Scale alone: the location of r = log y - log x, whose error log s - r is relative.
    log_scale = weighted_median(ratio, w)
    for _ in range(_ROUNDS):
        keep = w * _biweight(ratio - log_scale, w)
        log_scale = float(keep @ ratio / keep.sum())
    line = DepthLine(float(np.exp(log_scale)))
    error = np.expm1(log_scale - ratio)
    residual = weighted_median(np.abs(error), w)
    near, far = np.quantile(x, (0.1, 0.9))
    if shift != "none" and far > MIN_SPREAD * near:
        inverse = shift == "inverse"
        slope, offset, other = _line_fit(*((1 / x, 1 / y) if inverse else (x, y)), w)
        left = weighted_median(np.abs(other), w)
        if slope > 0 and left <= SHIFT_GAIN * residual:
            line, error, residual = DepthLine(slope, offset, inverse), other, left
    given, varies = (_variation(np.log(side), w) for side in (x, y))
    constant = varies > EVEN and given < 0.5 * varies
    return RobustFit(
        line,
        residual,
        float(w[np.abs(error) <= NEAR].sum() / w.sum()),
        residual <= MAX_UNEXPLAINED * varies or (residual <= FLAT and not constant),
    )


def weighted_median(values: Float64[np.ndarray, " N"], weight: Float64[np.ndarray, " N"]) -> float:
    """The least of ``values``, N > 0, up to which they have half of the ``weight``."""
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def _variation(values: F64, weight: F64) -> float:
    """Weighted median absolute deviation."""
    return weighted_median(np.abs(values - weighted_median(values, weight)), weight)


def _biweight(error: F64, weight: F64) -> F64:
    """Tukey's weights (1 - (e / c s)^2)^2, 0 beyond c s; s the standard deviation, estimated by the
    median of |e|."""
    spread = max(1.4826 * weighted_median(np.abs(error), weight), _LEAST_SPREAD)
    return np.square(np.clip(1 - np.square(error / (_TUKEY * spread)), 0, None))


def _line_fit(x: F64, y: F64, w: F64) -> tuple[float, float, F64]:
    """(scale, shift, relative errors (N,)) of ``y = scale x + shift``."""
    # Start: of the lines through one of the near and one of the far third, the one of least median
    # relative error. Half of the samples may be wrong.
    some = np.linspace(0, len(x) - 1, min(len(x), _SAMPLES)).astype(int)
    order = some[np.argsort(x[some])]
    third = max(1, len(order) // 3)
    rng = np.random.default_rng(0)
    low, high = order[rng.integers(0, third, _PAIRS)], order[-1 - rng.integers(0, third, _PAIRS)]
    apart = x[high] > x[low]
    low, high = low[apart], high[apart]
    slopes = (y[high] - y[low]) / (x[high] - x[low])
    offsets = y[low] - slopes * x[low]
    errors = np.abs(slopes[:, None] * x[some] + offsets[:, None] - y[some]) / y[some]
    best = int(np.argmin(np.median(errors, axis=1)))
    line = np.array([slopes[best], offsets[best]])
    # Refinement: (scale x + shift) / y - 1 = 0 in least squares, so errors are relative.
    columns = np.stack([x, np.ones_like(x)], axis=1) / y[:, None]
    for _ in range(_ROUNDS):
        keep = np.sqrt(w * _biweight(columns @ line - 1, w))
        line = np.linalg.lstsq(columns * keep[:, None], keep, rcond=None)[0]
    return float(line[0]), float(line[1]), columns @ line - 1
