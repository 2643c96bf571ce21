"""Attention with the kernel that was asked for, in slices where there is no fused one.

A fused kernel never holds the scores of all queries with all keys. Without one they are tensors:
at full size 8.5 GiB for one sequence of 8 frames in float16, so they are made some at a time.

Axes: n rows of a batch · heads · q queries · k keys · c channels of one head.
"""

from __future__ import annotations

import threading

import torch
from torch import Tensor
from torch.backends.cuda import (
    SDPAParams,
    can_use_cudnn_attention,
    can_use_efficient_attention,
    can_use_flash_attention,
)
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from vmem.devices.settings import AttentionName
from vmem.errors import VMemError

SCORES = 256 * 2**20
"""Most bytes that the scores of one slice take."""

_BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
    "sliced": SDPBackend.MATH,
}
_CHOICE = threading.Lock()
"""torch keeps the allowed kernels for the whole process: held while one call is made, so that
networks on other devices, in other threads, see only their own choice. A GPU's kernel is only
started within."""


class AttentionError(VMemError, RuntimeError):
    """The kernel that was asked for cannot be used on this device."""


def attend(q: Tensor, k: Tensor, v: Tensor, kernel: AttentionName = "auto") -> Tensor:
    """softmax(q k^T / sqrt(c)) v: (n, heads, q, c) from q and from k, v (n, heads, k, c).

    kernel: "auto" is torch's choice among its fused kernels and slices where it has none, "sliced"
    always slices, others are torch's kernels. All agree within rounding. Raises AttentionError
    where the kernel does not work with this device or dtype.
    """
    if torch.compiler.is_compiling():
        # Compiled code keeps the kernel found while it is traced; nothing is chosen when it runs.
        return _chosen(q, k, v, kernel)
    if q.device.type != "cuda" and kernel == "auto":
        return _chosen(q, k, v, kernel)
    try:
        with _CHOICE:
            return _chosen(q, k, v, kernel)
    except RuntimeError as error:
        if "backend" not in str(error) and "kernel" not in str(error):
            raise
        raise AttentionError(
            f"attention by {kernel!r} does not work on {q.device.type} in {q.dtype} ({error}): "
            "use VMEM_ATTENTION=auto"
        ) from error


def _chosen(q: Tensor, k: Tensor, v: Tensor, kernel: AttentionName) -> Tensor:
    if kernel == "auto":
        if _has_fused(q, k, v):
            return scaled_dot_product_attention(q, k, v)
        return in_slices(q, k, v, SCORES)
    with sdpa_kernel(_BACKENDS[kernel]):
        if kernel == "sliced":
            return in_slices(q, k, v, SCORES)
        return scaled_dot_product_attention(q, k, v)


def _has_fused(q: Tensor, k: Tensor, v: Tensor) -> bool:
    """Whether torch has a kernel for these that does not hold the scores."""
    if q.device.type == "mps":
        return False
    if q.device.type != "cuda" or torch.compiler.is_compiling():
        return True
    given = SDPAParams(q, k, v, None, 0.0, False, False)
    return (
        can_use_flash_attention(given)
        or can_use_efficient_attention(given)
        or can_use_cudnn_attention(given)
    )


def in_slices(q: Tensor, k: Tensor, v: Tensor, most: int) -> Tensor:
    """As ``attend``, the scores of a slice in at most ``most`` bytes (or those of one query).

    Rows of the batch are taken apart first, then heads, then queries: softmax is over keys, so
    that every query's result is whole. Counted in float32, in which torch computes the scores of
    half-precision queries.
    """
    size = 4 * q.shape[:3].numel() * k.shape[2]
    axis = next((axis for axis in range(3) if q.shape[axis] > 1), None)
    if size <= most or axis is None:
        return scaled_dot_product_attention(q, k, v)
    at_once = max(1, q.shape[axis] * most // size)
    parts = q.split(at_once, axis)
    keys, values = ((t.split(at_once, axis) if axis < 2 else [t] * len(parts)) for t in (k, v))
    slices = zip(parts, keys, values, strict=True)
    return torch.cat([in_slices(*part, most) for part in slices], axis)
