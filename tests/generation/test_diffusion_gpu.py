"""On a GPU the network, samplers and codecs do what they do on the CPU, within rounding and memory.

The golden network on a GPU is in tests/golden/test_02_vmem_network.py, whole steps are in
tests/backends/test_vmem_gpu.py. To rehearse them without a GPU see tests/support/on_gpu.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.generation.test_diffusion_network import HW, TINY, inputs
from tests.support.on_gpu import (  # noqa: F401
    DEVICE,
    exact_float32,
    needs_cuda_memory,
    needs_gpu,
    on_device,
    relative,
)
from tests.support.tiny import tiny_codec, tiny_embedder, tiny_vae
from vmem.devices.memory_presets import GIB, MARGIN
from vmem.generation.diffusion.checks import NotFiniteError
from vmem.generation.diffusion.codecs.codecs import ImageCodec
from vmem.generation.diffusion.conditioning import Conditioned, condition, default_K_normalized
from vmem.generation.diffusion.network.unet import MultiviewUNet, UNetConfig
from vmem.generation.diffusion.sampling.guidance import GuidedDenoiser, guidance_scale
from vmem.generation.diffusion.sampling.presets import PRESETS
from vmem.generation.diffusion.sampling.sampler import noise_stream
from vmem.generation.diffusion.sampling.schedule import sigma_table

pytestmark = [*needs_gpu, pytest.mark.usefixtures("exact_float32")]
N, CONTEXT = TINY.num_frames, 2


def network(dtype: torch.dtype = torch.float32, device: str = DEVICE) -> MultiviewUNet:
    """Random weights, the same on every device."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return MultiviewUNet(TINY).to(device, dtype)


@pytest.mark.parametrize("tokens", [1, 3])
def test_float32_equals_the_cpu(tokens):
    given = inputs(2 * N, tokens=tokens)
    expected = network(device="cpu")(*given)
    got = network()(*on_device(*given))
    assert got.device.type == torch.device(DEVICE).type
    assert relative(got, expected) < 1e-4


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.1), (torch.float16, 0.015)])
def test_half_precision_is_close(dtype, tolerance):
    given = inputs(2 * N)
    expected = network(device="cpu")(*given)
    assert relative(network(dtype)(*on_device(*given)), expected) < tolerance


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_channels_last_weights_give_the_same(dtype):
    given = on_device(*inputs(2 * N))
    expected = network(dtype)(*given).cpu()
    net = network(dtype)
    net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    got = net(*given)
    assert relative(got, expected) < (1e-4 if dtype == torch.float32 else 0.1)


def conditioned(device: str, hw: tuple[int, int] = HW, dim: int = TINY.context_dim) -> Conditioned:
    """N cameras in a row, the first CONTEXT of them known."""
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(CONTEXT, 4, *hw, generator=generator)
    embeddings = torch.randn(CONTEXT, dim, generator=generator)
    c2w = np.tile(np.eye(4), (N, 1, 1))
    c2w[:, 0, 3] = 0.2 * np.arange(N)
    known = np.arange(N) < CONTEXT
    K = np.repeat(default_K_normalized(), N, 0)
    return condition(c2w, K, known, latents.to(device), embeddings.to(device), hw)


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("name", PRESETS)
def test_a_seed_gives_the_same_latents_as_on_the_cpu(name, batched):
    def latents(device: str, seed: int) -> Tensor:
        made = conditioned(device)
        denoise = GuidedDenoiser(
            network(device=device), made, guidance_scale(made), batched=batched
        )
        return PRESETS[name].sample(denoise, noise_stream(seed, (N, 4, *HW), device))

    expected = latents("cpu", 7)
    got = latents(DEVICE, 7)
    assert got.device.type == torch.device(DEVICE).type
    assert relative(got, expected) < 2e-3
    assert relative(latents(DEVICE, 8), expected) > 0.1


def test_noise_is_the_cpus():
    here, there = noise_stream(5, (2, 4, *HW)), noise_stream(5, (2, 4, *HW), DEVICE)
    for _ in range(3):
        assert torch.equal(there().cpu(), here())


