"""Solvers of higher order, which need fewer evaluations of the network than Euler's method.

They integrate the sampler's differential equation dx/dsigma = (x - D(x, sigma)) / sigma with the
help of earlier estimates D. The formulas are diffusers'; noise levels are ours. Sources:
Lu et al. 2022, "DPM-Solver++"; Zhao et al. 2023, "UniPC".
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from vmem.generation.diffusion.sampling.sampler import (
    Denoise,
    Draw,
    StepHook,
    evaluated,
    ignore,
    start,
)

Solver = Literal["dpm++", "unipc"]


@torch.no_grad()
def multistep(
    solver: Solver,
    denoise: Denoise,
    draw: Draw,
    sigmas: Tensor,
    hook: StepHook = ignore,
    *,
    order: int = 2,
) -> Tensor:
    """Latents (N, 4, h, w) f32 after len(sigmas) - 1 evaluations; draws nothing but the start.

    sigmas (n + 1,) f32 descending, on the CPU; the last may be 0. Raises NotFiniteError that names
    the step, and whatever the hook raises.
    """
    scheduler = _scheduler(solver, sigmas, order)
    # diffusers solves for x / sqrt(1 + sigma^2), which has the same variance at all levels.
    shrink = 1 / torch.sqrt(1 + sigmas**2)
    x = start(draw, sigmas) * shrink[0]
    total = len(sigmas) - 1
    for i in range(total):
        estimate = evaluated(denoise, x / shrink[i], sigmas[i], i + 1, total, hook)
        x = scheduler.step(estimate, scheduler.timesteps[i], x, return_dict=False)[0]
    return x / shrink[-1]


def _scheduler(solver: Solver, sigmas: Tensor, order: int) -> Any:
    """A scheduler of diffusers that takes estimates of clean latents at exactly these levels."""
    from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
    from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

    kind = {"dpm++": DPMSolverMultistepScheduler, "unipc": UniPCMultistepScheduler}[solver]
    scheduler = kind(
        prediction_type="sample",
        solver_order=order,
        final_sigmas_type="zero" if sigmas[-1] == 0 else "sigma_min",
    )
    total = len(sigmas) - 1
    scheduler.set_timesteps(total)
    # Neither scheduler takes noise levels as an argument. They are looked up by position, so the
    # timesteps are only names of the steps.
    scheduler.sigmas = sigmas.clone()
    scheduler.timesteps = torch.arange(total)
    scheduler.set_begin_index(0)
    return scheduler
