"""What the memory presets say that they need, against tensors counted at the released size.

The networks run on the meta device: nothing is computed, and nothing is said of what CUDA's
libraries allocate. ``pytest -rP`` of this file prints the table of docs/diffusion.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation

from tests.support.live_tensors import counting, weights
from vmem.devices.memory_presets import GIB, MARGIN, PRESETS, MemoryPreset
from vmem.generation.diffusion.codecs.codecs import ImageCodec, ImageEmbedder
from vmem.generation.diffusion.codecs.previews import TinyPreview
from vmem.generation.diffusion.codecs.weights import empty_clip, empty_tiny_vae, empty_vae
from vmem.generation.diffusion.network.unet import MultiviewUNet, UNetConfig
from vmem.geometry.cut3r.config import Cut3rConfig
from vmem.geometry.cut3r.loading import in_precision
from vmem.geometry.cut3r.network import Cut3r
from vmem.geometry.cut3r.preprocess import SIZE
from vmem.geometry.depth_anything.network import SIDE

MIB = 2**20
HW = (72, 72)
"""Latents of 576 pixels."""
NEW = 4
"""Frames that a step makes."""
HALF, FULL = torch.float16, torch.float32


@dataclass(frozen=True)
class Needs:
    """Bytes of a network, and of all other tensors at its worst moment, results included."""

    weights: int
    peak: int

    @property
    def both(self) -> int:
        """At that moment, all in all."""
        return self.weights + self.peak


@cache
def unet(dtype: torch.dtype, batched: bool) -> Needs:
    """An evaluation, beside what is prepared for both sides of guidance."""
    config = UNetConfig()
    n, sides = config.num_frames, 2 if batched else 1
    with torch.device("meta"):
        net = MultiviewUNet(config).to(dtype)
    net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    with counting(channels_last=True) as live:
        prepared = [
            net.prepare(
                torch.empty(sides * n, 1, config.context_dim), torch.empty(n, 6, *HW), HW, n
            )
            for _ in range(2 // sides)
        ]
        x = torch.empty(sides * n, config.in_channels, *HW)
        net(x, torch.zeros(sides * n, dtype=torch.int64), prepared=prepared[0])
    return Needs(weights(net), live.peak)


@cache
def vae(dtype: torch.dtype, decoded: int) -> Needs:
    """Decoding that many frames at once; encoding one for 0."""
    module: nn.Module = empty_vae()
    module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    codec = ImageCodec(module, device="meta", dtype=dtype, chunk=max(decoded, 1))  # pyright: ignore
    with counting(channels_last=True) as live:
        if decoded:
            codec.decode(torch.empty(decoded, 4, *HW), device="meta")
        else:
            codec.encode(torch.empty(1, 3, 8 * HW[0], 8 * HW[1]), device="meta")
    return Needs(weights(module), live.peak)


@cache
def clip() -> Needs:
    """Embedding the frames of a step, beside these."""
    embedder = ImageEmbedder(empty_clip(), device="meta", dtype=HALF)
    with counting() as live:
        embedder.embed(torch.empty(NEW, 3, 8 * HW[0], 8 * HW[1]), device="meta")
    return Needs(weights(embedder.tower), live.peak)


@cache
def previews() -> Needs:
    """Pictures of the forming frames by the tiny autoencoder, between evaluations."""
    preview = TinyPreview(empty_tiny_vae(), device="meta", dtype=HALF)
    with counting() as live:
        preview.vae.decode(torch.empty(NEW, 4, *HW, dtype=HALF)).sample.float()
    return Needs(weights(preview.vae), live.peak)


@cache
def cut3r(dtype: torch.dtype) -> Needs:
    """One square view, beside the states before and after it."""
    with torch.device("meta"):
        net = in_precision(Cut3r(Cut3rConfig()), dtype)
    with counting() as live:
        later = replace(net.start(), views=1)
        net.step(later, net.encode(torch.empty(1, 3, SIZE, SIZE)), ("own", "world"))
    return Needs(weights(net), live.peak)


@cache
def depth_anything() -> Needs:
    """One frame by the small network, whose sizes are transformers' defaults."""
    with torch.device("meta"):
        net = DepthAnythingForDepthEstimation(DepthAnythingConfig()).eval()
    with counting() as live:
        net(pixel_values=torch.empty(1, 3, SIDE, SIDE))
    return Needs(weights(net), live.peak)


