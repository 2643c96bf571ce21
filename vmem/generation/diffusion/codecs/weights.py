"""VAE and CLIP tower from state dicts: configurations, and names of tensors in released files.

VAE: the autoencoder of Stable Diffusion 2.1-base in diffusers' names. CLIP: the image tower of
ViT-H-14 (LAION-2B), from a Hugging Face file or an open_clip file. The functions on states move
nothing and copy next to nothing, so they work on memory-mapped files and on meta tensors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from vmem.errors import VMemError

LATENT_SCALE = 0.18215
"""The network sees latents times this: Stable Diffusion's unit of latents."""

VAE_CONFIG: Mapping[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "norm_num_groups": 32,
    "sample_size": 512,
    "scaling_factor": LATENT_SCALE,
}
"""Stable Diffusion 2.1-base: 83 653 863 parameters, 8 pixels a latent."""

CLIP_CONFIG: Mapping[str, Any] = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "projection_dim": 1024,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
}
"""ViT-H-14, image tower: 632 076 800 parameters; ``gelu`` is the exact one, by erf."""

State = Mapping[str, Tensor]
Module = TypeVar("Module", bound=torch.nn.Module)


class WrongWeightsError(VMemError):
    """A state dict or configuration that is not the model's; says what was expected."""


def empty_vae(config: Mapping[str, Any] = VAE_CONFIG) -> AutoencoderKL:
    """The autoencoder without weights, on the meta device.

    ``config`` is what a released folder's config.json holds. Raises WrongWeightsError for an
    autoencoder of other latents: SDXL's has the same shapes and would load without complaint.
    """
    scale = config.get("scaling_factor", LATENT_SCALE)
    channels = config.get("latent_channels", 4)
    if scale != LATENT_SCALE or channels != 4:
        raise WrongWeightsError(
            f"VAE: got latents of {channels} channels scaled by {scale}, expected 4 channels "
            f"scaled by {LATENT_SCALE}. Use the autoencoder of Stable Diffusion 2.1-base."
        )
    with torch.device("meta"):
        return cast(AutoencoderKL, AutoencoderKL.from_config(dict(config)))


def vae_state(state: State) -> dict[str, Tensor]:
    """The autoencoder's tensors in today's names, from any file that holds them.

    A prefix of the names (``module.``, ``first_stage_model.``) is removed, tensors without it are
    left out. Raises WrongWeightsError.
    """
    prefix = _prefix(state, "encoder.down_blocks.0.resnets.0.conv1.weight")
    if prefix is None:
        raise WrongWeightsError(
            f"VAE: {_sample(state)}, expected diffusers' names (encoder.down_blocks.0...). "
            "Use vae/diffusion_pytorch_model.safetensors of a diffusers repository."
        )
    return {vae_key(name): tensor for name, tensor in _below(state, prefix)}


_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def vae_key(name: str) -> str:
    """Today's name of a tensor; older files call the attention's parts otherwise."""
    return re.sub(
        r"(\.attentions\.\d+\.)(query|key|value|proj_attn)\.",
        lambda match: f"{match[1]}{_ATTENTION[match[2]]}.",
        name,
    )


def empty_tiny_vae(config: Mapping[str, Any] | None = None) -> AutoencoderTiny:
    """The tiny autoencoder (TAESD) without weights, on the meta device."""
    with torch.device("meta"):
        return cast(AutoencoderTiny, AutoencoderTiny.from_config(dict(config or {})))


def empty_clip(config: Mapping[str, Any] = CLIP_CONFIG) -> CLIPVisionModelWithProjection:
    """The image tower without weights, on the meta device.

    ``config`` is what a released folder's config.json holds: the tower's own, or that of a whole
    CLIP, whose projection is outside of ``vision_config``.
    """
    known = dict(config.get("vision_config", config))
    if "projection_dim" in config:
        known["projection_dim"] = config["projection_dim"]
    with torch.device("meta"):
        tower = CLIPVisionModelWithProjection(CLIPVisionConfig(**known))
    # No file has this buffer: loading would leave it on the meta device.
    embeddings = tower.vision_model.embeddings
    numbers = torch.arange(embeddings.num_positions)[None]
    embeddings.register_buffer("position_ids", numbers, persistent=False)
    return tower


