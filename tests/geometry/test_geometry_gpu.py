"""CUT3R and Depth Anything on a GPU say what they say on the CPU, and leave it as they should.

The networks are tiny and random. To rehearse them without a GPU see tests/support/on_gpu.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support import tiny
from tests.support.fakes import box_photo
from tests.support.on_gpu import (  # noqa: F401
    DEVICE,
    allocated,
    allow_all,
    exact_float32,
    exhaust,
    needs_cuda_memory,
    needs_gpu,
    relative,
)
from vmem.cameras import Camera, Cameras, default_K
from vmem.devices.memory_presets import PRESETS as MEMORY
from vmem.devices.memory_presets import NotEnoughMemoryError
from vmem.devices.settings import NetworkSettings
from vmem.geometry.cut3r import loading
from vmem.geometry.cut3r.estimator import Cut3rEstimator
from vmem.geometry.cut3r.loading import borrowed
from vmem.geometry.depth_anything import network as depth
from vmem.geometry.depth_anything.estimator import DepthAnythingEstimator
from vmem.geometry.depth_anything.network import shared_network
from vmem.memory import ViewMemory
from vmem.progress import CancelToken, silent
from vmem.types import Frames

pytestmark = [*needs_gpu, pytest.mark.usefixtures("one_thread", "exact_float32")]
PHOTO = box_photo((96, 96))


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch) -> Iterator[None]:
    """Both networks as they are released, but tiny."""
    monkeypatch.setenv("VMEM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VMEM_CUT3R", str(tiny.write_cut3r(tmp_path / "cut3r").parent))
    monkeypatch.setenv("VMEM_DEPTH_ANYTHING", str(tmp_path / "depth"))
    tiny.write_depth_anything(tmp_path / "depth")
    yield
    loading.SHARED.unload()
    depth.SHARED.unload()


def points(settings: NetworkSettings) -> Tensor:
    """(3, H, W, 3): what CUT3R says of three views, the state of each from the view before."""
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = []
    with borrowed(settings, silent, CancelToken()) as network:
        state = network.net.start()
        for image in images:
            features = network.net.encode(image[None].to(network.device))
            state, said = network.net.step(state, features, ("own",))
            assert said.own_points is not None
            found.append(said.own_points[0].cpu())
    return torch.stack(found)


@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize(
    ("dtype", "allowed"), [("auto", 2e-3), ("float32", 2e-3), ("float16", 0.05), ("bfloat16", 0.5)]
)
def test_cut3r_says_what_it_says_on_the_cpu(memory, dtype, allowed):
    expected = points(NetworkSettings(device="cpu"))
    settings = NetworkSettings(device=DEVICE, memory=memory, dtype=dtype)
    assert relative(points(settings), expected) < allowed


@needs_cuda_memory
@pytest.mark.parametrize("memory", MEMORY)
def test_cut3r_leaves_no_bytes_where_it_does_not_stay(memory):
    before = allocated()
    points(NetworkSettings(device=DEVICE, memory=memory))
    assert (allocated() > before) == MEMORY[memory].everything_stays
    loading.SHARED.unload()
    assert allocated() == before


def test_depth_anything_says_what_it_says_on_the_cpu():
    expected = shared_network("cpu", silent, CancelToken())(PHOTO)
    said = shared_network(DEVICE, silent, CancelToken())(PHOTO)
    assert said.dtype == np.float32
    np.testing.assert_allclose(said, expected, atol=2e-3 * expected.std())


@needs_cuda_memory
@pytest.mark.parametrize("estimator", [Cut3rEstimator, DepthAnythingEstimator])
def test_geometry_recovers_from_memory_that_ran_out(estimator):
    """Whether memory runs out while a network is loaded or while it looks at a frame."""
    settings = NetworkSettings(device=DEVICE, memory="offload-all")
    cameras = Cameras.stack([Camera(np.eye(4), default_K((96, 96)), (96, 96))])
    frames, memory = Frames(rgb=PHOTO[None]), ViewMemory().snapshot()
    made = estimator(settings)
    for _ in ("not loaded", "loaded"):
        taken = exhaust()
        try:
            with pytest.raises(NotEnoughMemoryError, match="nothing was stored"):
                made.estimate(frames, cameras, memory)
        finally:
            taken.clear()
            allow_all()
        assert np.isfinite(made.estimate(frames, cameras, memory).depth).all()
