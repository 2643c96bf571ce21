"""Samplers by name: number of evaluations of the network, and the solver.

Their error against the published 50 steps is in docs/diffusion.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from vmem.errors import VMemError
from vmem.generation.diffusion.sampling.sampler import Denoise, Draw, StepHook, euler, ignore
from vmem.generation.diffusion.sampling.schedule import sigmas, spread_sigmas
from vmem.generation.diffusion.sampling.shortcuts import EXACT, Shortcuts
from vmem.generation.diffusion.sampling.solvers import Solver, multistep


class PresetError(VMemError, ValueError):
    """A sampler preset that does not exist."""


@dataclass(frozen=True)
class SamplerPreset:
    """A sampler that a person can choose."""

    name: str
    steps: int
    """Evaluations of the network."""
    solver: Literal["euler"] | Solver
    """``euler`` is the published sampler."""
    label: str
    """One line for people."""
    shortcuts: Shortcuts = EXACT
    """What evaluations leave out: the denoiser is made with it."""

    def sigmas(self) -> Tensor:
        """(steps + 1,) f32 noise levels, the last 0: the published ones for ``euler``."""
        return sigmas(self.steps) if self.solver == "euler" else spread_sigmas(self.steps)

    def sample(self, denoise: Denoise, draw: Draw, hook: StepHook = ignore) -> Tensor:
        """Latents (N, 4, h, w) f32; one evaluation and one call of ``hook`` a step.

        Raises NotFiniteError that names the step, and whatever the hook raises.
        """
        if self.solver == "euler":
            return euler(denoise, draw, self.sigmas(), hook)
        return multistep(self.solver, denoise, draw, self.sigmas(), hook)


PRESETS = {
    preset.name: preset
    for preset in (
        SamplerPreset("reference", 50, "euler", "as published: 50 Euler steps"),
        SamplerPreset("balanced", 20, "dpm++", "20 steps of DPM-Solver++"),
        SamplerPreset(
            "fast",
            10,
            "dpm++",
            "10 steps of DPM-Solver++, the first with one side of guidance, six of them shallow",
            # The levels are 84.9, 51.7, 30.1 and on: guidance matters least at the first, and what
            # a shallow evaluation misses counts most at the first three.
            Shortcuts(guided=(0.0, 60.0), shallow=(3, 4, 5, 7, 8, 9)),
        ),
    )
}


def preset(name: str) -> SamplerPreset:
    """A preset by name; PresetError lists those that exist."""
    try:
        return PRESETS[name]
    except KeyError:
        raise PresetError(f"unknown sampler {name!r}: use {', '.join(PRESETS)}") from None