def test_codecs_equal_the_cpu():
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    here, there = tiny_codec(), tiny_codec(device=DEVICE, chunk=2)
    latents = here.encode(images)
    assert relative(there.encode(images), latents) < 1e-3
    assert there.encode(images, device=DEVICE).device.type == torch.device(DEVICE).type
    assert relative(there.decode(latents), here.decode(latents)) < 1e-3
    embedded = tiny_embedder().embed(images)
    assert relative(tiny_embedder(device=DEVICE).embed(images), embedded) < 1e-3


HALVES = pytest.mark.parametrize(
    ("dtype", "levels", "share"),
    [(torch.float16, 1.0, 0.02), (torch.bfloat16, 8.0, 0.2)],
    ids=["float16", "bfloat16"],
)


@HALVES
def test_codecs_in_half_precision(dtype, levels, share):
    """Decoded images within levels of 255, codes within shares of their standard deviation."""
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    here, there = tiny_codec(), tiny_codec(device=DEVICE, dtype=dtype, chunk=2)
    images = here.decode(latents)
    assert 127.5 * (there.decode(latents) - images).abs().max() <= levels
    assert relative(there.encode(images), here.encode(images)) < share
    embedded = tiny_embedder().embed(images)
    assert relative(tiny_embedder(device=DEVICE, dtype=dtype).embed(images), embedded) < share


def test_a_codec_that_overflows_goes_on_in_float32():
    def loud(**options) -> ImageCodec:
        vae: Any = tiny_vae()
        with torch.no_grad():
            vae.decoder.conv_out.weight.mul_(2e5)  # finite in float16, what they make is not
        return ImageCodec(vae, **options)

    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    codec = loud(device=DEVICE, dtype=torch.float16)
    with pytest.raises(NotFiniteError):
        codec.decode(latents)
    codec.widens = True
    assert relative(codec.decode(latents), loud().decode(latents)) < 0.02  # rounded weights
    assert codec.dtype == torch.float32


# --- memory -----------------------------------------------------------------------------------


def peak(call) -> int:
    """Most bytes on the GPU at once during ``call``, what lay there before included."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated()


@needs_cuda_memory
def test_two_passes_need_less_memory_than_one():
    hw, steps = (64, 64), []
    net, made = network(), conditioned(DEVICE, hw)
    x = noise_stream(0, (N, 4, *hw), DEVICE)()
    for batched in (False, True):
        denoise = GuidedDenoiser(net, made, guidance_scale(made), batched=batched)
        denoise(x, sigma_table()[600])
        steps.append(peak(lambda d=denoise: d(x, sigma_table()[600])))
    assert steps[0] < steps[1]


@needs_cuda_memory
@pytest.mark.slow
@pytest.mark.parametrize(("batched", "counted"), [(True, 3.8 * GIB), (False, 3.2 * GIB)])
def test_the_released_size_fits_where_it_should(batched, counted):
    """A guided evaluation of eight frames at 576 px in float16, weights included.

    Its tensors are counted in tests/devices/test_memory_needs.py; the margin is for what
    convolutions take besides, and for the gaps in torch's cache.
    """
    if torch.cuda.mem_get_info()[0] < 8 * GIB:
        pytest.skip("less than 8 GiB free on the GPU")
    config, hw, n = UNetConfig(), (72, 72), 8
    held = torch.cuda.memory_allocated()
    with torch.device(DEVICE):
        net = MultiviewUNet(config).to(torch.float16)
    net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    sequences = 2 if batched else 1
    rows = sequences * n
    prepared = net.prepare(
        torch.zeros(rows, 1, config.context_dim, device=DEVICE),
        torch.zeros(n, 6, *hw, device=DEVICE),
        hw,
        n,
    )
    x = torch.zeros(rows, config.in_channels, *hw, device=DEVICE)
    t = torch.zeros(rows, dtype=torch.int64, device=DEVICE)
    used = peak(lambda: net(x, t, prepared=prepared)) - held
    assert used < counted + MARGIN
