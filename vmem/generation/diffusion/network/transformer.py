"""Attention within frames, across frames, and over time at each place (VMem, section 3; SEVA).

Tokens are (sequences * num_frames, h * w, channels) throughout, frames of one sequence together:
everything but attention acts on single tokens, so that no rearrangement is needed.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from vmem.generation.diffusion.network.layers import (
    Cross,
    CrossAttention,
    FeedForward,
    GroupNorm32,
    SelfAttention,
)

# For each depth: what the spatial and what the time-mixing block need of a context.
TransformerCross = tuple[tuple[Cross, Cross], ...]


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
        """Tokens (n, length, channels) -> the same."""
        z = z + self.attn1(self.norm1(z))
        z = z + self.attn2(self.norm2(z), cross)
        return z + self.ff(self.norm3(z))


class TimeMixBlock(SpatialBlock):
    """The same over the frames at each place, behind another feed-forward.

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
        """x (sequences * num_frames, channels, h, w) -> the same."""
        h, w = x.shape[-2:]
        # Contiguous, as channels-last maps are: one product, where strides would make one a frame.
        z = self.proj_in(self.norm(x).flatten(2).transpose(1, 2).contiguous())
        for (spatial, mixing), (spatial_cross, mixing_cross) in zip(
            self._blocks(), cross, strict=True
        ):
            if self.joint:
                joined = spatial(z.unflatten(0, (-1, num_frames)).flatten(1, 2), spatial_cross)
                z = joined.reshape(z.shape)
            else:
                z = spatial(z, spatial_cross)
            z = z + mixing.mix(z, mixing_cross, num_frames)
        return x + self.proj_out(z).transpose(1, 2).unflatten(2, (h, w))
