"""The multi-view UNet that denoises all frames of a sequence at once (VMem, section 3; SEVA).

Written for inference: parameters need no gradients and there is no dropout. Precision is that of
the weights, without autocast: ``net.to(torch.bfloat16)`` computes in that dtype, norms in float32.
After ``net.to(memory_format=torch.channels_last)`` maps and tokens share one memory layout.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from vmem.devices.settings import AttentionName
from vmem.errors import VMemError
from vmem.generation.diffusion.network.layers import (
    Attention,
    Downsample,
    GroupNorm32,
    ResBlock,
    Upsample,
)
from vmem.generation.diffusion.network.transformer import MultiviewTransformer, TransformerCross


class NetworkError(VMemError, ValueError):
    """A network that cannot be built so, or an input that it cannot take."""


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of the network; the defaults are the released model's."""

    in_channels: int = 11
    """Latent 4, mask 1, Pluecker map 6."""
    model_channels: int = 320
    """Channels of the first level; other levels have a multiple of them."""
    out_channels: int = 4
    """Channels of a latent."""
    num_frames: int = 8
    """Frames of a sequence: context and targets together."""
    num_res_blocks: int = 2
    """Residual blocks a level on the way down; one more on the way up."""
    attention_resolutions: tuple[int, ...] = (4, 2, 1)
    """Downsampling factors of the levels that have transformers."""
    channel_mult: tuple[int, ...] = (1, 2, 4, 4)
    """For each level: its channels as a multiple of ``model_channels``."""
    num_head_channels: int = 64
    """Channels of one attention head."""
    transformer_depth: tuple[int, ...] = (1, 1, 1, 1)
    """For each level: pairs of a spatial and a time-mixing block in its transformers."""
    context_dim: int = 1024
    """Length of an image embedding."""
    dense_in_channels: int = 6
    """Channels of the Pluecker maps that modulate every residual block."""
    dropout: float = 0.0
    """Of training, without effect here."""
    unflatten_names: tuple[str, ...] = ("middle_ds8", "output_ds4", "output_ds2")
    """The transformers whose spatial blocks attend over all frames of a sequence at once."""

    def __post_init__(self) -> None:
        levels = len(self.channel_mult)
        if not levels or len(self.transformer_depth) != levels:
            raise NetworkError(
                f"channel_mult {self.channel_mult} and transformer_depth "
                f"{self.transformer_depth} must have one entry a level each"
            )
        for mult in self.channel_mult:
            channels = self.model_channels * mult
            if channels <= 0 or channels % 32 or channels % self.num_head_channels:
                raise NetworkError(
                    f"{channels} channels (model_channels {self.model_channels} times {mult}) must "
                    f"be a multiple of 32 and of num_head_channels {self.num_head_channels}"
                )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> UNetConfig:
        """From plain JSON values; lists become tuples. Raises NetworkError for unknown names."""
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise NetworkError(f"a network has no {', '.join(sorted(unknown))}")
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**given)

    @property
    def stride(self) -> int:
        """Height and width of the latents must be multiples of it."""
        return 2 ** (len(self.channel_mult) - 1)


