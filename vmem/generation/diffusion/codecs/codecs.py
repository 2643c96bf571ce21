"""Images to latents and back (VAE), and images to embeddings (CLIP image tower).

VMem, section 3 (the autoencoder and the CLIP embedding are SEVA's). Images are (N, 3, H, W) in
[-1, 1], RGB; frames outside of this package are (N, H, W, 3) u8.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from einops import rearrange
from jaxtyping import Float, Float32, UInt8
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from vmem.devices.devices import change_precision
from vmem.devices.precision import name_of
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

log = logging.getLogger(__name__)


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


class _Part:
    """A network that computes on ``device`` in ``dtype``, some rows at a time."""

    widens = False
    """Whether it computes in float32 from the first result on that is not finite in half precision:
    autoencoders of Stable Diffusion overflow float16 now and then."""

    def __init__(
        self, module: torch.nn.Module, device: torch.device | str, dtype: torch.dtype, chunk: int
    ) -> None:
        # Any: diffusers types its results as unions of what the arguments may ask for.
        self._module: Any = settle(module, device, dtype)
        self.device = torch.device(device)
        self.dtype = dtype
        self.chunk = chunk

    def _in_chunks(
        self,
        compute: Callable[[Tensor], Tensor],
        rows: Tensor,
        device: torch.device | str,
        dtype: torch.dtype,
        stages: tuple[str, str],
    ) -> Tensor:
        """``compute`` of ``chunk`` rows at a time, collected on ``device`` in ``dtype``.

        stages: what the rows and what the results are called in a NotFiniteError.
        """
        check_finite(rows, stages[0])

        def made() -> Tensor:
            return torch.cat([compute(part).to(device, dtype) for part in rows.split(self.chunk)])

        result = made()
        if self.widens and self.dtype != torch.float32 and not torch.isfinite(result).all():
            log.warning("%s overflow %s: in float32 from now on", stages[1], name_of(self.dtype))
            change_precision(self._module, torch.float32)
            self.dtype = torch.float32
            result = made()
        check_finite(result, stages[1])
        return result


class ImageCodec(_Part):
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
        super().__init__(vae, device, dtype, chunk)
        self.vae = self._module
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
        return self._in_chunks(mean_latents, images, device, dtype, stages)

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
        return self._in_chunks(pictures, latents, device, dtype, stages)


class ImageEmbedder(_Part):
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
        super().__init__(tower, device, dtype, max(chunk, 1))
        self.tower = self._module
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
        return self._in_chunks(vectors, images, device, dtype, stages)

    @torch.inference_mode()
    def embed_pixels(self, pixels: Tensor) -> Tensor:
        """(N, D) embeddings of ``clip_pixels`` (N, 3, size, size), in the tower's type."""
        return self.tower(pixels.to(self.device, self.dtype)).image_embeds
