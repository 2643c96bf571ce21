"""Distance of samplers' results from the published 50 steps, and from the exact solution.

Subjects: data spread normally, whose exact denoiser and solution are known, without guidance and
with; and the tiny networks of the golden packs in the folder ``VMEM_GOLDEN``. The latter have
random weights: they denoise nothing, but bend as a network does. Every run starts from the same
noise. Errors are root mean squares over target frames, in units of the standard deviation of the
exact solution.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from benchmarks._metrics import Metric, Row, measured
from vmem.generation.diffusion.conditioning import Conditioned, condition
from vmem.generation.diffusion.network.unet import MultiviewUNet, UNetConfig
from vmem.generation.diffusion.sampling.guidance import GuidedDenoiser, guidance_scale
from vmem.generation.diffusion.sampling.presets import PRESETS, SamplerPreset
from vmem.generation.diffusion.sampling.sampler import Denoise, euler, noise_stream
from vmem.generation.diffusion.sampling.schedule import sigmas, spread_sigmas
from vmem.generation.diffusion.sampling.shortcuts import EXACT, Shortcuts
from vmem.generation.diffusion.sampling.solvers import multistep

Pack = dict[str, Tensor]
FEW = (20, 10)
FINE = 200
"""Steps that stand in for the exact solution of a network's equation."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A denoiser whose equation the samplers solve from one start."""

    name: str
    denoiser: Callable[[Shortcuts], Denoise]
    """A new one for each run, which leaves out what the shortcuts say."""
    z0: Tensor
    """(N, 4, h, w): the start."""
    exact: Tensor
    """(N, 4, h, w): the exact solution."""
    target: Tensor
    """(N,) bool: the frames that count."""
    guided: bool = True
    """Whether it has two sides of guidance."""
    levels: bool = True
    """Whether it is a network with inner levels."""

    @property
    def denoise(self) -> Denoise:
        """Leaves nothing out."""
        return self.denoiser(EXACT)

    def has(self, shortcuts: Shortcuts) -> bool:
        """Whether it can leave that out."""
        return (self.guided or not shortcuts.one_sided) and (self.levels or not shortcuts.shallow)

    def distance(self, a: Tensor, b: Tensor) -> float:
        """Root mean square over target frames, by the exact solution's standard deviation."""
        difference = (a - b)[self.target].square().mean().sqrt()
        return float(difference / self.exact[self.target].std())


METRICS = (
    Metric("presets.*.*.from_*", "of std", tolerance=0.05, optional=True),
    Metric("presets.*.unrepeated.*", "of std", tolerance=0.05, optional=True),
)


def run() -> Iterator[Row]:
    """For each subject and solver: distance from 50 Euler steps, and from the exact solution.

    Then for each network how far targets move where they are not repeated to fill its slots.
    """
    for subject in chain([gaussian(), guided_gaussian()], golden()):
        published = euler(subject.denoise, lambda s=subject: s.z0, sigmas(50), noise=False)
        yield from rows(subject, "euler_50_no_noise", published, published)
        for name, sample in runs(subject).items():
            yield from rows(subject, name, sample(subject), published)
    yield from unrepeated()


def rows(subject: Subject, name: str, z: Tensor, published: Tensor) -> Iterator[Row]:
    """Both distances of one run's latents."""
    for what, other in (("from_50", published), ("from_exact", subject.exact)):
        value = subject.distance(z, other)
        yield measured(f"presets.{subject.name}.{name}.{what}", value)


def parts() -> dict[str, SamplerPreset]:
    """The presets; what ``fast`` leaves out, part by part; and fewer steps at about its cost."""
    fast = PRESETS["fast"]
    others = {
        "fast_whole": replace(fast, shortcuts=EXACT),
        "fast_interval": replace(fast, shortcuts=Shortcuts(guided=fast.shortcuts.guided)),
        "fast_shallow": replace(fast, shortcuts=Shortcuts(shallow=fast.shortcuts.shallow)),
        "fast_unguided_end": replace(fast, shortcuts=Shortcuts(guided=(1.0, math.inf))),
        "dpm++_6_spread": replace(fast, steps=6, shortcuts=EXACT),
    }
    return {**PRESETS, **others}


def runs(subject: Subject) -> dict[str, Callable[[Subject], Tensor]]:
    """Presets that the subject can run, then other combinations of solver and noise levels."""
    found: dict[str, Callable[[Subject], Tensor]] = {}
    for name, preset in parts().items():
        if subject.has(preset.shortcuts):
            found[name] = lambda s, p=preset: p.sample(s.denoiser(p.shortcuts), same_start(s))
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
    everything = torch.ones(8, dtype=torch.bool)
    return Subject("gaussian", lambda _: denoise, z0, exact, everything, False, False)


