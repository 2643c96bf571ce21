"""Attention within frames, across frames, and over time at each place (VMem, section 3; SEVA).

Tokens are (sequences * num_frames, h * w, channels) throughout, frames of one sequence together:
everything but attention acts on single tokens, so that no rearrangement is needed. Axes in
patterns: s sequences · f frames of a sequence · n = s f · l = h w tokens of a frame · c channels.
"""

from __future__ import annotations

from typing import cast

from einops import rearrange
from torch import Tensor, nn

from vmem.generation.diffusion.network.layers import (
    Cross,
    CrossAttention,
    FeedForward,
    GroupNorm32,
    SelfAttention,
)

TransformerCross = tuple[tuple[Cross, Cross], ...]
"""For each depth: what the spatial and what the time-mixing block need of a context."""


class SpatialBlock(nn.Module):
    """Self attention, cross attention and feed-forward over the tokens of a row."""

    def __init__(self, channels: int, context_channels: int, head_channels: int) -> None:
        super().__init__()
        self.attn1 = SelfAttention(channels, head_channels)
        self.attn2 = CrossAttention(channels, context_channels, head_channels)
        self.ff = FeedForward(channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.norm3 = nn.LayerNorm(channels)

    def forward(self, z: Tensor, cross: Cross) -> Tensor:
        """Tokens (n, length, channels), in and out."""
        z = z + self.attn1(self.norm1(z))
        z = z + self.attn2(self.norm2(z), cross)
        return z + self.ff(self.norm3(z))


class TimeMixBlock(SpatialBlock):
    """Attention over the frames at each place, cross attention and feed-forward, after another one.

    The last feed-forward has no residual of its own: the caller adds the whole to its tokens.
    """

    def __init__(self, channels: int, context_channels: int, head_channels: int) -> None:
        super().__init__(channels, context_channels, head_channels)
        self.norm_in = nn.LayerNorm(channels)
        self.ff_in = FeedForward(channels)

    def mix(self, z: Tensor, cross: Cross, num_frames: int) -> Tensor:
        """Tokens (sequences * num_frames, h * w, channels) -> what to add to them."""
        u = z + self.ff_in(self.norm_in(z))
        u = u + self.attn1.over_frames(self.norm1(u), num_frames)
        u = u + self.attn2(self.norm2(u), cross)
        return self.ff(self.norm3(u))


class MultiviewTransformer(nn.Module):
    """Spatial and time-mixing blocks in turn, around a residual.

    ``joint``: the spatial blocks see all frames of a sequence at once, otherwise each its own.
    """

    def __init__(
        self,
        channels: int,
        context_channels: int,
        head_channels: int,
        depth: int,
        joint: bool,
    ) -> None:
        super().__init__()
        self.joint = joint
        sizes = channels, context_channels, head_channels
        self.norm = GroupNorm32(channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList(SpatialBlock(*sizes) for _ in range(depth))
        self.time_mix_blocks = nn.ModuleList(TimeMixBlock(*sizes) for _ in range(depth))
        self.proj_out = nn.Linear(channels, channels)

    def _blocks(self) -> list[tuple[SpatialBlock, TimeMixBlock]]:
        pairs = zip(self.transformer_blocks, self.time_mix_blocks, strict=True)
        return cast(list[tuple[SpatialBlock, TimeMixBlock]], list(pairs))

    def prepare(self, context: Tensor, num_frames: int) -> TransformerCross:
        """What the blocks need of a context (sequences * num_frames, length, context_channels).

        Joint and time-mixing blocks look at the first frame's context only, as the released model.
        """
        first = context[::num_frames]
        own = first if self.joint else context
        return tuple(
            (spatial.attn2.prepare(own), mixing.attn2.prepare(first))
            for spatial, mixing in self._blocks()
        )

    def forward(self, x: Tensor, cross: TransformerCross, num_frames: int) -> Tensor:
        """x (sequences * num_frames, channels, h, w), in and out."""
        # Contiguous, as channels-last maps are: one matrix product instead of one a frame.
        z = self.proj_in(rearrange(self.norm(x), "n c h w -> n (h w) c").contiguous())
        for (spatial, mixing), (spatial_cross, mixing_cross) in zip(
            self._blocks(), cross, strict=True
        ):
            if self.joint:
                joined = rearrange(z, "(s f) l c -> s (f l) c", f=num_frames)
                joined = spatial(joined, spatial_cross)
                z = rearrange(joined, "s (f l) c -> (s f) l c", f=num_frames)
            else:
                z = spatial(z, spatial_cross)
            z = z + mixing.mix(z, mixing_cross, num_frames)
        return x + rearrange(self.proj_out(z), "n (h w) c -> n c h w", h=x.shape[2])
