"""The image tower, given open_clip's weights, embeds as open_clip does."""

from __future__ import annotations

import torch

from tests.golden.packs import assert_close
from vmem.generation.diffusion.codecs.codecs import ImageEmbedder

PACKS = "09_clip_tiny"
TOLERANCE = 1e-4


def test_embeddings(pack):
    given = pack.config
    assert pack.manifest["act"] == "gelu (exact)"
    config = {
        "hidden_size": given["width"],
        "num_hidden_layers": given["layers"],
        "num_attention_heads": given["heads"],
        "intermediate_size": given["mlp"],
        "patch_size": given["patch"],
        "image_size": given["image"],
        "projection_dim": given["proj"],
        "hidden_act": "gelu",
        "layer_norm_eps": pack.manifest["layer_norm_eps"],
    }
    state = {
        f"visual.{name.removeprefix('w.')}": torch.from_numpy(weights).float()
        for name, weights in pack.tensors.items()
        if name.startswith("w.")
    }
    embedder = ImageEmbedder.from_state(state, config)
    embeddings = embedder.embed_pixels(torch.from_numpy(pack["x"]))
    assert_close(embeddings.numpy(), pack["out"], TOLERANCE)
