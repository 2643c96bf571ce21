"""Sums of three products with the published code's rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def dot(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Products (...) of vectors (..., 3), in their own dtype.

    Of f32 vectors the products are rounded to f32 but added up in f64, as BLAS does for short ones.
    """
    products = a * b
    total = products[..., 0].astype(np.float64) + products[..., 1] + products[..., 2]
    return total.astype(products.dtype)


def length(vectors: NDArray[Any]) -> NDArray[Any]:
    """Lengths (...) of vectors (..., 3)."""
    return np.sqrt(dot(vectors, vectors))