CORRELATION = 0.9
"""Of the context with the data of the guided Gaussian."""


def guided_gaussian() -> Subject:
    """Gaussian data of which a context tells most, guided with strength 2.

    With a context of correlation r, data of standard deviation s about m are spread by
    s sqrt(1 - r^2) about m + r s e, where e is what the context says.
    """
    spread = torch.logspace(math.log10(0.05), math.log10(2), 64, dtype=torch.float64)[:, None]
    generator = torch.Generator().manual_seed(0)
    mean = 0.5 * torch.randn(4, 64, 1, generator=generator).double()
    said = torch.randn(4, 64, 32, generator=generator).double()
    near = mean + CORRELATION * spread * said
    left = spread * math.sqrt(1 - CORRELATION**2)

    def denoiser(shortcuts: Shortcuts) -> Denoise:
        def denoise(x: Tensor, sigma: Tensor) -> Tensor:
            noise = sigma.double() ** 2
            known = (left**2 * x.double() + noise * near) / (left**2 + noise)
            if shortcuts.evaluation(0, float(sigma), 0).sides == 1:
                return known.float()
            unknown = (spread**2 * x.double() + noise * mean) / (spread**2 + noise)
            return (unknown + 2 * (known - unknown)).float()

        return denoise

    z0 = noise_stream(0, (8, 4, 64, 32))()
    exact = multistep("dpm++", denoiser(EXACT), lambda: z0, sigmas(FINE))
    everything = torch.ones(8, dtype=torch.bool)
    return Subject("guided_gaussian", denoiser, z0, exact, everything, levels=False)


def golden() -> Iterator[Subject]:
    """One for each sampler pack; none where ``VMEM_GOLDEN`` does not lead to any."""
    for name, network, pack in packs():
        made = conditioned(pack, torch.arange(len(pack["in.input_mask"])))
        z0 = pack["randn"]

        def denoiser(
            shortcuts: Shortcuts, network: MultiviewUNet = network, made: Conditioned = made
        ) -> Denoise:
            return GuidedDenoiser(network, made, guidance_scale(made), shortcuts=shortcuts)

        exact = multistep("dpm++", denoiser(EXACT), lambda z0=z0: z0, sigmas(FINE))
        yield Subject(name, denoiser, z0, exact, ~made.is_context)


def unrepeated() -> Iterator[Row]:
    """For 1 to 3 targets: rms from a sequence filled up with repeats of the last to one without."""
    for name, network, pack in packs():
        known = pack["in.input_mask"].bool()
        context, fresh = known.nonzero()[:, 0], (~known).nonzero()[:, 0]
        for n in (1, 2, 3):
            own = torch.cat([context, fresh[:n]])
            filled = torch.cat([own, own[-1:].expand(len(known) - len(own))])
            ends = []
            for frames in (filled, own):
                made = conditioned(pack, frames)
                denoise = GuidedDenoiser(network, made, guidance_scale(made))
                noise = pack["randn"][: len(frames)]
                z = PRESETS["balanced"].sample(denoise, lambda noise=noise: noise)
                ends.append(z[len(context) : len(own)])
            moved = (ends[1] - ends[0]).square().mean().sqrt() / ends[0].std()
            yield measured(f"presets.{name}.unrepeated.{n}", float(moved))


def packs() -> Iterator[tuple[str, MultiviewUNet, Pack]]:
    """Name, network and tensors of each sampler pack."""
    from safetensors.torch import load_file

    folder = Path(os.environ.get("VMEM_GOLDEN", ""))
    for path in sorted(folder.glob("03_sampler*.json")):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        network = tiny_network(folder / f"{manifest['config']['network_pack']}.json")
        yield path.stem.split("_", 1)[1], network, load_file(path.with_suffix(".safetensors"))


def conditioned(pack: Pack, frames: Tensor) -> Conditioned:
    """A pack's sequence, or those of its frames (n,), all its context among them."""
    return condition(
        pack["in.c2ws"][frames],
        pack["in.Ks"][frames],
        pack["in.input_mask"][frames],
        pack["in.context_latents"],
        pack["in.context_embeddings"],
        (pack["randn"].shape[-2], pack["randn"].shape[-1]),
    )


def tiny_network(path: Path) -> MultiviewUNet:
    """The network of a golden pack, in f32."""
    from safetensors.torch import load_file

    manifest = json.loads(path.read_text(encoding="utf-8"))
    network = MultiviewUNet(UNetConfig.from_dict(manifest["config"]["params"]))
    state = load_file(path.with_suffix(".safetensors"))
    network.load_state_dict({k[2:]: v.float() for k, v in state.items() if k.startswith("w.")})
    return network
