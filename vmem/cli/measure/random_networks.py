"""Networks with random weights in files that the program reads as it reads the released ones.

With the released sizes, for a machine that does not have the weights: cost and precision hardly
depend on what the weights are. Or tiny, for a rehearsal without a GPU.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from vmem.errors import VMemError
from vmem.generation.diffusion.codecs.weights import (
    CLIP_CONFIG,
    VAE_CONFIG,
    empty_clip,
    empty_vae,
)
from vmem.generation.diffusion.network.unet import MultiviewUNet, UNetConfig
from vmem.geometry.cut3r.config import Cut3rConfig
from vmem.geometry.cut3r.loading import CONFIG as CUT3R_KEY
from vmem.geometry.cut3r.network import Cut3r

TINY_UNET: Mapping[str, Any] = {
    "model_channels": 32,
    "num_res_blocks": 1,
    "attention_resolutions": [2],
    "channel_mult": [1, 1],
    "num_head_channels": 16,
    "transformer_depth": [1, 1],
    "context_dim": 32,
    "unflatten_names": ["middle_ds2", "output_ds2"],
}
TINY_VAE: Mapping[str, Any] = {
    "block_out_channels": (8, 8, 16, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 4,
    "sample_size": 64,
    "scaling_factor": 0.18215,
}
TINY_CLIP: Mapping[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "projection_dim": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
}
_CUT3R_TEXT = (
    "ARCroco3DStereo(ARCroco3DStereoConfig({sizes}, state_pe='2d', pos_embed='RoPE100', "
    "rgb_head=True, pose_head=True, patch_embed_cls='ManyAR_PatchEmbed', img_size=(512, 512), "
    "head_type='dpt', output_mode='pts3d+pose', depth_mode=('exp', -inf, inf), "
    "conf_mode=('exp', 1, inf), pose_mode=('exp', -inf, inf), landscape_only=False))"
)
CUT3R_TEXT = _CUT3R_TEXT.format(
    sizes="state_size=768, enc_embed_dim=1024, enc_depth=24, enc_num_heads=16, dec_embed_dim=768, "
    "dec_depth=12, dec_num_heads=12"
)
"""What a file of CUT3R says of the sizes of its network, here the released ones."""
TINY_CUT3R_TEXT = _CUT3R_TEXT.format(
    sizes="state_size=20, enc_embed_dim=48, enc_depth=2, enc_num_heads=4, dec_embed_dim=32, "
    "dec_depth=3, dec_num_heads=2, state_dec_num_heads=4, local_mem_size=6, ray_enc_depth=1"
)
TINY_CUT3R_HEADS: Mapping[str, Any] = {
    "dpt_layer_dims": (8, 12, 16, 24),
    "dpt_feature_dim": 16,
    "dpt_last_dim": 8,
}
"""Sizes of the dense heads, which the text does not state."""


@dataclass(frozen=True)
class RandomNetwork:
    """One part of the released model, to be written with random weights."""

    empty: Callable[[], nn.Module]
    """The module without weights, on the meta device."""
    config: Mapping[str, Any] | None = None
    """What a config.json beside the weights holds."""
    metadata: Mapping[str, str] | None = None
    """What the file says of itself."""
    faint: str = ""
    """The weights that are a twentieth of the others' size, so that answers stay near zero."""
    copies: int = 1
    """Files of its size on the disk once it was loaded: one part is converted first."""

    @property
    def size(self) -> int:
        """Bytes of its file: float32, a parameter under each of its names."""
        named = self.empty().named_parameters(remove_duplicate=False)
        return sum(4 * tensor.numel() for _, tensor in named)


def networks(*, tiny: bool) -> dict[str, RandomNetwork]:
    """The parts by their names in vmem.weights.PARTS, with the released sizes or tiny ones."""
    unet, text = (dict(TINY_UNET), TINY_CUT3R_TEXT) if tiny else ({}, CUT3R_TEXT)
    vae, clip = (TINY_VAE, TINY_CLIP) if tiny else (VAE_CONFIG, CLIP_CONFIG)
    heads = TINY_CUT3R_HEADS if tiny else {}
    whole_clip = {
        "model_type": "clip",
        "projection_dim": clip["projection_dim"],
        "vision_config": dict(clip),
    }

    def cut3r() -> nn.Module:
        return Cut3r(Cut3rConfig(**vars(Cut3rConfig.from_text(text)) | dict(heads)))

    return {
        "vmem": RandomNetwork(
            _on_meta(lambda: MultiviewUNet(UNetConfig.from_dict(unet))),
            unet or None,
            faint="out.2.weight",
            copies=2,
        ),
        "vae": RandomNetwork(
            lambda: cast(nn.Module, empty_vae(vae)), {"_class_name": "AutoencoderKL", **vae}
        ),
        "clip": RandomNetwork(lambda: empty_clip(clip), whole_clip),
        "cut3r": RandomNetwork(_on_meta(cut3r), metadata={CUT3R_KEY: text}),
    }


def _on_meta(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    def made() -> nn.Module:
        with torch.device("meta"):
            return make()

    return made


def random_state(part: RandomNetwork, device: torch.device, seed: int = 0) -> dict[str, Tensor]:
    """Random tensors (f32, CPU) of a part, drawn on ``device``; the same for the same seed there.

    Variance 1/n for n inputs, so that signals keep their size from layer to layer; norms do nothing
    and there are no biases.
    """
    generator = torch.Generator(device).manual_seed(seed)
    state: dict[str, Tensor] = {}
    first: dict[int, str] = {}
    module = part.empty()
    for name, slot in module.named_parameters(remove_duplicate=False):
        # Files have a parameter under all its names; safetensors wants a copy for each.
        if (other := first.setdefault(id(slot), name)) != name:
            state[name] = state[other].clone()
        elif slot.ndim >= 2:
            spread = math.prod(slot.shape[1:]) ** -0.5 * (0.05 if name == part.faint else 1)
            drawn = torch.randn(slot.shape, generator=generator, device=device)
            state[name] = (drawn * spread).cpu()
        else:
            state[name] = torch.full(slot.shape, 1.0 if name.endswith("weight") else 0.0)
    return state


def check_room(parts: Mapping[str, RandomNetwork], folder: Path) -> int:
    """Bytes of disk that the files will need. Raises VMemError where ``folder`` has less."""
    needed = sum(part.size * part.copies for part in parts.values())
    free = shutil.disk_usage(folder).free
    if free < 1.05 * needed:
        raise VMemError(
            f"random weights of the released sizes need {1.05 * needed / 1e9:.0f} GB for the time "
            f"of the measurement, and the folder for temporary files has {free / 1e9:.0f} GB free: "
            "make room, let TMPDIR name a folder on another disk, or get the released weights "
            "(`python -m vmem weights download`)"
        )
    return needed


def write(part: RandomNetwork, folder: Path, device: torch.device) -> Path:
    """Write a part's files to a folder of its own; the path of the weights."""
    folder.mkdir(parents=True)
    if part.config is not None:
        (folder / "config.json").write_text(json.dumps(part.config), encoding="utf-8")
    path = folder / "model.safetensors"
    metadata = None if part.metadata is None else dict(part.metadata)
    save_file(random_state(part, device), path, metadata)
    return path
