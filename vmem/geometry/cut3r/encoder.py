"""The image encoder: patches to tokens, each view by itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vmem.geometry.cut3r.blocks import EncoderBlock, LayerNorm
from vmem.geometry.cut3r.config import PATCH, Cut3rConfig, Cut3rError

# Preprocessing may leave a rounding error beyond the ends of [-1, 1].
LARGEST_PIXEL = 1.001


class PatchEmbed(nn.Module):
    """One token for every 16 x 16 pixels."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, PATCH, stride=PATCH)

    def forward(self, x: Float[Tensor, "B in_channels H W"]) -> Float[Tensor, "B n channels"]:
        """Images to n = H/16 * W/16 tokens, row by row."""
        return rearrange(self.proj(x), "n c h w -> n (h w) c")


def encoder_blocks(config: Cut3rConfig, depth: int) -> nn.ModuleList:
    """Blocks of the width of the encoder."""
    width, heads, ratio = config.enc_embed_dim, config.enc_num_heads, config.mlp_ratio
    return nn.ModuleList(EncoderBlock(width, heads, ratio) for _ in range(depth))


def encoder_norm(config: Cut3rConfig) -> nn.LayerNorm:
    """What follows the last of them."""
    return LayerNorm(config.enc_embed_dim)


@dataclass(frozen=True, eq=False)
class Features:
    """Encoded views."""

    tokens: Float[Tensor, "B n channels"]
    """H/16 * W/16 tokens of each of B views, row by row."""
    hw: tuple[int, int]
    """(H, W) of the views in pixels."""

    def __len__(self) -> int:
        return len(self.tokens)

    def view(self, i: int) -> Features:
        """View i alone, as a batch of one."""
        return Features(self.tokens[i][None], self.hw)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens."""
        return self.hw[0] // PATCH, self.hw[1] // PATCH


def check_images(images: Tensor) -> None:
    """Refuse anything but (N, 3, H, W) in [-1, 1], H and W multiples of 16. Raises Cut3rError."""
    got = f"got {tuple(images.shape)} {str(images.dtype).removeprefix('torch.')}"
    if images.ndim != 4 or not images.is_floating_point() or 0 in images.shape:
        raise Cut3rError(
            f"views for CUT3R: {got}, expected (N, 3, H, W) of a floating type, none of them 0; "
            "`prepare` makes such of frames."
        )
    _, channels, h, w = images.shape
    if channels != 3 or h % PATCH or w % PATCH:
        raise Cut3rError(
            f"views for CUT3R: {got}, expected 3 channels and sides that are multiples of {PATCH}; "
            "`prepare` crops frames so."
        )
    low, high = (float(end) for end in torch.aminmax(images))
    if not (low >= -LARGEST_PIXEL and high <= LARGEST_PIXEL):
        raise Cut3rError(
            f"views for CUT3R: values from {low} to {high}, expected numbers in [-1, 1]; `prepare` "
            "makes such of frames of uint8."
        )