@dataclass(eq=False)
class DeepFeatures:
    """What the inner levels made of one evaluation, for the next ones to use again.

    From one noise level to the next the features of the small maps change least, and most of the
    arithmetic is theirs. Source: Ma et al. 2023, "DeepCache: accelerating diffusion models for
    free".
    """

    outer: int
    """So many levels, from the full resolution on, are computed at every evaluation."""
    kept: Tensor | None = None
    """(n, channels, h, w): what the inner levels hand to the outer ones. Where it is None, an
    evaluation computes and keeps it; where not, an evaluation leaves the inner levels out."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """What stays the same over all denoising steps; made by ``MultiviewUNet.prepare``."""

    batch: int
    """Sequences times ``num_frames``."""
    num_frames: int
    """Frames of a sequence."""
    hw: tuple[int, int]
    """Size of the latents."""
    dense: dict[tuple[int, int], Tensor]
    """By size (h, w): ray maps (m, 6, h, w), where m divides ``batch``."""
    cross: tuple[TransformerCross, ...]
    """For each transformer, in order of execution."""
    deep: DeepFeatures | None = None
    """What evaluations hand on to later ones, None where all are whole."""

    def keeping(self, outer: int) -> Prepared:
        """The same for evaluations that may leave out all but the ``outer`` first levels."""
        return replace(self, deep=DeepFeatures(outer))


def time_embedding(t: Tensor, channels: int) -> Tensor:
    """Cosines, then sines, of the sigma index (n,) -> (n, channels) float32."""
    half = channels // 2
    k = torch.arange(half, dtype=torch.float32, device=t.device)
    angles = t.float()[:, None] * torch.exp(-math.log(10000) * k / half)
    return functional.pad(torch.cat([angles.cos(), angles.sin()], 1), (0, channels % 2))


class MultiviewUNet(nn.Module):
    """The network of the released checkpoint, name by name: its state dict loads strictly."""

    def __init__(self, config: UNetConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or UNetConfig()
        width = c.model_channels
        emb = 4 * width
        self.time_embed = nn.Sequential(nn.Linear(width, emb), nn.SiLU(), nn.Linear(emb, emb))

        def res(channels: int, out_channels: int) -> ResBlock:
            return ResBlock(channels, out_channels, emb, c.dense_in_channels)

        def transformer(path: str, ds: int, channels: int, depth: int) -> MultiviewTransformer:
            joint = f"{path}_ds{ds}" in c.unflatten_names
            return MultiviewTransformer(channels, c.context_dim, c.num_head_channels, depth, joint)

        last = len(c.channel_mult) - 1
        channels, ds = width, 1
        self.input_blocks = nn.ModuleList([_block(nn.Conv2d(c.in_channels, width, 3, padding=1))])
        skips = [width]
        for level, (mult, depth) in enumerate(
            zip(c.channel_mult, c.transformer_depth, strict=True)
        ):
            for _ in range(c.num_res_blocks):
                layers: list[nn.Module] = [res(channels, width * mult)]
                channels = width * mult
                if ds in c.attention_resolutions:
                    layers.append(transformer("input", ds, channels, depth))
                self.input_blocks.append(_block(*layers))
                skips.append(channels)
            if level != last:
                self.input_blocks.append(_block(Downsample(channels)))
                skips.append(channels)
                ds *= 2

        self.middle_block = _block(
            res(channels, channels),
            transformer("middle", ds, channels, c.transformer_depth[-1]),
            res(channels, channels),
        )

        self.output_blocks = nn.ModuleList()
        for level in range(last, -1, -1):
            for i in range(c.num_res_blocks + 1):
                out_channels = width * c.channel_mult[level]
                layers = [res(channels + skips.pop(), out_channels)]
                channels = out_channels
                if ds in c.attention_resolutions:
                    layers.append(transformer("output", ds, channels, c.transformer_depth[level]))
                if level and i == c.num_res_blocks:
                    layers.append(Upsample(channels))
                    ds //= 2
                self.output_blocks.append(_block(*layers))

        self.out = nn.Sequential(
            GroupNorm32(channels), nn.SiLU(), nn.Conv2d(channels, c.out_channels, 3, padding=1)
        )
        self.eval().requires_grad_(False)

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile calls in place by torch.compile, with its arguments."""
        # einops parses its patterns in Python, and tracing that takes longer than the network.
        torch.compiler.allow_in_graph(rearrange)
        super().compile(*args, **options)

    def attend_with(self, kernel: AttentionName) -> None:
        """Compute all attention with a kernel from now on, see `attention.attend`."""
        for module in self.modules():
            if isinstance(module, Attention):
                module.kernel = kernel

    def prepare(
        self,
        crossattn: Tensor,
        dense: Tensor,
        hw: tuple[int, int],
        num_frames: int | None = None,
    ) -> Prepared:
        """Compute what is the same at all denoising steps.

        crossattn (sequences * num_frames, tokens, context_dim): image embedding of each frame.
        dense: ray maps (sequences * num_frames, 6, H, W) of any size, or (num_frames, 6, H, W)
        where all sequences share them; maps that are equal in all are detected and kept once.
        hw: size of the latents. num_frames: by default the configuration's. Raises NetworkError
        where sizes do not fit.
        """
        c, n = self.config, num_frames or self.config.num_frames
        batch, (h, w) = crossattn.shape[0], hw
        self._check(
            crossattn.ndim == 3 and crossattn.shape[1] > 0 and crossattn.shape[2] == c.context_dim,
            f"crossattn must be (frames, tokens, {c.context_dim})",
            crossattn,
        )
        self._check(
            batch > 0 and batch % n == 0, f"frames must come in sequences of {n}", crossattn
        )
        self._check(
            dense.ndim == 4
            and dense.shape[0] in (batch, n)
            and dense.shape[1] == c.dense_in_channels,
            f"dense must be ({batch} or {n}, {c.dense_in_channels}, height, width)",
            dense,
        )
        self._check_size(hw)
        like = self._weight
        maps = _shared(dense.to(like.device, torch.float32), n)
        sizes = [(h // 2**level, w // 2**level) for level in range(len(c.channel_mult))]
        context = crossattn.to(like)
        return Prepared(
            batch=batch,
            num_frames=n,
            hw=(h, w),
            dense={size: _resized(maps, size).to(like.dtype) for size in sizes},
            cross=tuple(
                module.prepare(context, n)
                for module in self.modules()
                if isinstance(module, MultiviewTransformer)
            ),
        )

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        crossattn: Tensor | None = None,
        dense: Tensor | None = None,
        num_frames: int | None = None,
        prepared: Prepared | None = None,
    ) -> Tensor:
        """The network's estimate for noisy frames; the denoiser gives it its meaning.

        x (sequences * num_frames, in_channels, h, w), any float dtype; t (sequences * num_frames,)
        int64: sigma index of each frame, 0..999; either ``prepared`` or crossattn, dense and
        num_frames as for ``prepare``. ``prepared.deep`` is read and written. Returns
        (sequences * num_frames, out_channels, h, w) in the dtype of x. Raises NetworkError where
        sizes do not fit.
        """
        c = self.config
        self._check(
            x.ndim == 4 and x.shape[1] == c.in_channels,
            f"x must be (frames, {c.in_channels}, height, width)",
            x,
        )
        h, w = x.shape[-2:]
        if prepared is None:
            if crossattn is None or dense is None:
                raise NetworkError("the network needs crossattn and dense, or prepared")
            prepared = self.prepare(crossattn, dense, (h, w), num_frames)
        batch, n = prepared.batch, prepared.num_frames
        if num_frames not in (None, n):
            raise NetworkError(f"prepared for sequences of {n} frames, asked for {num_frames}")
        expected = (batch, c.in_channels, *prepared.hw)
        self._check(x.shape == expected, f"x must be {expected} as prepared", x)
        self._check(t.shape == (batch,), f"t must be ({batch},), one index a frame", t)
        deep = prepared.deep
        if deep is not None and not 0 < deep.outer < len(c.channel_mult):
            raise NetworkError(
                f"{deep.outer} outer levels leave no inner ones: this network has "
                f"{len(c.channel_mult)}, keep 1 to {len(c.channel_mult) - 1}"
            )

        emb = self.time_embed(time_embedding(t, c.model_channels).to(self._weight))
        blocks = [*self.input_blocks, self.middle_block, *self.output_blocks]
        middle = len(self.input_blocks)
        kept = None if deep is None else deep.kept
        # A level has this many blocks on either side: at the start the convolution or the
        # downsampling that leads to it is one of them.
        outer = 0 if deep is None else deep.outer * (c.num_res_blocks + 1)
        last_inner = len(blocks) - outer - 1
        crosses = iter(prepared.cross)
        z = x.to(self._weight.dtype)
        skips: list[Tensor] = []
        for i, block in enumerate(blocks):
            layers = list(cast(nn.ModuleList, block))
            own = [next(crosses) for layer in layers if isinstance(layer, MultiviewTransformer)]
            if kept is None or not outer <= i <= last_inner:
                if i > middle:
                    z = torch.cat([z, skips.pop()], 1)
                z = _through(layers, z, emb, prepared.dense, own, n)
                if i < middle:
                    skips.append(z)
            if deep is not None and i == last_inner:
                z = deep.kept = z if kept is None else kept
        return self.out(z).to(x.dtype)

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the weights, and so of the computation."""
        return self._weight.dtype

    @property
    def _weight(self) -> Tensor:
        """One of the weights: all have its device and dtype."""
        return cast(nn.Linear, self.time_embed[0]).weight

    def _check_size(self, hw: tuple[int, int]) -> None:
        stride = self.config.stride
        if min(hw) <= 0 or hw[0] % stride or hw[1] % stride:
            raise NetworkError(
                f"latents of {hw[0]} by {hw[1]} do not fit: both sides must be multiples of "
                f"{stride}, images' of {8 * stride}"
            )

    @staticmethod
    def _check(fits: bool, expected: str, got: Tensor) -> None:
        if not fits:
            raise NetworkError(f"{expected}, got {tuple(got.shape)}")


def _block(*layers: nn.Module) -> nn.ModuleList:
    return nn.ModuleList(layers)


def _shared(maps: Tensor, num_frames: int) -> Tensor:
    """The maps of one sequence if they are equal in all sequences, otherwise all maps."""
    sequences = rearrange(maps, "(s f) c h w -> s f c h w", f=num_frames)
    same = len(sequences) == 1 or bool((sequences == sequences[:1]).all())
    return sequences[0] if same else maps


def _resized(maps: Tensor, hw: tuple[int, int]) -> Tensor:
    """Bilinear, with the corners aligned."""
    return functional.interpolate(maps, hw, mode="bilinear", align_corners=True)


def _through(
    layers: Iterable[nn.Module],
    z: Tensor,
    emb: Tensor,
    dense: dict[tuple[int, int], Tensor],
    crosses: Iterable[TransformerCross],
    num_frames: int,
) -> Tensor:
    own = iter(crosses)
    for layer in layers:
        if isinstance(layer, ResBlock):
            z = layer(z, emb, dense[z.shape[-2], z.shape[-1]])
        elif isinstance(layer, MultiviewTransformer):
            z = layer(z, next(own), num_frames)
        else:
            z = layer(z)
    return z
