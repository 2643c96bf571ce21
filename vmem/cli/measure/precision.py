"""Sections "precision" and "geometry": results in half precision against float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vmem.cli.measure.bench import Bench, flag
from vmem.cli.measure.record import Plain, Row
from vmem.devices.devices import placed
from vmem.errors import VMemError
from vmem.generation.diffusion.conditioning import Conditioned, condition, default_K_normalized
from vmem.generation.diffusion.networks import Networks, use_networks
from vmem.generation.diffusion.sampling.guidance import GuidedDenoiser, guidance_scale
from vmem.generation.diffusion.sampling.sampler import noise_stream
from vmem.generation.diffusion.sampling.schedule import sigma_table
from vmem.geometry.cut3r.loading import borrowed
from vmem.progress import CancelToken, silent

LEVELS = (999, 600, 200)
"""Noise levels at which the network is evaluated, of 1000; the first is the noisiest."""
CUT3R_SIDE = 512
"""Side in pixels of the squares that CUT3R sees."""
VIEWS = 4
"""Views that CUT3R looks at."""
HALVES = ("float16", "bfloat16")


def sequence(networks: Networks, latent_side: int) -> Conditioned:
    """Random context and a path of cameras, in all slots of the network, on its device."""
    n = networks.unet.config.num_frames
    known = np.arange(n) < n // 2
    drawn = torch.Generator().manual_seed(0)
    hw = latent_side, latent_side
    latents = torch.randn(n // 2, 4, *hw, generator=drawn).to(networks.device)
    embeddings = torch.randn(n // 2, networks.embedder.dim, generator=drawn).to(networks.device)
    c2w = np.tile(np.eye(4), (n, 1, 1))
    c2w[:, 2, 3] = 0.1 * np.arange(n)
    K = np.repeat(default_K_normalized(), n, 0)
    return condition(c2w, K, known, latents, embeddings, hw)


def noisy(networks: Networks, made: Conditioned, level: int) -> tuple[Tensor, Tensor]:
    """Latents of noise at one level, the same on every device, and the level's sigma."""
    sigma = sigma_table()[level]
    shape = len(made.c.replace), 4, *made.c.replace.shape[2:]
    return noise_stream(1, shape, networks.device)() * torch.sqrt(1 + sigma**2), sigma


def precision(bench: Bench) -> Iterator[Row]:
    """Root mean square from float32, in its standard deviations: of one guided evaluation, of the
    VAE's images and latents, of CLIP's embeddings."""
    exact = _answers(bench, "float32", tf32=False)
    kinds = [("float32 with TF32", "float32")] if bench.on_cuda else []
    for name, dtype in kinds + [(half, half) for half in HALVES]:
        for quantity, answer in _answers(bench, dtype, tf32=True).items():
            yield Row(f"{name}: {quantity}", _difference(answer, exact[quantity]))
    bench.forget()


def _difference(answer: Tensor | str, exact: Tensor | str) -> dict[str, Plain]:
    if isinstance(answer, str) or isinstance(exact, str):
        return {"error": next(text for text in (answer, exact) if isinstance(text, str))}
    off = (answer - exact).square().mean().sqrt() / exact.std()
    return {"rms of std": float(off), "finite": bool(torch.isfinite(answer).all())}


def _answers(bench: Bench, dtype: str, *, tf32: bool) -> dict[str, Tensor | str]:
    """By quantity f32 on the CPU, or why there is none. Takes as little memory as it can."""
    bench.forget()
    settings = bench.settings(dtype=dtype, memory="offload-all")
    found: dict[str, Tensor | str] = {}
    with use_networks(settings, silent, CancelToken()) as networks, _tf32(tf32), torch.no_grad():
        codec, embedder = networks.codec, networks.embedder
        side = bench.size // codec.factor
        drawn = torch.Generator().manual_seed(2)
        latents = torch.randn(1, 4, side, side, generator=drawn)
        image = _smooth(bench.size, 1)
        made = sequence(networks, side)
        with placed(networks.unet, networks.device):
            scale = guidance_scale(made)
            denoise = GuidedDenoiser(networks.unet, made, scale, batched=False)
            for level in LEVELS:
                bench.limit.check()
                estimate = denoise(*noisy(networks, made, level))
                found[f"evaluation at level {level}"] = estimate.float().cpu()
        with placed(codec.vae, networks.device):
            for name, call in (
                ("VAE, decoded", lambda: codec.decode(latents)),
                ("VAE, encoded", lambda: codec.encode(image)),
            ):
                try:
                    found[name] = call()
                except VMemError as error:  # not finite in this precision
                    found[name] = str(error)
        with placed(embedder.tower, networks.device):
            found["CLIP"] = embedder.embed(image)
    return found


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    """float32 products on an NVIDIA GPU with TensorFloat-32 or without it, in the block."""
    with (
        flag(torch.backends.cuda.matmul, "allow_tf32", allowed),
        flag(torch.backends.cudnn, "allow_tf32", allowed),
    ):
        yield


def _smooth(side: int, seed: int) -> Tensor:
    """A smooth random image (1, 3, side, side) in [-1, 1]."""
    coarse = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return functional.interpolate(coarse, (side, side), mode="bicubic").clamp(-1, 1)


def geometry(bench: Bench) -> Iterator[Row]:
    """CUT3R by precision: time and memory of a view, and the median difference of its depth from
    float32's, as a share of it."""
    kinds = [("float32", "float32", False)]
    kinds += [("float32 with TF32", "float32", True)] if bench.on_cuda else []
    kinds += [(half, half, True) for half in HALVES]
    depths: dict[str, Tensor] = {}
    for name, dtype, tf32 in kinds:
        bench.forget()

        def looked(name: str = name, dtype: str = dtype, tf32: bool = tf32) -> dict[str, Plain]:
            cost, depths[name] = _looked(bench, dtype, tf32)
            exact = depths.get("float32")
            if exact is None:
                return {**cost, "median depth off": None}
            off = (depths[name] - exact).abs() / exact.abs().clamp(min=1e-6)
            return {**cost, "median depth off": float(off.median())}

        yield bench.attempt(name, looked)
    bench.forget()


def _looked(bench: Bench, dtype: str, tf32: bool) -> tuple[dict[str, Plain], Tensor]:
    """Cost of one of VIEWS views, and the depths (VIEWS, H, W) f32 on the CPU."""
    side = bench.size if bench.tiny else CUT3R_SIDE
    views = [_smooth(side, seed) for seed in range(VIEWS)]
    settings = bench.settings(dtype=dtype, memory="offload-all")
    with borrowed(settings, silent, CancelToken()) as network, _tf32(tf32):

        def look() -> Tensor:
            state, depths = network.net.start(), []
            for view in views:
                features = network.net.encode(view.to(network.device))
                state, said = network.net.step(state, features, ("own",))
                assert said.own_points is not None
                depths.append(said.own_points[..., 2].float().cpu())
            return torch.cat(depths)

        bench.peaks()
        cost = {"ms a view": bench.milliseconds(look, rounds=2) / VIEWS, **bench.peaks()}
        return cost, look()
