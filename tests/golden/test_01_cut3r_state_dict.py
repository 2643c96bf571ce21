"""The parameters of CUT3R have the names and shapes of the published model's."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch

from tests.golden.packs import golden_folder
from vmem.geometry.cut3r.config import Cut3rConfig
from vmem.geometry.cut3r.network import Cut3r

MANIFESTS = sorted(golden_folder().glob("01_cut3r*.json"))
pytestmark = [
    pytest.mark.skipif(not MANIFESTS, reason=f"no pack 01_cut3r* in {golden_folder()}"),
    pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem),
]


def test_state_dict(path: Path):
    manifest = json.loads(path.read_text(encoding="utf-8"))
    texts = [text for text in manifest["config"].values() if isinstance(text, str)]
    configs = {Cut3rConfig.from_text(text) for text in texts}
    assert len(configs) == 1, "the published loader's changes to the text change no size"
    with torch.device("meta"):
        net = Cut3r(configs.pop())
    parameters = dict(net.named_parameters())
    every = dict(net.named_parameters(remove_duplicate=False))
    ours = {
        name: {
            "shape": list(tensor.shape),
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "kind": "parameter" if name in every else "buffer",
        }
        for name, tensor in {**net.state_dict(), **dict(net.named_buffers())}.items()
    }
    assert ours == manifest["tensors"]
    assert len(ours) == manifest["n_keys"]
    assert sum(p.numel() for p in parameters.values()) == manifest["n_params"]
    by_module: Counter[str] = Counter()
    for name, parameter in parameters.items():
        by_module[name.split(".")[0]] += parameter.numel()
    assert by_module == manifest["params_by_top_module"]
    first = {id(parameter): name for name, parameter in parameters.items()}
    aliases = {name: first[id(p)] for name, p in every.items() if name not in parameters}
    assert aliases == manifest["aliases"]


def test_the_default_is_the_published_configuration(path: Path):
    if path.stem != "01_cut3r_full_state_dict":
        pytest.skip("another configuration")
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for text in manifest["config"].values():
        assert Cut3rConfig.from_text(text) == Cut3rConfig()