def clip_state(state: State) -> dict[str, Tensor]:
    """The image tower's tensors in Hugging Face's names, from their file or from open_clip's.

    The text tower is left out, and a prefix of the names (``visual.``) is removed. Raises
    WrongWeightsError.
    """
    prefix = _prefix(state, "vision_model.embeddings.class_embedding")
    if prefix is not None:
        # Older files hold position_ids, which are no weights.
        return {
            name: tensor
            for name, tensor in _below(state, prefix)
            if name.startswith(("vision_model.", "visual_projection."))
            and not name.endswith("position_ids")
        }
    prefix = _prefix(state, "ln_pre.weight")
    if prefix is None:
        raise WrongWeightsError(
            f"CLIP: {_sample(state)}, expected vision_model.* (Hugging Face) or visual.* "
            "(open_clip). Use the weights of laion/CLIP-ViT-H-14-laion2B-s32B-b79K."
        )
    converted: dict[str, Tensor] = {}
    for name, tensor in _below(state, prefix):
        names = clip_keys(name)
        if name == "proj":
            tensor = tensor.T.contiguous()
        if tensor.ndim == 0 or len(tensor) % len(names):
            raise WrongWeightsError(
                f"CLIP: got {prefix}{name} of shape {tuple(tensor.shape)}, expected rows for "
                f"{len(names)} tensors. The file is damaged or another model's; fetch it again."
            )
        converted |= zip(names, tensor.chunk(len(names)), strict=True)
    return converted


_CLIP_PARTS = (
    (r"^class_embedding", "vision_model.embeddings.class_embedding"),
    (r"^positional_embedding", "vision_model.embeddings.position_embedding.weight"),
    (r"^conv1\.", "vision_model.embeddings.patch_embedding."),
    (r"^ln_pre\.", "vision_model.pre_layrnorm."),
    (r"^ln_post\.", "vision_model.post_layernorm."),
    (r"^proj$", "visual_projection.weight"),
    (r"^transformer\.resblocks\.", "vision_model.encoder.layers."),
    (r"\.ln_([12])\.", r".layer_norm\1."),
    (r"\.c_fc\.", ".fc1."),
    (r"\.c_proj\.", ".fc2."),
    (r"\.attn\.", ".self_attn."),
)


def clip_keys(name: str) -> tuple[str, ...]:
    """Hugging Face's name of an open_clip tensor, named relative to ``visual.``.

    Three names for ``in_proj``, whose rows are those of q, k and v in this order; one otherwise.
    ``proj`` is transposed besides.
    """
    for old, new in _CLIP_PARTS:
        name = re.sub(old, new, name)
    if ".in_proj_" in name:
        return tuple(name.replace(".in_proj_", f".{part}_proj.") for part in "qkv")
    return (name,)


def load_module(
    module: torch.nn.Module, state: State, what: str, options: Mapping[str, Any]
) -> None:
    """Give an empty module its tensors on the ``device`` and in the ``dtype`` of the options.

    Raises CheckpointError for tensors that are missing, too many, mis-shaped or not finite.
    """
    from vmem.weights import load_strict

    place = {name: options[name] for name in ("device", "dtype") if name in options}
    load_strict(module, state, what=what, **place)


def settle(module: Module, device: torch.device | str, dtype: torch.dtype) -> Module:
    """The module itself, moved to a device and type and set up for inference only."""
    # Not diffusers' own `to`, which warns of modules to keep in float32 even when there are none.
    torch.nn.Module.to(module, device=device, dtype=dtype)
    return module.eval().requires_grad_(False)


def _prefix(state: State, anchor: str) -> str | None:
    """The prefix of ``anchor`` in a state's names; None if the state has no such name."""
    found = (name for name in state if name == anchor or name.endswith(f".{anchor}"))
    return min((name.removesuffix(anchor) for name in found), key=len, default=None)


def _below(state: State, prefix: str) -> list[tuple[str, Tensor]]:
    """The tensors whose names start with a prefix, named without it."""
    return [
        (name.removeprefix(prefix), tensor)
        for name, tensor in state.items()
        if name.startswith(prefix)
    ]


def _sample(state: State) -> str:
    """A state's first names, for a message."""
    return f"got {len(state)} tensors ({', '.join(list(state)[:3])}, ...)"
