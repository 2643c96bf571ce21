"""Images to latents and back (VAE), and images to embeddings (CLIP): what surrounds the network.

VMem, section 3 (the autoencoder and the CLIP embedding are SEVA's). Images are (N, 3, H, W) in
[-1, 1], RGB; frames at the package's border are (N, H, W, 3) u8.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from vmem.arrays import U8
from vmem.errors import VMemError
from vmem.generation.diffusion.checks import BadTensorError, require_maps
from vmem.generation.diffusion.codecs.clip_preprocess import clip_pixels
from vmem.generation.diffusion.codecs.weights import (
    CLIP_CONFIG,
    LATENT_SCALE,
    VAE_CONFIG,
    State,
    clip_state,
    empty_clip,
    empty_vae,
    load_module,
    settle,
    vae_state,
)
from vmem.generation.diffusion.finite import check_finite

VALUES_PER_PIXEL = 1100
"""Numbers that decoding holds at its peak for every pixel of the image, with Stable Diffusion's
channels: 962 by torch's allocator on a CPU at 576 px, and room for the convolutions' workspace.
Encoding holds 644 at 192 px."""


def images_from_frames(frames: U8) -> Tensor:
    """(N, 3, H, W) f32 in [-1, 1] on the CPU, from frames (N, H, W, 3) u8: 0 is -1, 255 is 1.

    Raises BadTensorError.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise BadTensorError(
            f"frames: got {frames.shape} {frames.dtype}, expected (N, H, W, 3) uint8. "
            "Add the frame axis or drop alpha."
        )
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2) / 127.5 - 1


