"""Images to latents and back (VAE), and images to embeddings (CLIP image tower).

VMem, section 3 (the autoencoder and the CLIP embedding are SEVA's). Images are (N, 3, H, W) in
[-1, 1], RGB; frames outside of this package are (N, H, W, 3) u8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from einops import rearrange
from jaxtyping import Float, Float32, UInt8
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from vmem.errors import VMemError
from vmem.generation.diffusion.checks import BadTensorError, check_finite, require_maps
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


def images_from_frames(frames: UInt8[np.ndarray, "T H W 3"]) -> Float32[Tensor, "T 3 H W"]:
    """Images in [-1, 1] on the CPU, from frames: 0 is -1, 255 is 1.

    Raises BadTensorError.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise BadTensorError(
            f"frames: got {frames.shape} {frames.dtype}, expected (N, H, W, 3) uint8. "
            "Add the frame axis or drop alpha."
        )
    levels = torch.tensor(np.ascontiguousarray(frames))  # a copy: torch warns of read-only arrays
    return rearrange(levels, "n h w c -> n c h w") / 127.5 - 1


def frames_from_images(images: Float[Tensor, "T 3 H W"]) -> UInt8[np.ndarray, "T H W 3"]:
    """Frames from images, whatever their device and type.

    The range is always [-1, 1]: values beyond it are clipped, others rounded to the nearest level,
    so that frames -> images -> frames changes nothing. Raises BadTensorError, NotFiniteError.
    """
    require_maps(images, "images to show", 3)
    check_finite(images, "images to show")
    levels = ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return rearrange(levels, "n c h w -> n h w c").contiguous().cpu().numpy()


def _in_chunks(
    compute: Callable[[Tensor], Tensor],
    rows: Tensor,
    chunk: int,
    device: torch.device | str,
    dtype: torch.dtype,
    stages: tuple[str, str],
) -> Tensor:
    """``compute`` of ``chunk`` rows at a time, collected on ``device`` in ``dtype``.

    stages: what the rows and what the results are called in a NotFiniteError.
    """
    check_finite(rows, stages[0])
    made = torch.cat([compute(part).to(device, dtype) for part in rows.split(chunk)])
    check_finite(made, stages[1])
    return made


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
        """``chunk``: frames that go through at once. At its peak decoding holds 962 values for each
        of their pixels (576 px), encoding 644 (192 px): torch's allocator on a CPU, no workspace.

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
        """Pixels along each side of a latent."""
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

        def mean_latents(part: Tensor) -> Tensor:
            known = self.vae.encode(part.to(self.device, self.dtype))
            return known.latent_dist.mean * LATENT_SCALE

        stages = "images to encode", "latents of images"
        return _in_chunks(mean_latents, images, self.chunk, device, dtype, stages)

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

        def pictures(part: Tensor) -> Tensor:
            return self.vae.decode(part.to(self.device, self.dtype) / LATENT_SCALE).sample

        stages = "latents to decode", "images decoded from latents"
        return _in_chunks(pictures, latents, self.chunk, device, dtype, stages)


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
        """Side in pixels of the square images that the tower takes."""
        self.dim: int = config["projection_dim"]
        """D: length of an embedding."""

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

        def vectors(part: Tensor) -> Tensor:
            return self.embed_pixels(clip_pixels(part.to(self.device), self.size))

        stages = "images for CLIP", "embeddings of images"
        return _in_chunks(vectors, images, self.chunk, device, dtype, stages)

    @torch.inference_mode()
    def embed_pixels(self, pixels: Tensor) -> Tensor:
        """(N, D) embeddings of ``clip_pixels`` (N, 3, size, size), in the tower's type."""
        return self.tower(pixels.to(self.device, self.dtype)).image_embeds
