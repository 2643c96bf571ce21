"""Distance of samplers' results from the published 50 steps, and from the exact solution.

Subjects: data spread normally, whose exact denoiser and solution are known; and the tiny networks
of the golden packs in the folder ``VMEM_GOLDEN``. The latter have random weights: they denoise
nothing, but bend as a network does. Every run starts from the same noise. Errors are root mean
squares over target frames, in units of the standard deviation of the exact solution.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from benchmarks._metrics import Metric, Row, measured
from vmem.generation.diffusion.conditioning import condition
from vmem.generation.diffusion.network.unet import MultiviewUNet, UNetConfig
from vmem.generation.diffusion.sampling.guidance import GuidedDenoiser, guidance_scale
from vmem.generation.diffusion.sampling.presets import PRESETS
from vmem.generation.diffusion.sampling.sampler import Denoise, euler, noise_stream
from vmem.generation.diffusion.sampling.schedule import sigmas, spread_sigmas
from vmem.generation.diffusion.sampling.solvers import multistep

FEW = (20, 10)
FINE = 200
"""Steps that stand in for the exact solution of a network's equation."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A denoiser whose equation the samplers solve from one start."""

    name: str
    denoise: Denoise
    z0: Tensor
    """(N, 4, h, w): the start."""
    exact: Tensor
    """(N, 4, h, w): the exact solution."""
    target: Tensor
    """(N,) bool: the frames that count."""

    def distance(self, a: Tensor, b: Tensor) -> float:
        """Root mean square over target frames, by the exact solution's standard deviation."""
        difference = (a - b)[self.target].square().mean().sqrt()
        return float(difference / self.exact[self.target].std())


METRICS = (Metric("presets.*.*.from_*", "of std", tolerance=0.05, optional=True),)


def run() -> Iterator[Row]:
    """For each subject and solver: distance from 50 Euler steps, and from the exact solution."""
    for subject in chain([gaussian()], golden()):
        published = euler(subject.denoise, lambda s=subject: s.z0, sigmas(50), noise=False)
        yield from rows(subject, "euler_50_no_noise", published, published)
        for name, sample in runs().items():
            yield from rows(subject, name, sample(subject), published)


def rows(subject: Subject, name: str, z: Tensor, published: Tensor) -> Iterator[Row]:
    """Both distances of one run's latents."""
    for what, other in (("from_50", published), ("from_exact", subject.exact)):
        value = subject.distance(z, other)
        yield measured(f"presets.{subject.name}.{name}.{what}", value)


def runs() -> dict[str, Callable[[Subject], Tensor]]:
    """The presets, then other combinations of solver and noise levels."""
    found: dict[str, Callable[[Subject], Tensor]] = {}
    for name, preset in PRESETS.items():
        found[name] = lambda s, p=preset: p.sample(s.denoise, same_start(s))
    for n in FEW:
        spread, published = spread_sigmas(n), sigmas(n)
        found[f"euler_{n}_spread"] = lambda s, c=spread: euler(
            s.denoise, lambda: s.z0, c, noise=False
        )
        found[f"unipc_{n}_spread"] = lambda s, c=spread: multistep(
            "unipc", s.denoise, lambda: s.z0, c
        )
        found[f"dpm++_{n}_published"] = lambda s, c=published: multistep(
            "dpm++", s.denoise, lambda: s.z0, c
        )
    return found


def same_start(subject: Subject) -> Callable[[], Tensor]:
    """Draws the subject's start, then noise."""
    following = noise_stream(1, tuple(subject.z0.shape))
    draws = chain([subject.z0], iter(following, None))
    return lambda: next(draws)


def gaussian() -> Subject:
    """Independent normal data of standard deviations 0.05 to 2, as latents' details and areas."""
    spread = torch.logspace(math.log10(0.05), math.log10(2), 64, dtype=torch.float64)[:, None]
    mean = 0.5 * torch.randn(4, 64, 1, generator=torch.Generator().manual_seed(0)).double()
    first = float(sigmas(50)[0])

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        noise = sigma.double() ** 2
        return ((spread**2 * x.double() + noise * mean) / (spread**2 + noise)).float()

    z0 = noise_stream(0, (8, 4, 64, 32))()
    x = z0.double() * math.sqrt(1 + first**2)
    exact = mean + (x - mean) * spread / torch.sqrt(spread**2 + first**2)
    return Subject("gaussian", denoise, z0, exact, torch.ones(8, dtype=torch.bool))


def golden() -> Iterator[Subject]:
    """One for each sampler pack; none where ``VMEM_GOLDEN`` does not lead to any."""
    from safetensors.torch import load_file

    folder = Path(os.environ.get("VMEM_GOLDEN", ""))
    for path in sorted(folder.glob("03_sampler*.json")):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        pack = load_file(path.with_suffix(".safetensors"))
        made = condition(
            pack["in.c2ws"],
            pack["in.Ks"],
            pack["in.input_mask"],
            pack["in.context_latents"],
            pack["in.context_embeddings"],
            (pack["randn"].shape[-2], pack["randn"].shape[-1]),
        )
        network = tiny_network(folder / f"{manifest['config']['network_pack']}.json")
        denoise, z0 = GuidedDenoiser(network, made, guidance_scale(made)), pack["randn"]
        exact = multistep("dpm++", denoise, lambda z0=z0: z0, sigmas(FINE))
        yield Subject(path.stem.split("_", 1)[1], denoise, z0, exact, ~made.is_context)


def tiny_network(path: Path) -> MultiviewUNet:
    """The network of a golden pack, in f32."""
    from safetensors.torch import load_file

    manifest = json.loads(path.read_text(encoding="utf-8"))
    network = MultiviewUNet(UNetConfig.from_dict(manifest["config"]["params"]))
    state = load_file(path.with_suffix(".safetensors"))
    network.load_state_dict({k[2:]: v.float() for k, v in state.items() if k.startswith("w.")})
    return network
