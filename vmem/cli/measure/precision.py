"""Sections "precision" and "geometry": results in half precision against float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vmem.cli.measure.bench import Bench, Failure, flag
from vmem.cli.measure.record import Plain, Row
from vmem.devices.devices import placed
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
    """Root mean square from float32, in its standard deviations: of guided evaluations, of the
    VAE's images and latents, of CLIP's embeddings."""
    exact = _answers(bench, "float32", tf32=False)
    kinds = [("float32 with TF32", "float32")] if bench.on_cuda else []
    for name, dtype in kinds + [(half, half) for half in HALVES]:
        for quantity, answer in _answers(bench, dtype, tf32=True).items():
            yield Row(f"{name}: {quantity}", _difference(answer, exact[quantity]))
    bench.forget()


Answer = Tensor | Failure


def _difference(answer: Answer, exact: Answer) -> dict[str, Plain]:
    if isinstance(answer, Failure):
        return {"error": answer.error}
    if isinstance(exact, Failure):
        return {"error": f"nothing to compare with: {exact.error}"}
    off = (answer - exact).square().mean().sqrt() / exact.std()
    return {"rms of std": float(off), "finite": bool(torch.isfinite(answer).all())}


def _answers(bench: Bench, dtype: str, *, tf32: bool) -> dict[str, Answer]:
    """By quantity f32 on the CPU, one network at a time on the device. Raises what loading does."""
    bench.forget()
    settings = bench.settings(dtype=dtype, memory="offload-all")
    with use_networks(settings, silent, CancelToken()) as networks, _tf32(tf32):
        codec, embedder = networks.codec, networks.embedder
        side = bench.size // codec.factor
        drawn = torch.Generator().manual_seed(2)
        latents = torch.randn(1, 4, side, side, generator=drawn)
        image = _smooth(bench.size, 1)

        def estimate(level: int) -> Tensor:
            made = sequence(networks, side)
            scale = guidance_scale(made)
            with torch.no_grad():
                denoise = GuidedDenoiser(networks.unet, made, scale, batched=False)
                return denoise(*noisy(networks, made, level)).float().cpu()

        calls: dict[str, tuple[torch.nn.Module, Callable[[], Tensor]]] = {
            f"evaluation at level {level}": (networks.unet, partial(estimate, level))
            for level in LEVELS
        }
        calls["VAE, decoded"] = codec.vae, lambda: codec.decode(latents)
        calls["VAE, encoded"] = codec.vae, lambda: codec.encode(image)
        calls["CLIP"] = embedder.tower, lambda: embedder.embed(image)

        def answer(module: torch.nn.Module, call: Callable[[], Tensor]) -> Tensor:
            bench.limit.check()
            with placed(module, networks.device):
                return call()

        return {name: bench.tried(partial(answer, *given)) for name, given in calls.items()}


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
