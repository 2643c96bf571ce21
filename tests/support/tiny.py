"""The released model's companions in miniature: random weights, real layouts, real files.

A VAE of 8 pixels a latent and a CLIP tower of 32-dimensional embeddings, built in milliseconds, and
written to disk as the released ones are.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from safetensors.torch import save_file
from torch import Tensor
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
)

from vmem.cli.measure.random_networks import (
    TINY_CLIP,
    TINY_CUT3R_HEADS,
    TINY_CUT3R_TEXT,
    TINY_UNET,
    TINY_VAE,
)
from vmem.generation.diffusion.codecs.codecs import ImageCodec, ImageEmbedder
from vmem.generation.diffusion.network.unet import MultiviewUNet, UNetConfig
from vmem.geometry.cut3r.config import Cut3rConfig
from vmem.geometry.cut3r.network import Cut3r

VAE, CLIP, UNET = dict(TINY_VAE), dict(TINY_CLIP), dict(TINY_UNET)
CUT3R_TEXT = TINY_CUT3R_TEXT
TAESD: dict[str, Any] = {
    "encoder_block_out_channels": (8, 8, 8, 8),
    "decoder_block_out_channels": (8, 8, 8, 8),
    "num_encoder_blocks": (1, 1, 1, 1),
    "num_decoder_blocks": (1, 1, 1, 1),
}


def tiny_vae(seed: int = 0) -> AutoencoderKL:
    """An autoencoder with random weights, the same for the same seed."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return AutoencoderKL(**VAE).eval()


def tiny_tower(seed: int = 0) -> CLIPVisionModelWithProjection:
    """An image tower with random weights, the same for the same seed."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return CLIPVisionModelWithProjection(CLIPVisionConfig(**CLIP)).eval()


def tiny_taesd(seed: int = 0) -> AutoencoderTiny:
    """A tiny autoencoder with random weights, the same for the same seed."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return AutoencoderTiny(**TAESD).eval()


def tiny_codec(seed: int = 0, **options: Any) -> ImageCodec:
    """Images to latents of 1/8 of the size and back; options as for ImageCodec."""
    return ImageCodec(tiny_vae(seed), **options)


def tiny_embedder(seed: int = 0, **options: Any) -> ImageEmbedder:
    """Images to embeddings (N, 32); options as for ImageEmbedder."""
    return ImageEmbedder(tiny_tower(seed), **options)


def write_vae(folder: Path, seed: int = 0, *, old: bool = False, prefix: str = "") -> Path:
    """A diffusers folder (config.json, safetensors); returns the weights' path.

    ``old`` names the attention's parts as older files do, ``prefix`` stands before every name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {prefix + name: tensor for name, tensor in tiny_vae(seed).state_dict().items()}
    if old:
        state = {_old_name(name): tensor for name, tensor in state.items()}
    config = {"_class_name": "AutoencoderKL", "_diffusers_version": "0.8.0", **VAE}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    path = folder / "diffusion_pytorch_model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


def _old_name(name: str) -> str:
    for new, old in (
        ("to_q", "query"),
        ("to_k", "key"),
        ("to_v", "value"),
        ("to_out.0", "proj_attn"),
    ):
        name = name.replace(f".{new}.", f".{old}.")
    return name


def write_taesd(folder: Path, seed: int = 0) -> Path:
    """A diffusers folder of the tiny autoencoder; returns the weights' path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(TAESD), encoding="utf-8")
    path = folder / "diffusion_pytorch_model.safetensors"
    save_file(tiny_taesd(seed).state_dict(), path)
    return path


def write_clip(folder: Path, seed: int = 0) -> Path:
    """A Hugging Face folder of a whole CLIP (the text tower a token); returns the weights' path."""
    folder.mkdir(parents=True, exist_ok=True)
    # As in the released config.json: the vision part repeats a default that is not the model's.
    vision = CLIP | {"projection_dim": 512, "model_type": "clip_vision_model"}
    config = {"model_type": "clip", "projection_dim": CLIP["projection_dim"]}
    config |= {"text_config": {}, "vision_config": vision}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    state = tiny_tower(seed).state_dict()
    state["vision_model.embeddings.position_ids"] = torch.arange(5)[None]
    state["text_model.final_layer_norm.weight"] = torch.ones(32)
    state["text_projection.weight"] = torch.eye(32)
    state["logit_scale"] = torch.tensor(2.0)
    path = folder / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


