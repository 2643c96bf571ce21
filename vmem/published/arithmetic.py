"""Sums of products with the published code's rounding.

Where it works on single vectors it uses NumPy, and so BLAS; on whole maps and matrices PyTorch and
fused multiply-add. The last bit matters: a disk's edge may fall on the other side of a pixel, and
the angle between equal rotations is all rounding.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32


def dot(
    a: Float[np.ndarray, "*#batch 3"], b: Float[np.ndarray, "*#batch 3"]
) -> Float[np.ndarray, "*batch"] | np.floating:
    """Products of vectors, in their own dtype; of two single vectors a number.

    Of f32 vectors the products are rounded to f32 but added up in f64, as BLAS does for short ones.
    """
    products = a * b
    total = products[..., 0].astype(np.float64) + products[..., 1] + products[..., 2]
    return total.astype(products.dtype)


def length(vectors: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch"] | np.floating:
    """Lengths of vectors; of a single one a number."""
    return np.sqrt(dot(vectors, vectors))


def fused(
    a: Float32[np.ndarray, "*#batch"] | np.float32,
    b: Float32[np.ndarray, "*#batch"] | np.float32,
    c: Float32[np.ndarray, "*#batch"] | np.float32,
) -> Float32[np.ndarray, "*batch"] | np.float32:
    """``a * b + c`` rounded once, of f32 arrays or numbers."""
    return (a.astype(np.float64) * b + c).astype(np.float32)


def fused_length(
    vectors: Float32[np.ndarray, "*batch 3"],
) -> Float32[np.ndarray, "*batch"] | np.float32:
    """Lengths of f32 vectors, as PyTorch computes them; of a single one a number."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.sqrt(fused(z, z, fused(y, y, x * x)))


def fused_cross(
    a: Float32[np.ndarray, "*batch 3"], b: Float32[np.ndarray, "*batch 3"]
) -> Float32[np.ndarray, "*batch 3"]:
    """Cross products of f32 vectors, as PyTorch computes them."""
    parts = []
    for j, k in ((1, 2), (2, 0), (0, 1)):
        parts.append(fused(a[..., j], b[..., k], -(a[..., k] * b[..., j])))
    return np.stack(parts, axis=-1)
