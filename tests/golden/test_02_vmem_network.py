"""The network computes what the published one does."""

from __future__ import annotations

import pytest
import torch

from tests.golden.packs import assert_close
from vmem.generation.diffusion.network.unet import MultiviewUNet, UNetConfig

PACKS = "02_vmem_tiny"
TOLERANCE = 1e-4
CUDA = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    ],
)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_tiny_network(pack, device, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    net = MultiviewUNet(UNetConfig.from_dict(pack.config["params"]))
    weights = {
        name[2:]: torch.from_numpy(value).float()
        for name, value in pack.tensors.items()
        if name.startswith("w.")
    }
    net.load_state_dict(weights, strict=True)
    net.to(device)
    assert pack.config["cases"]
    for i, case in enumerate(pack.config["cases"]):
        x, t, crossattn, dense, out = (
            torch.from_numpy(pack[f"case{i}.{name}"]).to(device)
            for name in ("x", "t", "crossattn", "dense_y", "out")
        )
        got = net(x, t, crossattn, dense, num_frames=case["T"])
        assert_close(got.cpu(), out.cpu(), TOLERANCE)
