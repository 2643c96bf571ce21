"""Stacks of maps (N, C, H, W), checked where they enter a codec."""

from __future__ import annotations

from torch import Tensor

from vmem.errors import VMemError


class BadTensorError(VMemError, ValueError):
    """A tensor of the wrong shape or type; the message has got, expected and remedy."""


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
