"""Every tensor of open_clip's image tower gets the name and shape that Hugging Face gives it."""

from __future__ import annotations

import json
import re

import pytest
import torch

from tests.golden.packs import golden_folder
from vmem.generation.diffusion.codecs.weights import (
    CLIP_CONFIG,
    clip_keys,
    clip_state,
    empty_clip,
)

PACK = "09_clip_key_mapping*.json"


def packs() -> list:
    return [pytest.param(path, id=path.stem) for path in sorted(golden_folder().glob(PACK))]


def spelled_out(published: str) -> tuple[str, ...]:
    """``a.{q,k,v}_b (a remark)`` as three names, anything else as one."""
    name = re.sub(r" \(.*\)$", "", published)
    parts = re.search(r"\{(.*)\}", name)
    if parts is None:
        return (name,)
    return tuple(name.replace(parts[0], part) for part in parts[1].split(","))


@pytest.mark.parametrize("path", packs())
def test_names(path):
    mapping = json.loads(path.read_text(encoding="utf-8"))["mapping"]
    assert {name: clip_keys(name) for name in mapping} == {
        name: spelled_out(published) for name, published in mapping.items()
    }
    transposed = [name for name, published in mapping.items() if "transposed" in published]
    assert transposed == ["proj"]


@pytest.mark.parametrize("path", packs())
def test_shapes(path):
    golden = json.loads(path.read_text(encoding="utf-8"))
    state = {
        f"visual.{name}": torch.empty(shape, device="meta")
        for name, shape in golden["open_clip_shapes"].items()
    }
    converted = clip_state(state)
    assert {name: list(t.shape) for name, t in converted.items()} == golden["hf_shapes"]
    config = {**CLIP_CONFIG, **golden["hf_config"]}
    assert config == CLIP_CONFIG
    tower = empty_clip(config)
    assert {name: list(t.shape) for name, t in tower.state_dict().items()} == golden["hf_shapes"]
    assert sum(p.numel() for p in tower.parameters()) == golden["n_params_visual"]
