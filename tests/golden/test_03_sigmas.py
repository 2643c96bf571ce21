"""The noise schedule equals the published one."""

from __future__ import annotations

import re

import numpy as np
import torch

from vmem.generation.diffusion.sampling.schedule import (
    alphas_cumprod,
    quantise,
    sigma_table,
    sigmas,
)

PACKS = "03_sigmas"


def test_schedules(pack):
    counts = [int(name[8:]) for name in pack.tensors if re.fullmatch(r"sigmas_n\d+", name)]
    assert counts
    for n in counts:
        np.testing.assert_allclose(sigmas(n).numpy(), pack[f"sigmas_n{n}"], rtol=1e-6)


def test_table(pack):
    np.testing.assert_allclose(sigma_table().numpy(), pack["denoiser_sigmas"], rtol=1e-6)
    np.testing.assert_allclose(alphas_cumprod(), pack["alphas_cumprod"], rtol=1e-12)


def test_quantisation(pack):
    got = quantise(torch.from_numpy(pack["quant_in"]), sigma_table())
    np.testing.assert_array_equal(got.numpy(), pack["quant_idx"])