def write_open_clip(path: Path, seed: int = 0) -> Path:
    """The same weights as ``write_clip`` of that seed in an open_clip file, text keys included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(open_clip_state(seed), path)
    return path


def open_clip_state(seed: int = 0) -> dict[str, Tensor]:
    """``tiny_tower(seed)`` in open_clip's names, written down from its module tree."""
    tower = tiny_tower(seed).state_dict()
    vision = "vision_model."
    state = {
        "class_embedding": tower[f"{vision}embeddings.class_embedding"],
        "positional_embedding": tower[f"{vision}embeddings.position_embedding.weight"],
        "conv1.weight": tower[f"{vision}embeddings.patch_embedding.weight"],
        "proj": tower["visual_projection.weight"].T.contiguous(),
    }
    for part in ("weight", "bias"):
        state[f"ln_pre.{part}"] = tower[f"{vision}pre_layrnorm.{part}"]
        state[f"ln_post.{part}"] = tower[f"{vision}post_layernorm.{part}"]
        for i in range(CLIP["num_hidden_layers"]):
            new, old = f"transformer.resblocks.{i}.", f"{vision}encoder.layers.{i}."
            qkv = [tower[f"{old}self_attn.{which}_proj.{part}"] for which in "qkv"]
            state[f"{new}attn.in_proj_{part}"] = torch.cat(qkv)
            state[f"{new}attn.out_proj.{part}"] = tower[f"{old}self_attn.out_proj.{part}"]
            state[f"{new}mlp.c_fc.{part}"] = tower[f"{old}mlp.fc1.{part}"]
            state[f"{new}mlp.c_proj.{part}"] = tower[f"{old}mlp.fc2.{part}"]
            for norm in "12":
                state[f"{new}ln_{norm}.{part}"] = tower[f"{old}layer_norm{norm}.{part}"]
    text = {
        "positional_embedding": torch.zeros(7, 32),
        "transformer.resblocks.0.ln_1.weight": torch.ones(32),
        "token_embedding.weight": torch.zeros(11, 32),
        "ln_final.weight": torch.ones(32),
        "text_projection": torch.eye(32),
        "logit_scale": torch.tensor(2.0),
    }
    return {f"visual.{name}": tensor for name, tensor in state.items()} | text


def tiny_unet(seed: int = 0) -> MultiviewUNet:
    """A multi-view network of two levels with random weights, the same for the same seed."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return MultiviewUNet(UNetConfig.from_dict(UNET))


def write_unet(folder: Path, seed: int = 0, change: dict[str, Tensor] | None = None) -> Path:
    """vmem_weights.pth with wrapped names, and the config.json that says it is a tiny one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(UNET), encoding="utf-8")
    state = tiny_unet(seed).state_dict() | (change or {})
    path = folder / "vmem_weights.pth"
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path)
    return path


def tiny_cut3r(seed: int = 0) -> Cut3r:
    """A point-map network with random weights, the same for the same seed."""
    config = replace(Cut3rConfig.from_text(CUT3R_TEXT), **TINY_CUT3R_HEADS)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return Cut3r(config)


def write_cut3r(folder: Path, seed: int = 0, change: dict[str, Tensor] | None = None) -> Path:
    """cut3r_512_dpt_4_64.pth: a state beside training's settings, whose text states its sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "cut3r_512_dpt_4_64.pth"
    settings = argparse.Namespace(model=CUT3R_TEXT, lr=1e-4)
    state = dict(tiny_cut3r(seed).state_dict()) | (change or {})
    torch.save({"args": settings, "model": state, "epoch": 3}, path)
    return path


DEPTH_ANYTHING: dict[str, Any] = {
    "architectures": ["DepthAnythingForDepthEstimation"],
    "backbone": None,
    "backbone_config": {
        "architectures": ["Dinov2Model"],
        "hidden_size": 32,
        "image_size": 28,
        "model_type": "dinov2",
        "num_attention_heads": 2,
        "num_hidden_layers": 4,
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
        "out_indices": [1, 2, 3, 4],
        "patch_size": 14,
        "reshape_hidden_states": False,
        "torch_dtype": "float32",
    },
    "fusion_hidden_size": 8,
    "head_hidden_size": 4,
    "head_in_index": -1,
    "initializer_range": 0.02,
    "model_type": "depth_anything",
    "neck_hidden_sizes": [8, 8, 16, 16],
    "patch_size": 14,
    "reassemble_factors": [4, 2, 1, 0.5],
    "reassemble_hidden_size": 32,
    "torch_dtype": "float32",
    "transformers_version": None,
    "use_pretrained_backbone": False,
}


def tiny_depth_anything(seed: int = 0) -> DepthAnythingForDepthEstimation:
    """A depth network with random weights, the same for the same seed, whose answers vary."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        net = DepthAnythingForDepthEstimation(DepthAnythingConfig.from_dict(DEPTH_ANYTHING)).eval()
        for name, parameter in net.named_parameters():
            # The usual start would leave its answers at 1e-8.
            if name.startswith(("neck.", "head.")):
                torch.nn.init.normal_(parameter, 0.1 if name.endswith("bias") else 0.0, 0.2)
    return net


def write_depth_anything(folder: Path, seed: int = 0) -> Path:
    """A Hugging Face folder (config.json, model.safetensors); returns the weights' path.

    The attention's tensors have the names of the released file, which transformers 5 has changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(DEPTH_ANYTHING), encoding="utf-8")
    path = folder / "model.safetensors"
    state = {}
    for name, tensor in tiny_depth_anything(seed).state_dict().items():
        for new, old in (
            ("q_proj", "attention.query"),
            ("k_proj", "attention.key"),
            ("v_proj", "attention.value"),
            ("o_proj", "output.dense"),
        ):
            name = name.replace(f".attention.{new}.", f".attention.{old}.")
        state[name] = tensor.contiguous()
    save_file(state, path)
    return path
