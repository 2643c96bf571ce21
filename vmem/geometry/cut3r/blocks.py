"""Transformer blocks: of the encoder, of the two decoders, and of the head that knows the pose.

Tokens are (n, length, channels) in the dtype of the weights. Names of submodules are those of the
released checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TypeVar, cast

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vmem.geometry.cut3r.rope import Rotation

LayerNorm = partial(nn.LayerNorm, eps=1e-6)

_M = TypeVar("_M", bound=nn.Module)


def typed(modules: Iterable[nn.Module], kind: type[_M]) -> Iterator[_M]:
    """``modules`` with the type of what they hold, which torch's lists do not keep."""
    return cast(Iterator[_M], iter(modules))


def _attend(
    q: Tensor, k: Tensor, v: Tensor, turn_q: Rotation | None, turn_k: Rotation | None
) -> Tensor:
    """Heads (n, heads, length, head channels) -> tokens (n, length, channels)."""
    q = q if turn_q is None else turn_q(q)
    k = k if turn_k is None else turn_k(k)
    x = functional.scaled_dot_product_attention(q, k, v)
    return rearrange(x, "n heads length c -> n length (heads c)")


class SelfAttention(nn.Module):
    """Every token with all of its row."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(
        self, x: Float[Tensor, "B n channels"], turn: Rotation | None
    ) -> Float[Tensor, "B n channels"]:
        """The tokens, having looked at each other."""
        split = "n length (qkv heads c) -> qkv n heads length c"
        q, k, v = rearrange(self.qkv(x), split, qkv=3, heads=self.heads)
        return self.proj(_attend(q, k, v, turn, turn))


class CrossAttention(nn.Module):
    """Every token with all tokens of another row."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.projq = nn.Linear(channels, channels)
        self.projk = nn.Linear(channels, channels)
        self.projv = nn.Linear(channels, channels)
        self.proj = nn.Linear(channels, channels)

    def _split(self, x: Tensor) -> Tensor:
        return rearrange(x, "n length (heads c) -> n heads length c", heads=self.heads)

    def forward(
        self,
        x: Float[Tensor, "B n channels"],
        y: Float[Tensor, "B m channels"],
        turn_x: Rotation | None,
        turn_y: Rotation | None,
    ) -> Float[Tensor, "B n channels"]:
        """x asks y."""
        q, k, v = self._split(self.projq(x)), self._split(self.projk(y)), self._split(self.projv(y))
        return self.proj(_attend(q, k, v, turn_x, turn_y))


class Mlp(nn.Module):
    """Two layers around the exact GELU."""

    def __init__(self, channels: int, hidden: int, out_channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, out_channels)

    def forward(self, x: Float[Tensor, "*batch channels"]) -> Float[Tensor, "*batch out_channels"]:
        """Each vector by itself."""
        return self.fc2(functional.gelu(self.fc1(x)))


def feed_forward(channels: int, ratio: float) -> Mlp:
    """The one at the end of a block."""
    return Mlp(channels, int(channels * ratio), channels)


class EncoderBlock(nn.Module):
    """Self attention and feed-forward."""

    def __init__(self, channels: int, heads: int, ratio: float) -> None:
        super().__init__()
        self.norm1 = LayerNorm(channels)
        self.attn = SelfAttention(channels, heads)
        self.norm2 = LayerNorm(channels)
        self.mlp = feed_forward(channels, ratio)

    def forward(
        self, x: Float[Tensor, "B n channels"], turn: Rotation | None
    ) -> Float[Tensor, "B n channels"]:
        """The tokens, having looked at each other."""
        x = x + self.attn(self.norm1(x), turn)
        return x + self.mlp(self.norm2(x))


class DecoderBlock(nn.Module):
    """Self attention, attention to another row of tokens, feed-forward."""

    def __init__(self, channels: int, heads: int, ratio: float) -> None:
        super().__init__()
        self.norm1 = LayerNorm(channels)
        self.attn = SelfAttention(channels, heads)
        self.cross_attn = CrossAttention(channels, heads)
        self.norm2 = LayerNorm(channels)
        self.norm3 = LayerNorm(channels)
        self.mlp = feed_forward(channels, ratio)
        self.norm_y = LayerNorm(channels)

    def forward(
        self,
        x: Float[Tensor, "B n channels"],
        y: Float[Tensor, "B m channels"],
        turn_x: Rotation | None = None,
        turn_y: Rotation | None = None,
    ) -> Float[Tensor, "B n channels"]:
        """x, having looked at y."""
        x = x + self.attn(self.norm1(x), turn_x)
        x = x + self.cross_attn(self.norm2(x), self.norm_y(y), turn_x, turn_y)
        return x + self.mlp(self.norm3(x))


class ModulatedNorm(nn.Module):
    """Layer norm whose outcome another vector shifts and scales."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = LayerNorm(channels)
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(channels, 2 * channels))

    def forward(
        self, x: Float[Tensor, "B n channels"], by: Float[Tensor, "B 1 channels"]
    ) -> Float[Tensor, "B n channels"]:
        """x, normed and modulated."""
        shift, scale = self.mlp(by).chunk(2, -1)
        return self.norm(x) * (1 + scale) + shift


class ModulatedBlock(nn.Module):
    """An encoder block with modulated norms."""

    def __init__(self, channels: int, heads: int, ratio: float) -> None:
        super().__init__()
        self.norm1 = ModulatedNorm(channels)
        self.attn = SelfAttention(channels, heads)
        self.norm2 = ModulatedNorm(channels)
        self.mlp = feed_forward(channels, ratio)

    def forward(
        self,
        x: Float[Tensor, "B n channels"],
        by: Float[Tensor, "B 1 channels"],
        turn: Rotation | None,
    ) -> Float[Tensor, "B n channels"]:
        """x, having looked at itself."""
        x = x + self.attn(self.norm1(x, by), turn)
        return x + self.mlp(self.norm2(x, by))