def moments(preset: MemoryPreset) -> Mapping[str, int]:
    """Bytes of all tensors in each stage of a step, by what stays and what comes for its use.

    The autoencoder counts in float32, in which it works after an overflow.
    """
    stages = {
        "encode": ("vae", vae(FULL, 0)),
        "denoise": ("unet", unet(HALF, preset.batched)),
        "decode": ("vae", vae(FULL, preset.decode)),
        "embed": ("clip", clip()),
        "CUT3R": ("cut3r", cut3r(FULL)),
    }
    stays = {
        "unet": preset.network_stays,
        "vae": preset.codecs_stay,
        "clip": preset.codecs_stay,
        "cut3r": preset.everything_stays,
    }
    held = {network: needs.weights for network, needs in stages.values() if stays[network]}
    held["previews"] = previews().weights
    return {
        stage: needs.both + sum(size for other, size in held.items() if other != network)
        for stage, (network, needs) in stages.items()
    }


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_preset_needs_what_it_says(preset):
    stages = moments(preset)
    counted = max(stages.values())
    print(f"{preset.name}, GiB:", {stage: round(size / GIB, 2) for stage, size in stages.items()})
    assert counted <= preset.tensors <= 1.1 * counted
    assert preset.least >= preset.tensors + MARGIN


@pytest.mark.every  # takes ten seconds or more
def test_what_halves_memory():
    """Two passes instead of one, a frame instead of two, half precision; and CUT3R is the larger
    of the geometries."""
    counts = {
        "UNet float16, one pass": unet(HALF, batched=True),
        "UNet float16, two passes": unet(HALF, batched=False),
        "UNet float32, two passes": unet(FULL, batched=False),
        "VAE float16, encode 1": vae(HALF, 0),
        **{f"VAE float16, decode {n}": vae(HALF, n) for n in (1, 2, 4)},
        "VAE float32, encode 1": vae(FULL, 0),
        **{f"VAE float32, decode {n}": vae(FULL, n) for n in (1, 2, 4)},
        f"CLIP float16, {NEW} images": clip(),
        "CUT3R float32": cut3r(FULL),
        "CUT3R float16, heads float32": cut3r(HALF),
        "Depth Anything Small float32": depth_anything(),
        f"TAESD float16, {NEW} previews": previews(),
    }
    for name, needs in counts.items():
        print(f"{name:30} {needs.weights / MIB:5.0f} + {needs.peak / MIB:5.0f} MiB")
    one, two = unet(HALF, batched=True), unet(HALF, batched=False)
    assert one.weights == two.weights
    assert two.peak < 0.6 * one.peak
    for n in (1, 2, 4):
        assert vae(HALF, n).peak == pytest.approx(n * vae(HALF, 1).peak, rel=0.01)
        assert vae(HALF, n).peak == pytest.approx(vae(FULL, n).peak / 2, rel=0.01)
    assert max(depth_anything().both, cut3r(HALF).both) < cut3r(FULL).both
    assert previews().peak < two.peak  # between evaluations, so that denoising stays the peak


# --- the counter ------------------------------------------------------------------------------


def test_views_do_not_count_and_dropped_tensors_no_more():
    with counting() as live:
        a = torch.empty(100)
        square = a.view(10, 10)
        square.add_(1)
        b = square + 1
        assert (live.now, live.peak) == (800, 800)
        del a, square
        assert (live.now, live.peak) == (400, 800)
        assert bool(torch.isfinite(b).all())
    with torch.inference_mode(), counting() as live:
        nn.Linear(100, 50, bias=False)(torch.empty(20, 100))
    assert live.peak == 4 * (50 * 100 + 20 * 100 + 20 * 50)


def test_attention_has_no_scores_and_maps_change_their_layout():
    with counting() as live:
        q = torch.empty(1, 2, 1000, 8, dtype=HALF)
        out = functional.scaled_dot_product_attention(q, q, q)
        assert (live.now, live.peak) == (q.nbytes + out.nbytes, 2 * q.nbytes + 4 * 2 * 1000)
    with counting(channels_last=True) as live:
        conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        begun, x = live.now, torch.empty(1, 4, 50, 50)
        y = conv(x)  # beside a copy of x
        assert (live.now - begun, live.peak - begun) == (2 * x.nbytes, 3 * x.nbytes)
        live.peak = 0
        functional.group_norm(y, 2)  # beside a copy of y, plane by plane
        assert live.peak - begun == pytest.approx(4 * x.nbytes, abs=32)  # and statistics
