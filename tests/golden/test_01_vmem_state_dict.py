"""The network's parameters have the names and shapes of the published model's."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch

from tests.golden.packs import golden_folder
from vmem.generation.diffusion.network.unet import MultiviewUNet, UNetConfig

MANIFESTS = sorted(golden_folder().glob("01_vmem*.json"))


@pytest.mark.skipif(not MANIFESTS, reason=f"no pack 01_vmem* in {golden_folder()}")
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_state_dict(path: Path):
    manifest = json.loads(path.read_text(encoding="utf-8"))
    with torch.device("meta"):
        net = MultiviewUNet(UNetConfig.from_dict(manifest["config"]))
    parameters, buffers = dict(net.named_parameters()), dict(net.named_buffers())
    ours = {
        name: {
            "shape": list(tensor.shape),
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "kind": "parameter" if name in parameters else "buffer",
        }
        for name, tensor in {**net.state_dict(), **buffers}.items()
    }
    assert ours == manifest["tensors"]
    assert len(ours) == manifest["n_keys"]
    assert sum(p.numel() for p in parameters.values()) == manifest["n_params"]
    by_module: Counter[str] = Counter()
    for name, parameter in parameters.items():
        by_module[name.split(".")[0]] += parameter.numel()
    assert by_module == manifest["params_by_top_module"]
    assert manifest["aliases"] == {}


def test_the_default_is_the_published_configuration():
    if not MANIFESTS:
        pytest.skip("no pack")
    manifest = json.loads((golden_folder() / "01_vmem_full_state_dict.json").read_text("utf-8"))
    assert UNetConfig.from_dict(manifest["config"]) == UNetConfig()
