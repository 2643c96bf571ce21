"""How far half precision takes whole runs of the golden networks from float32.

The table of docs/diffusion.md is what ``pytest -rP`` prints of this file. float32 itself equals the
published code, in the other tests of this folder.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.golden.cut3r_packs import config_of
from tests.golden.packs import golden_folder, load_pack
from tests.golden.test_03_sampler import conditioned, network, scale
from tests.support.half_precision import tensor_cores
from tests.support.tiny import tiny_codec
from vmem.generation.diffusion.network.unet import MultiviewUNet
from vmem.generation.diffusion.sampling.guidance import GuidedDenoiser
from vmem.generation.diffusion.sampling.presets import PRESETS
from vmem.generation.diffusion.sampling.sampler import noise_stream
from vmem.geometry.cut3r.loading import in_precision
from vmem.geometry.cut3r.network import Cut3r
from vmem.geometry.cut3r.preprocess import prepare

pytestmark = pytest.mark.usefixtures("one_thread")
SAMPLER_PACKS = sorted(golden_folder().glob("03_sampler*.json"))
CUT3R_PACKS = sorted(golden_folder().glob("07_cut3r_tiny*.json"))
SAMPLERS = PRESETS | {"reference": replace(PRESETS["reference"], steps=15)}
"""50 steps would take a minute; they err less: 0.0011 in float16, 0.013 in bfloat16."""
HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
RUNS = [
    pytest.param(
        path,
        name,
        half,
        id=f"{path.stem}-{name}-{half}",
        # bfloat16 errs ten times as much with every sampler: one shows it. The reference sampler
        # is the balanced one with more evaluations.
        marks=[pytest.mark.every]
        if (half == "bfloat16" and name != "fast") or name == "reference"
        else [],
    )
    for name in SAMPLERS
    for path in (SAMPLER_PACKS if name == "fast" else SAMPLER_PACKS[:1])
    for half in HALVES
]
FULL = torch.float32
ALLOWED = {
    # of final latents, in their standard deviations: about 1.5 times what was measured
    torch.float16: {"reference": 0.0024, "balanced": 0.0023, "fast": 0.003},
    torch.bfloat16: {"reference": 0.027, "balanced": 0.022, "fast": 0.029},
}


def rms(difference: Tensor) -> float:
    return float(difference.square().mean().sqrt())


@cache
def latents(path: Path, name: str, dtype: torch.dtype) -> Tensor:
    """Of the targets, by a preset's sampler from the same noise."""
    pack = load_pack(path)
    known = network(pack.config["network_pack"])
    net = MultiviewUNet(known.config)
    net.load_state_dict(known.state_dict())
    made = conditioned(pack)
    draw = noise_stream(0, tuple(pack["randn"].shape))
    with tensor_cores():
        denoise = GuidedDenoiser(net.to(dtype), made, scale(pack))
        return SAMPLERS[name].sample(denoise, draw)[~made.is_context]


@pytest.mark.skipif(not RUNS, reason=f"no pack 03_sampler* in {golden_folder()}")
@pytest.mark.parametrize(("path", "name", "half"), RUNS)
def test_latents_of_a_step(path, name, half):
    dtype = HALVES[half]
    exact = latents(path, name, FULL)
    error = rms(latents(path, name, dtype) - exact) / float(exact.std())
    print(f"{path.stem} {name} {dtype}: {error:.4f} of the standard deviation")
    assert 0 < error <= ALLOWED[dtype][name]


@cache
def distances(path: Path, case: int, dtype: torch.dtype) -> Tensor:
    """(N, H, W): how far from its camera CUT3R sees each pixel of N views, heads in float32."""
    pack = load_pack(path)
    config = config_of(pack.config["ARCroco3DStereoConfig"], pack.config.get("dpt_sizes_patched"))
    net = Cut3r(config)
    net.load_state_dict(
        {k[2:]: torch.from_numpy(v).float() for k, v in pack.tensors.items() if k[:2] == "w."}
    )
    in_precision(net, dtype)
    views, _ = prepare(pack[f"case{case}.images_u8"], pack.config["cases"][case]["size"])
    found = []
    with tensor_cores():
        state = net.start()
        for view in views:
            state, said = net.step(state, net.encode(view[None]), ("own",))
            assert said.own_points is not None
            found.append(said.own_points[0].norm(dim=-1))
    return torch.stack(found)


@pytest.mark.skipif(not CUT3R_PACKS, reason=f"no pack 07_cut3r_tiny* in {golden_folder()}")
@pytest.mark.parametrize(
    ("dtype", "allowed"),
    [(torch.float16, 0.0015), (torch.bfloat16, 0.018)],
    ids=["float16", "bfloat16"],
)
@pytest.mark.parametrize("path", CUT3R_PACKS, ids=lambda path: path.stem)
def test_distances_by_cut3r(path, dtype, allowed):
    for case in range(len(load_pack(path).config["cases"])):
        exact = distances(path, case, FULL)
        error = float(((distances(path, case, dtype) - exact) / exact).abs().median())
        print(f"{path.stem} case {case} {dtype}: {100 * error:.2f} % of the distance")
        assert 0 < error <= allowed


@pytest.mark.parametrize(
    ("dtype", "levels", "share"),
    [(torch.float16, 0.15, 0.0033), (torch.bfloat16, 1.2, 0.026)],
    ids=["float16", "bfloat16"],
)
def test_codecs(dtype, levels, share):
    """Decoding in levels of 255, encoding in standard deviations of the latents."""
    for seed in range(3):
        z = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(seed))
        exact, half = tiny_codec(seed), tiny_codec(seed, dtype=dtype)
        images = exact.decode(z)
        decoded = 127.5 * rms(half.decode(z) - images)
        known = exact.encode(images)
        encoded = rms(half.encode(images) - known) / float(known.std())
        print(f"{dtype}: decoding {decoded:.2f} levels, encoding {encoded:.4f}")
        assert 0 < decoded <= levels
        assert 0 < encoded <= share
