"""Checks of tensors: maps of the wrong shape where they enter, NaN or infinity at any stage."""

from __future__ import annotations

import torch
from torch import Tensor

from vmem.errors import VMemError


class BadTensorError(VMemError, ValueError):
    """A tensor of the wrong shape or type; the message has got, expected and remedy."""


class NotFiniteError(VMemError, ArithmeticError):
    """NaN or infinity where latents or embeddings should be; the message names the stage."""


def require_maps(x: Tensor, what: str, channels: int, multiple: int = 1) -> None:
    """Refuse anything but a floating (N, channels, H, W) tensor with N >= 1.

    H and W must be positive multiples of ``multiple``. Raises BadTensorError.
    """
    got = f"got {tuple(x.shape)} {str(x.dtype).removeprefix('torch.')}"
    expected = f"expected (N, {channels}, H, W) of a floating type"
    if x.ndim != 4 or x.shape[0] < 1 or not x.is_floating_point():
        raise BadTensorError(f"{what}: {got}, {expected}. Add the frame axis or convert it first.")
    if x.shape[1] != channels:
        raise BadTensorError(
            f"{what}: {got}, {expected}. Channels come second; drop alpha, permute (N, H, W, C)."
        )
    h, w = x.shape[2:]
    if h < 1 or w < 1 or h % multiple or w % multiple:
        down = tuple(max(side // multiple, 1) * multiple for side in (h, w))
        raise BadTensorError(
            f"{what}: {got}, expected height and width divisible by {multiple}. "
            f"Crop or resize it, to {down[0]} x {down[1]} for example."
        )


def check_finite(values: Tensor, stage: str) -> None:
    """NotFiniteError if ``values`` (N, ...) holds NaN or infinity: says at which frames."""
    if bool(torch.isfinite(values).all()):
        return
    wrong = ~torch.isfinite(values).reshape(len(values), -1)
    frames = ", ".join(str(int(i)) for i in wrong.any(dim=1).nonzero()[:, 0])
    raise NotFiniteError(
        f"{stage}: {int(wrong.sum())} of {wrong.numel()} values are NaN or infinite "
        f"(frames {frames} of {len(values)}). If VMEM_DTYPE asks for half precision, leave it out "
        "or use float32; otherwise the checkpoint may be damaged: fetch it again."
    )
