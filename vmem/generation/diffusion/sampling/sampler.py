"""The published sampler, Euler steps down the noise levels, and what all samplers share.

A sampler starts from pure noise and evaluates a denoiser, which estimates the clean latents, at one
noise level after the other. Source: Karras et al. 2022, algorithm 2 without churn, as SEVA runs it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vmem.generation.diffusion.checks import check_finite

Denoise = Callable[[Tensor, Tensor], Tensor]
"""(x (N, 4, h, w) f32, sigma () f32 on the CPU) -> estimate of the clean latents (N, 4, h, w)."""

Draw = Callable[[], Tensor]
"""The next standard normal (N, 4, h, w) f32: the first is the start, then one a step."""

StepHook = Callable[[int, int, Tensor], None]
"""Called after each evaluation with (steps done from 1, steps in all, estimate (N, 4, h, w)).

Reports progress, shows the forming frames, and raises Cancelled to stop: whatever it raises ends
the sampling and reaches the caller.
"""

_SIGMA_LIFT = 1e-6
"""Added to each noise level before a step, with the matching noise (the published sampler)."""


def ignore(step: int, total: int, estimate: Tensor) -> None:
    """The hook that does nothing."""


def noise_stream(
    seed: int, shape: tuple[int, ...], device: torch.device | str | None = None
) -> Draw:
    """Standard normals from a generator on the CPU, so that a seed means the same on any device."""
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(shape, generator=generator, dtype=torch.float32).to(device)


def start(draw: Draw, sigmas: Tensor) -> Tensor:
    """Pure noise (N, 4, h, w) at the first of ``sigmas`` (n + 1,)."""
    return draw() * torch.sqrt(1 + sigmas[0] ** 2)


def evaluated(
    denoise: Denoise, x: Tensor, sigma: Tensor, step: int, total: int, hook: StepHook
) -> Tensor:
    """One evaluation: the estimate, checked for NaN and given to the hook. ``step`` is from 1."""
    estimate = denoise(x, sigma)
    check_finite(estimate, f"denoising, step {step} of {total}")
    hook(step, total, estimate)
    return estimate


@torch.no_grad()
def euler(
    denoise: Denoise, draw: Draw, sigmas: Tensor, hook: StepHook = ignore, *, noise: bool = True
) -> Tensor:
    """Latents (N, 4, h, w) f32 after len(sigmas) - 1 steps from ``sigmas[0]`` to ``sigmas[-1]``.

    sigmas (n + 1,) f32 descending, on the CPU. Each step lifts the noise level by 1e-6 and adds
    noise to match, as published; ``noise=False`` leaves both out, and draws nothing but the start.
    Raises NotFiniteError that names the step, and whatever the hook raises.
    """
    x = start(draw, sigmas)
    total = len(sigmas) - 1
    for i in range(total):
        now = sigmas[i]
        if noise:
            # In f32, as published: where adding 1e-6 to sigma changes nothing, the noise is 0.
            now = sigmas[i] + _SIGMA_LIFT
            x = x + draw() * torch.sqrt(now**2 - sigmas[i] ** 2)
        estimate = evaluated(denoise, x, now, i + 1, total, hook)
        # dx/dsigma = (x - D) / sigma, times the change of sigma.
        x = x + (sigmas[i + 1] - now) * ((x - estimate) / now)
    return x
