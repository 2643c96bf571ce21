"""Sums of products with the published code's rounding.

Where it works on single vectors it uses NumPy, and so BLAS; on whole maps and matrices PyTorch and
fused multiply-add. The last bit matters: a disk's edge may fall on the other side of a pixel, and
the angle between equal rotations is all rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vmem.arrays import F32


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


def fused(a: F32, b: F32, c: F32) -> F32:
    """``a * b + c`` rounded once, of f32 arrays."""
    return (a.astype(np.float64) * b + c).astype(np.float32)


def fused_length(vectors: F32) -> F32:
    """Lengths (...) of f32 vectors (..., 3), as PyTorch computes them."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.sqrt(fused(z, z, fused(y, y, x * x)))


def fused_cross(a: F32, b: F32) -> F32:
    """Cross products (..., 3) of f32 vectors, as PyTorch computes them."""
    parts = []
    for j, k in ((1, 2), (2, 0), (0, 1)):
        parts.append(fused(a[..., j], b[..., k], -(a[..., k] * b[..., j])))
    return np.stack(parts, axis=-1)
