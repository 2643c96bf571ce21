"""A whole sampling run equals the published one: conditioning, guidance, every step."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from tests.golden.packs import assert_close, assert_poses_close, golden_folder, load_pack
from vmem.generation.diffusion.conditioning import condition
from vmem.generation.diffusion.network.unet import MultiviewUNet, UNetConfig
from vmem.generation.diffusion.sampling.guidance import GuidedDenoiser, Guider, guidance_scale
from vmem.generation.diffusion.sampling.sampler import euler
from vmem.generation.diffusion.sampling.schedule import sigmas

PACKS = "03_sampler"
pytestmark = pytest.mark.usefixtures("one_thread")
TOLERANCE = 2e-4  # of the latents' standard deviation
GUIDERS: dict[str, Guider] = {
    "VanillaCFG": "vanilla",
    "MultiviewCFG": "multiview",
    "MultiviewTemporalCFG": "multiview_temporal",
}


@cache
def network(name: str) -> MultiviewUNet:
    """The tiny network of another pack, in f32."""
    manifest = golden_folder() / f"{name}.json"
    if not manifest.exists():
        pytest.skip(f"no pack {name} in {golden_folder()}")
    pack = load_pack(manifest)
    unet = MultiviewUNet(UNetConfig.from_dict(pack.config["params"]))
    weights = {k[2:]: torch.from_numpy(v).float() for k, v in pack.tensors.items() if k[:2] == "w."}
    unet.load_state_dict(weights)
    return unet.eval()


def conditioned(pack):
    return condition(
        pack["in.c2ws"],
        pack["in.Ks"],
        pack["in.input_mask"],
        torch.from_numpy(pack["in.context_latents"]),
        torch.from_numpy(pack["in.context_embeddings"]),
        pack["randn"].shape[-2:],
    )


def scale(pack):
    asked = pack.config["sampler"]
    guider = GUIDERS[asked["guider"]]
    return guidance_scale(conditioned(pack), guider, asked["cfg"], asked["cfg_min"])


def denoiser(pack, **options) -> GuidedDenoiser:
    unet = network(pack.config["network_pack"])
    return GuidedDenoiser(unet, conditioned(pack), scale(pack), **options)


def test_conditioning(pack):
    got = conditioned(pack)
    for side in ("c", "uc"):
        for name in ("crossattn", "replace", "concat", "dense"):
            golden = pack[f"{side}.{name.replace('dense', 'dense_vector')}"]
            assert_close(getattr(getattr(got, side), name), golden, 1e-5, what=f"{side} {name}")
    assert_poses_close(got.c2ws, pack["all_c2ws"], 1e-5)
    np.testing.assert_array_equal(got.Ks, pack["all_Ks"])


def test_strength_of_guidance(pack):
    assert_close(scale(pack), pack["guidance_scale"], 1e-6)


@pytest.mark.parametrize("batched", [True, False])
@torch.no_grad()
def test_first_step(pack, batched):
    x = torch.from_numpy(pack["step0.denoiser_in"]).chunk(2)[0]
    sigma = torch.tensor(pack["step0.sigma"][0])
    got = torch.cat(denoiser(pack, batched=batched).both(x, sigma))
    golden = pack["step0.denoised"]
    np.testing.assert_allclose(got, golden, rtol=0, atol=TOLERANCE * golden.std())


def test_every_step(pack):
    draws = iter(torch.from_numpy(np.concatenate([pack["randn"][None], pack["eps"]])))
    guided, asked = denoiser(pack), []

    def denoise(x, sigma):
        asked.append((x, sigma))
        return guided(x, sigma)

    levels = sigmas(pack.config["sampler"]["num_steps"])
    np.testing.assert_allclose(levels, pack["sigmas"], rtol=1e-6)
    z = euler(denoise, lambda: next(draws), levels)
    golden = pack["z"]
    np.testing.assert_allclose(z, golden, rtol=0, atol=TOLERANCE * golden.std())
    trajectory = pack["x_traj"]
    assert len(asked) == len(trajectory)
    for i, (x, sigma) in enumerate(asked[1:]):
        added = torch.from_numpy(pack["eps"][i + 1]) * torch.sqrt(sigma**2 - levels[i + 1] ** 2)
        reached = trajectory[i]
        np.testing.assert_allclose(x - added, reached, rtol=0, atol=TOLERANCE * reached.std())
