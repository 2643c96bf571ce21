"""The network computed step by step as its definition reads, to compare ours with.

Nothing is kept between denoising steps: ray maps are resized in every ResBlock, the context is
projected and attended to in every block, repeated for each place where frames are mixed. Attention
is torch's own, as in ours. Source: VMem's network (specification, section 1).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from vmem.generation.diffusion.network.layers import Attention, ResBlock
from vmem.generation.diffusion.network.transformer import MultiviewTransformer
from vmem.generation.diffusion.network.unet import MultiviewUNet, time_embedding


class PlainNetwork:
    """A ``guidance.Network`` with the weights of ``net``, which prepares nothing."""

    def __init__(self, net: MultiviewUNet) -> None:
        self._net = net

    def prepare(
        self, crossattn: Tensor, dense: Tensor, hw: tuple[int, int], num_frames: int
    ) -> tuple[Tensor, Tensor, int]:
        """The arguments themselves: crossattn (B*N, 1, D), dense (B*N, 6, h, w), N."""
        return crossattn, dense, num_frames

    def __call__(self, x: Tensor, t: Tensor, *, prepared: tuple[Tensor, Tensor, int]) -> Tensor:
        """(B*N, 4, h, w) in x's dtype, from x (B*N, 11, h, w) and levels t (B*N,) i64."""
        crossattn, dense, n = prepared
        net = self._net
        dtype = cast(Any, net.time_embed[0]).weight.dtype
        emb = net.time_embed(time_embedding(t, net.config.model_channels).to(dtype))
        context = crossattn.to(dtype)

        def through(block: Iterable[nn.Module], z: Tensor) -> Tensor:
            for layer in block:
                if isinstance(layer, ResBlock):
                    z = _res_block(layer, z, emb, dense)
                elif isinstance(layer, MultiviewTransformer):
                    z = _transformer(layer, z, context, n)
                else:
                    z = layer(z)
            return z

        z = x.to(dtype)
        skips = []
        for block in net.input_blocks:
            z = through(cast(nn.ModuleList, block), z)
            skips.append(z)
        z = through(net.middle_block, z)
        for block in net.output_blocks:
            z = through(cast(nn.ModuleList, block), torch.cat([z, skips.pop()], 1))
        return net.out(z).to(x.dtype)


def _res_block(block: ResBlock, x: Tensor, emb: Tensor, dense: Tensor) -> Tensor:
    norm, silu, conv = block.in_layers
    hw = [int(side) for side in x.shape[-2:]]
    maps = functional.interpolate(dense, hw, mode="bilinear", align_corners=True).to(x.dtype)
    scale, shift = block.dense_emb_layers(maps).chunk(2, 1)
    h = conv(silu(norm(x)) * (1 + scale) + shift)
    h = block.out_layers(h + block.emb_layers(emb)[..., None, None])
    return block.skip_connection(x) + h


def _transformer(module: MultiviewTransformer, x: Tensor, context: Tensor, n: int) -> Tensor:
    h, w = x.shape[-2:]
    places = h * w
    first = context[::n]
    own = first if module.joint else context
    everywhere = first.repeat_interleave(places, 0)
    z = module.proj_in(module.norm(x).flatten(2).transpose(1, 2))
    blocks = zip(module.transformer_blocks, module.time_mix_blocks, strict=True)
    for spatial, mixing in cast(Iterable[tuple[Any, Any]], blocks):
        if module.joint:
            z = z.reshape(-1, n * places, z.shape[-1])
        z = z + _attention(spatial.attn1, spatial.norm1(z))
        z = z + _attention(spatial.attn2, spatial.norm2(z), own)
        z = z + spatial.ff(spatial.norm3(z))
        z = z.reshape(-1, places, z.shape[-1])
        u = _swapped(z, n, places)
        u = u + mixing.ff_in(mixing.norm_in(u))
        u = u + _attention(mixing.attn1, mixing.norm1(u))
        u = u + _attention(mixing.attn2, mixing.norm2(u), everywhere)
        z = z + _swapped(mixing.ff(mixing.norm3(u)), places, n)
    return x + module.proj_out(z).transpose(1, 2).unflatten(2, (h, w))


def _swapped(z: Tensor, a: int, b: int) -> Tensor:
    """(B*a, b, c) -> (B*b, a, c), moved in memory."""
    return z.reshape(-1, a, b, z.shape[-1]).transpose(1, 2).reshape(-1, a, z.shape[-1])


def _attention(attention: Attention, x: Tensor, context: Tensor | None = None) -> Tensor:
    """From every token to a context (n, length, D), to its own row without one."""
    seen = x if context is None else context
    q, k, v = (
        attention.heads(to(of))
        for to, of in ((attention.to_q, x), (attention.to_k, seen), (attention.to_v, seen))
    )
    out = functional.scaled_dot_product_attention(q, k, v)
    return attention.to_out(out.transpose(1, 2).flatten(2))