def frames_from_images(images: Tensor) -> U8:
    """(N, H, W, 3) u8 frames from images (N, 3, H, W), whatever their device and type.

    The range is always [-1, 1]; beyond it is clipped, within it rounded to the nearest level, so
    that frames survive the way to images and back. Raises BadTensorError, NotFiniteError.
    """
    require_maps(images, "images to show", 3)
    check_finite(images, "images to show")
    levels = ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def frames_at_once(hw: tuple[int, int], budget: int, dtype: torch.dtype) -> int:
    """How many frames of (H, W) pixels the VAE can decode in ``budget`` bytes, at least one.

    Goes by ``VALUES_PER_PIXEL``: 1.46 GB for a frame of 576 x 576 in float32.
    """
    frame = hw[0] * hw[1] * VALUES_PER_PIXEL * dtype.itemsize
    return max(budget // frame, 1)


class ImageCodec:
    """The autoencoder: images to latents and back.

    Computes on ``device`` in ``dtype``; results come as float32 on the CPU unless asked otherwise.
    """

    def __init__(
        self,
        vae: AutoencoderKL,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        chunk: int = 1,
        tile: int | None = None,
    ) -> None:
        """``chunk`` frames go through at once (``frames_at_once`` proposes a number).

        ``tile``: side in pixels of overlapping, blended tiles for images larger than that, which
        bounds memory and changes the result a little; None: no tiles. Raises VMemError for a chunk
        below 1 or a tile that is not a multiple of four latents.
        """
        # Any: diffusers types its results as unions of what the arguments may ask for.
        self.vae: Any = settle(vae, device, dtype)
        self.device = torch.device(device)
        self.dtype = dtype
        self.chunk = chunk
        self.factor = 2 ** (len(vae.config["block_out_channels"]) - 1)
        """Pixels a latent, along each side."""
        self.channels: int = vae.config["latent_channels"]
        if chunk < 1:
            raise VMemError(f"VAE: got chunks of {chunk} frames, expected 1 or more.")
        if tile is not None:
            # A quarter of a tile overlaps, which must be whole latents.
            step = 4 * self.factor
            if tile < step or tile % step:
                raise VMemError(f"VAE: got tiles of {tile} pixels, expected a multiple of {step}.")
            vae.enable_tiling()
            vae.tile_sample_min_size = tile
            vae.tile_latent_min_size = tile // self.factor

    @classmethod
    def from_state(
        cls, state: State, config: Mapping[str, Any] = VAE_CONFIG, **options: Any
    ) -> ImageCodec:
        """The autoencoder from a file's tensors and config.json; ``options`` as for the class.

        Raises WrongWeightsError for another model's tensors, CheckpointError for missing ones.
        """
        vae = empty_vae(config)
        load_module(vae, vae_state(state), "VAE", options)
        return cls(vae, **options)

    @torch.inference_mode()
    def encode(
        self,
        images: Tensor,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """(N, 4, H/8, W/8) latents in the network's scale, from images (N, 3, H, W) in [-1, 1].

        The mean of the encoder's distribution, not a sample, times 0.18215. Raises BadTensorError
        and NotFiniteError, for the images or, named so, for the latents.
        """
        require_maps(images, "images to encode", 3, self.factor)
        check_finite(images, "images to encode")
        parts = [
            self.vae.encode(part.to(self.device, self.dtype)).latent_dist.mean * LATENT_SCALE
            for part in images.split(self.chunk)
        ]
        latents = torch.cat([part.to(device, dtype) for part in parts])
        check_finite(latents, "latents of images")
        return latents

    @torch.inference_mode()
    def decode(
        self,
        latents: Tensor,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """(N, 3, 8h, 8w) images, about [-1, 1] but not clamped, from latents (N, 4, h, w).

        Latents are in the network's scale. Raises BadTensorError and NotFiniteError, for the
        latents or, named so, for the images.
        """
        require_maps(latents, "latents to decode", self.channels)
        check_finite(latents, "latents to decode")
        parts = [
            self.vae.decode(part.to(self.device, self.dtype) / LATENT_SCALE).sample
            for part in latents.split(self.chunk)
        ]
        images = torch.cat([part.to(device, dtype) for part in parts])
        check_finite(images, "images decoded from latents")
        return images


class ImageEmbedder:
    """The CLIP image tower: one vector an image, not normalised.

    Computes on ``device`` in ``dtype``; results come as float32 on the CPU unless asked otherwise.
    """

    def __init__(
        self,
        tower: CLIPVisionModelWithProjection,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        chunk: int = 8,
    ) -> None:
        """``chunk`` images go through at once, at least one."""
        self.tower = settle(tower, device, dtype)
        self.device = torch.device(device)
        self.dtype = dtype
        self.chunk = max(chunk, 1)
        config = tower.config.to_dict()
        self.size: int = config["image_size"]
        """Side of the square the tower looks at, in pixels."""
        self.dim: int = config["projection_dim"]
        """Length of an embedding."""

    @classmethod
    def from_state(
        cls, state: State, config: Mapping[str, Any] = CLIP_CONFIG, **options: Any
    ) -> ImageEmbedder:
        """The tower from a Hugging Face or open_clip file's tensors; ``options`` as for the class.

        Raises WrongWeightsError for another model's tensors, CheckpointError for missing ones.
        """
        tower = empty_clip(config)
        load_module(tower, clip_state(state), "CLIP", options)
        return cls(tower, **options)

    @torch.inference_mode()
    def embed(
        self,
        images: Tensor,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """(N, D) embeddings of images (N, 3, H, W) in [-1, 1], of any size.

        Raises BadTensorError and NotFiniteError, for the images or, named so, for the embeddings.
        """
        require_maps(images, "images for CLIP", 3)
        check_finite(images, "images for CLIP")
        parts = [
            self.embed_pixels(clip_pixels(part.to(self.device), self.size)).to(device, dtype)
            for part in images.split(self.chunk)
        ]
        embeddings = torch.cat(parts)
        check_finite(embeddings, "embeddings of images")
        return embeddings

    @torch.inference_mode()
    def embed_pixels(self, pixels: Tensor) -> Tensor:
        """(N, D) embeddings of ``clip_pixels`` (N, 3, size, size), in the tower's type."""
        return self.tower(pixels.to(self.device, self.dtype)).image_embeds
