"""Rotary position embeddings in two dimensions: the angle between query and key says how far apart.

Half of a head's channels turn with the row, half with the column; within a half, channel d and
channel d + Q form a pair that turns by ``place / base^(d/Q)`` (Su et al. 2021).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Int, Int64
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Rotation:
    """Turns queries or keys at n places."""

    cos: Float32[Tensor, "n 2 Q"]
    """Of the row angles, then of the column angles."""
    sin: Float32[Tensor, "n 2 Q"]
    """Of the same angles."""
    rounded: bool = False
    """Whether values are rounded to float16 before and after, as the published encoder does."""

    def __call__(self, x: Float[Tensor, "*batch n channels"]) -> Float[Tensor, "*batch n channels"]:
        """Of the same dtype, computed in float32; there are 4 Q channels."""
        halves = (x.half() if self.rounded else x).float().unflatten(-1, (2, 2, -1))
        u, v = halves.unbind(-2)
        turned = torch.stack((u * self.cos - v * self.sin, v * self.cos + u * self.sin), -2)
        turned = turned.flatten(-3)
        return (turned.half() if self.rounded else turned).to(x.dtype)


def rotation(
    places: Int[Tensor, "n 2"], head_channels: int, base: float, rounded: bool = False
) -> Rotation:
    """For places, row and column, which may be negative."""
    quarter = head_channels // 4
    d = torch.arange(quarter, dtype=torch.float32, device=places.device)
    angles = places.float()[..., None] / base ** (d / quarter)
    return Rotation(angles.cos(), angles.sin(), rounded)


def image_places(h: int, w: int, device: torch.device | None = None) -> Int64[Tensor, "n 2"]:
    """Row and column of each patch, row by row."""
    rows, columns = torch.arange(h, device=device), torch.arange(w, device=device)
    return torch.cartesian_prod(rows, columns)


def state_places(
    size: int, kind: str, device: torch.device | None = None
) -> Int64[Tensor, "size 2"] | None:
    """Where the tokens of the state are said to be; None for ``kind`` "none".

    "2d": row by row in a square of even width; "1d": along the diagonal.
    """
    if kind == "none":
        return None
    i = torch.arange(size, device=device)
    if kind == "1d":
        return torch.stack((i, i), 1)
    side = math.isqrt(size)
    side += side % 2
    return torch.stack((i // side, i % side), 1)
