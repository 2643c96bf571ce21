"""Noise levels: the 1000 that the network was trained at, and the few that a sampler visits.

A noise level is the standard deviation ``sigma`` of the noise added to latents of unit scale
(variance exploding: x = latent + sigma * noise). Source: SEVA, the discretization that VMem's
network was trained with.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import NDArray
from torch import Tensor

from vmem.errors import VMemError

LEVELS = 1000
"""Noise levels of the network."""
_BETA_RANGE = (5e-6, 0.012)
"""Variance that the first and the last level add."""
_LOG_SNR_SHIFT = 2.4
"""Multiplies every sigma by exp(2.4): many frames need more noise to hide what they share."""


class ScheduleError(VMemError, ValueError):
    """A number of steps that the schedule cannot give."""


@cache
def alphas_cumprod() -> Float64[np.ndarray, " 1000"]:
    """Share of the signal's variance that is left after each level of noise."""
    low, high = _BETA_RANGE
    roots = np.linspace(math.sqrt(low), math.sqrt(high), LEVELS)
    return np.cumprod(1 - roots**2)


@cache
def _table() -> NDArray[np.floating]:
    """(1000,) f64 ascending sigmas."""
    # With a share a of the signal left, noise over signal is sqrt((1 - a) / a).
    kept = alphas_cumprod()
    return np.sqrt((1 - kept) / kept) * math.exp(_LOG_SNR_SHIFT)


def sigma_table() -> Tensor:
    """(1000,) f32 ascending: the noise level of each index 0 to 999."""
    return torch.tensor(_table(), dtype=torch.float32)


def sigmas(n: int) -> Tensor:
    """(n + 1,) f32 descending noise levels for ``n`` steps; the last is 0.

    Their indices are equally spaced, from 999 down. Raises ScheduleError unless 1 <= n <= 1000.
    """
    _check(n)
    indices = np.linspace(LEVELS - 1, 0, n, endpoint=False).astype(int)
    return _descending(indices if n < LEVELS else np.arange(LEVELS)[::-1])


def spread_sigmas(n: int, *, lowest: float = 0.1, rho: float = 7.0) -> Tensor:
    """(n + 1,) f32 descending noise levels for few steps, from the highest to ``lowest``, then 0.

    They are equally spaced in sigma^(1/rho), each moved to the nearest level of the network, so
    that `quantise` changes none of them. Source: Karras et al. 2022, "Elucidating the
    design space of diffusion-based generative models", equation 5. Raises ScheduleError where
    levels would coincide.
    """
    _check(n)
    table = _table()
    wanted = np.linspace(table[-1] ** (1 / rho), lowest ** (1 / rho), n) ** rho
    indices = np.abs(np.log(table)[None] - np.log(wanted)[:, None]).argmin(axis=1)
    if len(set(indices.tolist())) < n:
        raise ScheduleError(f"{n} steps down to sigma {lowest} do not have {n} distinct levels")
    return _descending(indices)


def quantise(sigma: Tensor, table: Tensor) -> Tensor:
    """Indices i64 of the levels nearest to ``sigma`` (...,), the first on ties.

    Anything above the table gives the last index, 0 the first.
    """
    return (sigma[..., None] - table).abs().argmin(dim=-1)


def _check(n: int) -> None:
    if not 1 <= n <= LEVELS:
        raise ScheduleError(f"the number of denoising steps must be 1 to {LEVELS}, got {n}")


def _descending(indices: NDArray[np.int_]) -> Tensor:
    return torch.tensor(np.append(_table()[indices], 0.0), dtype=torch.float32)
