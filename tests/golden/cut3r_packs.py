"""What the golden packs of CUT3R have in common: names of fields, and a run over their views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tests.golden.packs import Pack
from vmem.geometry.cut3r.config import Cut3rConfig
from vmem.geometry.cut3r.network import Cut3r
from vmem.geometry.cut3r.rope import state_places

FIELDS = {
    "pts3d_in_self_view": "own_points",
    "conf_self": "own_confidence",
    "pts3d_in_other_view": "world_points",
    "conf": "world_confidence",
    "camera_pose": "pose",
    "rgb": "rgb",
}


def config_of(settings: Mapping[str, Any], dpt: Mapping[str, Any] | None = None) -> Cut3rConfig:
    """From a manifest: keywords of the constructor, and sizes of the dense heads if given."""
    config = Cut3rConfig.from_settings(settings)
    if not dpt:
        return config
    return replace(
        config,
        dpt_layer_dims=tuple(dpt["layer_dims"]),
        dpt_feature_dim=dpt["feature_dim"],
        dpt_last_dim=dpt["last_dim"],
    )


def run(net: Cut3r, images: torch.Tensor) -> dict[str, np.ndarray]:
    """Views (N, 3, H, W) one after the other, under the names that the packs use."""
    state, found = net.start(), {}
    for i, image in enumerate(images):
        features = net.encode(image[None])
        state, prediction = net.step(state, features)
        found[f"view{i}.encoder"] = features.tokens
        for published, ours in FIELDS.items():
            if getattr(prediction, ours) is not None:
                found[f"view{i}.{published}"] = getattr(prediction, ours)
        kept = {"state_feat": state.tokens, "mem": state.memory}
        found |= {f"view{i}.{name}": tensor for name, tensor in kept.items()}
        found |= {f"final.{name}": tensor for name, tensor in kept.items()}
    places = state_places(net.config.state_size, net.config.state_pe)
    if places is not None:
        found["final.state_pos"] = places[None]
    return {name: tensor.numpy() for name, tensor in found.items()}


def published(pack: Pack, prefix: str) -> dict[str, np.ndarray]:
    """What a pack says of one run, by the names of ``run``."""
    start = len(prefix)
    return {name[start:]: value for name, value in pack.tensors.items() if name.startswith(prefix)}
