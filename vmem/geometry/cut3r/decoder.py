"""Two decoders that attend to each other: one carries the state, one the tokens of a new view."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from vmem.geometry.cut3r.blocks import DecoderBlock
from vmem.geometry.cut3r.config import Cut3rConfig
from vmem.geometry.cut3r.rope import Rotation, image_places, rotation, state_places


def decoder_blocks(config: Cut3rConfig, heads: int) -> nn.ModuleList:
    """The blocks of one of the two decoders."""
    width, ratio = config.dec_embed_dim, config.mlp_ratio
    return nn.ModuleList(DecoderBlock(width, heads, ratio) for _ in range(config.dec_depth))


def head_levels(depth: int) -> tuple[int, int]:
    """The decoder levels between first and last that the heads read."""
    return 2 * depth // 4, 3 * depth // 4


@dataclass(frozen=True, eq=False)
class Turns:
    """Rotary embeddings for one of the decoders, whose heads differ in width."""

    view: Rotation
    """Of a view's tokens, the pose token first."""
    state: Rotation | None
    """Of the state's tokens; None where they have no places."""


def decoder_turns(
    config: Cut3rConfig, heads: int, grid: tuple[int, int], device: torch.device
) -> Turns:
    """For a decoder with that many heads, and rows and columns of the view's tokens."""
    channels, base = config.dec_embed_dim // heads, config.rope_base
    outside = torch.full((1, 2), -1, device=device)
    view = torch.cat((outside, image_places(*grid, device)))
    state = state_places(config.state_size, config.state_pe, device)
    return Turns(
        rotation(view, channels, base),
        None if state is None else rotation(state, channels, base),
    )
