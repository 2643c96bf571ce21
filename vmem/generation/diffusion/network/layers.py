"""Layers of the multi-view UNet: residual blocks, attention, feed-forward (VMem, section 3; SEVA).

Feature maps are (n, channels, h, w), tokens (n, length, channels), both in the dtype of the
weights. Names of submodules are those of the released checkpoint.

Axes in patterns: n rows of a batch · s sequences · f frames of a sequence · m rows that share a
context · l tokens of a row · heads, and c channels of one head.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from vmem.devices.settings import AttentionName
from vmem.generation.diffusion.network.attention import attend

Cross = Tensor | tuple[Tensor, Tensor]
"""Attention over a context, as far as it is the same at every denoising step: a vector to add
(n, 1, channels), or keys and values, each (n, heads, length, head channels)."""

MAX_HEADS = 65535
"""CUDA kernels put the heads on a grid axis of at most this length."""


class GroupNorm32(nn.GroupNorm):
    """Group norm over 32 groups, computed in float32 whatever the dtype of the map.

    Half-precision kernels of older torch releases round mean and deviation to half, which shifts
    whole groups.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__(32, channels, eps)

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = self.weight.float(), self.bias.float()
        return functional.group_norm(input.float(), 32, weight, bias, self.eps).to(input.dtype)


class ResBlock(nn.Module):
    """Two convolutions around a residual, shifted by time and modulated by the rays of each pixel.

    The modulation acts on the input channels, before the first convolution (SEVA, "dense" rays).
    """

    def __init__(self, channels: int, out_channels: int, emb_channels: int, dense: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            GroupNorm32(channels), nn.SiLU(), nn.Conv2d(channels, out_channels, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(emb_channels, out_channels))
        self.dense_emb_layers = nn.Sequential(nn.Conv2d(dense, 2 * channels, 1))
        self.out_layers = nn.Sequential(
            GroupNorm32(out_channels),
            nn.SiLU(),
            nn.Identity(),  # the checkpoint counts a dropout here
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
        )
        same = channels == out_channels
        self.skip_connection = nn.Identity() if same else nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor, emb: Tensor, dense: Tensor) -> Tensor:
        """x (n, channels, h, w), emb (n, emb_channels), dense (m, 6, h, w) -> (n, out, h, w).

        m divides n: the same m maps serve every m consecutive rows of x.
        """
        norm, silu, conv = self.in_layers
        scale, shift = self.dense_emb_layers(dense).chunk(2, 1)
        h = rearrange(silu(norm(x)), "(s m) c h w -> s m c h w", m=len(dense))
        h = conv(rearrange(h * (1 + scale) + shift, "s m c h w -> (s m) c h w"))
        h = self.out_layers(h + self.emb_layers(emb)[..., None, None])
        return self.skip_connection(x) + h


class Downsample(nn.Module):
    """Halves height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) -> (n, channels, h/2, w/2)."""
        return self.op(x)


class Upsample(nn.Module):
    """Doubles height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) -> (n, channels, 2h, 2w)."""
        return self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))


class Attention(nn.Module):
    """Projections of multi-head attention; channel = head * head_channels + i."""

    kernel: AttentionName = "auto"
    """What computes it, see `attend`."""

    def __init__(self, channels: int, context_channels: int, head_channels: int) -> None:
        super().__init__()
        self.head_channels = head_channels
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context_channels, channels, bias=False)
        self.to_v = nn.Linear(context_channels, channels, bias=False)
        self.to_out = nn.Sequential(nn.Linear(channels, channels))

    def heads(self, x: Tensor) -> Tensor:
        """(n, length, channels) -> (n, heads, length, head_channels), a view."""
        return rearrange(x, "n l (heads c) -> n heads l c", c=self.head_channels)

    def attended(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Heads (n, heads, length, head_channels) -> tokens (n, length, channels)."""
        return rearrange(attend(q, k, v, self.kernel), "n heads l c -> n l (heads c)")


class SelfAttention(Attention):
    """Attention of tokens among themselves."""

    def __init__(self, channels: int, head_channels: int) -> None:
        super().__init__(channels, channels, head_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Every token with all tokens of its row: (n, length, channels), in and out."""
        q, k, v = (self.heads(to(x)) for to in (self.to_q, self.to_k, self.to_v))
        return self.to_out(self.attended(q, k, v))

    def over_frames(self, x: Tensor, num_frames: int) -> Tensor:
        """Every token with the tokens at its place in the other frames of its sequence.

        (sequences * num_frames, length, channels), in and out. Places count as heads, so that no
        token moves in memory.
        """
        apart, together = (
            "(s f) l (heads c) -> s (l heads) f c",
            "s (l heads) f c -> (s f) l (heads c)",
        )
        sizes = {"f": num_frames, "c": self.head_channels}
        per_call = max(1, MAX_HEADS * self.head_channels // x.shape[-1])
        q, k, v = (to(x).split(per_call, 1) for to in (self.to_q, self.to_k, self.to_v))
        parts = []
        for part in zip(q, k, v, strict=True):
            places = (rearrange(p, apart, **sizes) for p in part)
            attended = attend(*places, kernel=self.kernel)
            parts.append(rearrange(attended, together, l=part[0].shape[1]))
        return self.to_out(parts[0] if len(parts) == 1 else torch.cat(parts, 1))


class CrossAttention(Attention):
    """Attention of tokens to a context that stays the same over all denoising steps."""

    def prepare(self, context: Tensor) -> Cross:
        """What ``forward`` needs of a context (n, length, context_channels).

        Softmax over one token is 1: a context of length 1 adds the same vector for every query.
        """
        values = self.to_v(context)
        if context.shape[1] == 1:
            return self.to_out(values)
        return self.heads(self.to_k(context)), self.heads(values)

    def forward(self, x: Tensor, cross: Cross) -> Tensor:
        """What to add to x (n, length, channels): (n, length or 1, channels).

        ``cross`` has m rows, m divides n: row i serves n/m consecutive rows of x.
        """
        if isinstance(cross, Tensor):
            return cross.repeat_interleave(x.shape[0] // cross.shape[0], 0)
        k, v = (t.repeat_interleave(x.shape[0] // t.shape[0], 0) for t in cross)
        return self.to_out(self.attended(self.heads(self.to_q(x)), k, v))


class GatedLinear(nn.Module):
    """Linear layer whose output is gated by the exact GELU of its second half."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 2 * out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(..., channels) -> (..., out_channels)."""
        value, gate = self.proj(x).chunk(2, -1)
        return value * functional.gelu(gate)


class FeedForward(nn.Module):
    """Gated expansion to four times the channels and back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            GatedLinear(channels, 4 * channels),
            nn.Identity(),  # the checkpoint counts a dropout here
            nn.Linear(4 * channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(..., channels), in and out."""
        return self.net(x)
