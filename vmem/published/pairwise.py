"""numpy's mean and standard deviation of a large f32 array, bit for bit, without its temporaries.

The published merge radius is made of both over *all* radii, for every frame again. Its bits depend
on the order of summation, so it cannot be kept up to date term by term. numpy sums halves, cut at
multiples of eight, so a sum can be taken in pieces that stay in the processor's cache.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32

from vmem.arrays import F32

PIECE = 1 << 15
"""Values squared at a time."""


def mean_and_std(values: Float32[np.ndarray, " N"]) -> tuple[np.float32, np.float32]:
    """``np.mean`` and ``np.std`` of N ≥ 1 values, contiguous."""
    n = len(values)
    mean = np.float32(float(np.add.reduce(values)) / n)
    squares = _sum_of_squares(values, mean, np.empty(PIECE, np.float32))
    return mean, np.float32(math.sqrt(np.float32(float(squares) / n)))


def _sum_of_squares(values: F32, centre: np.float32, scratch: F32) -> np.float32:
    n = len(values)
    if n <= PIECE:
        apart = np.subtract(values, centre, out=scratch[:n])
        return np.add.reduce(np.multiply(apart, apart, out=apart))
    half = n // 2
    half -= half % 8
    return _sum_of_squares(values[:half], centre, scratch) + _sum_of_squares(
        values[half:], centre, scratch
    )
