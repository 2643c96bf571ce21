"""Preprocessing of images for the CLIP tower, as in the training of the released model.

As in VMem's released code, and in SEVA's that it is based on. CLIP's own preprocessing would resize
with pixel centres at +0.5.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vmem.generation.diffusion.checks import BadTensorError, require_maps

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Of CLIP's training images, RGB in [0, 1]."""


@torch.inference_mode()
def clip_pixels(images: Tensor, size: int = 224) -> Tensor:
    """(N, 3, size, size) f32 normalised pixels from images (N, 3, H, W) in [-1, 1], any H, W >= 2.

    If either side shrinks, both axes are blurred, each for its own factor; then bicubic with the
    corners aligned, not clamped. Computed in float32 on the images' device. Raises BadTensorError.
    """
    require_maps(images, "images for CLIP", 3)
    h, w = images.shape[2:]
    if min(h, w) < 2:
        raise BadTensorError(
            f"images for CLIP: got {h} x {w}, expected at least 2 x 2. Use a larger image."
        )
    x = images.float()
    factors = (h / size, w / size)
    if max(factors) > 1:
        x = _blur(x, factors)
    x = functional.interpolate(x, (size, size), mode="bicubic", align_corners=True)
    mean = x.new_tensor(MEAN).view(1, 3, 1, 1)
    std = x.new_tensor(STD).view(1, 3, 1, 1)
    return ((x + 1) / 2 - mean) / std


def gaussian_kernel(factor: float) -> Tensor:
    """(k,) f32 window, k odd and at least 3, for an axis that shrinks ``factor`` times.

    Sigma is (factor - 1) / 2, at least 0.001: an axis that does not shrink keeps its pixels.
    """
    sigma = max((factor - 1) / 2, 0.001)
    size = int(max(4 * sigma, 3)) | 1
    x = torch.arange(size, dtype=torch.float32) - size // 2
    window = torch.exp(-(x**2) / (2 * sigma**2))
    return window / window.sum()


def _blur(x: Tensor, factors: tuple[float, float]) -> Tensor:
    """Separable Gaussian blur of (N, C, H, W) along both axes, borders reflected."""
    channels = x.shape[1]
    rows, columns = (gaussian_kernel(factor).to(x.device) for factor in factors)
    half = (len(columns) // 2, len(columns) // 2, len(rows) // 2, len(rows) // 2)
    x = functional.pad(x, half, mode="reflect")
    across = columns.view(1, 1, 1, -1).expand(channels, -1, -1, -1)
    down = rows.view(1, 1, -1, 1).expand(channels, -1, -1, -1)
    x = functional.conv2d(x, across, groups=channels)
    return functional.conv2d(x, down, groups=channels)
