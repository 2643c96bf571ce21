"""Pictures of latents while they are sampled: quick and approximate.

``LinearPreview`` needs no weights: a latent's colour is nearly an affine function of its 4
channels, fitted to what the autoencoder makes of known images. ``TinyPreview`` decodes with the
tiny autoencoder (TAESD), sharper, where its weights are on this machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from einops import rearrange
from jaxtyping import Float, Float32, UInt8
from torch import Tensor
from torch.nn import functional

from vmem.arrays import U8
from vmem.generation.diffusion.checks import require_maps
from vmem.generation.diffusion.codecs.codecs import ImageCodec, frames_from_images
from vmem.generation.diffusion.codecs.weights import State, empty_tiny_vae, load_module, settle


class LatentPreview(Protocol):
    """Makes pictures of latents."""

    def __call__(
        self, latents: Float[Tensor, "T 4 h w"], hw: tuple[int, int]
    ) -> UInt8[np.ndarray, "T H W 3"]:
        """Pictures of ``hw`` from latents in the network's scale.

        Values that are not finite get some colour, because a preview must not stop a step. Raises
        BadTensorError for other shapes.
        """
        ...


@dataclass(frozen=True, eq=False)
class LinearPreview:
    """Colour as an affine function of a latent: colour = (z, 1) @ matrix."""

    matrix: Float32[Tensor, "5 3"]
    """On the CPU, to RGB in [-1, 1]."""

    @classmethod
    def fit(
        cls, latents: Float[Tensor, "T 4 h w"], images: Float[Tensor, "T 3 8*h 8*w"]
    ) -> LinearPreview:
        """The best map, by least squares, from latents to images eight times as large.

        A latent's colour is the mean of the 8 x 8 pixels it covers. Raises BadTensorError.
        """
        require_maps(latents, "latents to fit a preview to", 4)
        require_maps(images, "images to fit a preview to", 3)
        colours = functional.adaptive_avg_pool2d(
            images.float().cpu(), (latents.shape[2], latents.shape[3])
        )
        rows = "n c h w -> (n h w) c"
        known = rearrange(_with_one(latents.float().cpu()), rows)
        wanted = rearrange(colours, rows)
        solved = np.linalg.lstsq(known.double().numpy(), wanted.double().numpy(), rcond=None)[0]
        return cls(torch.from_numpy(solved).float())

    @torch.inference_mode()
    def __call__(
        self, latents: Float[Tensor, "T 4 h w"], hw: tuple[int, int]
    ) -> UInt8[np.ndarray, "T H W 3"]:
        """Pictures of latents, enlarged to ``hw``."""
        require_maps(latents, "latents to show", 4)
        z = _with_one(latents.float())
        colours = torch.einsum("nchw,ck->nkhw", z, self.matrix.to(z.device))
        return _picture(colours, hw)


def linear_preview(codec: ImageCodec, seed: int = 0) -> LinearPreview:
    """The linear preview of an autoencoder, fitted to what it makes of soft colour fields.

    They were encoded first, because latents drawn at random are none that an image has.
    Costs one pass of a 96-pixel image both ways.
    """
    generator = torch.Generator().manual_seed(seed)
    side = 12 * codec.factor
    colours = torch.rand(1, 3, 6, 6, generator=generator) * 2 - 1
    fields = functional.interpolate(colours, (side, side), mode="bicubic").clamp(-1, 1)
    latents = codec.encode(fields)
    return LinearPreview.fit(latents, codec.decode(latents))


class TinyPreview:
    """Decodes with the tiny autoencoder (madebyollin/taesd), made for the same latents."""

    def __init__(
        self,
        vae: AutoencoderTiny,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Computes on ``device`` in ``dtype``."""
        self.vae: Any = settle(vae, device, dtype)
        self.device = torch.device(device)
        self.dtype = dtype

    @classmethod
    def from_state(
        cls, state: State, config: Mapping[str, Any] | None = None, **options: Any
    ) -> TinyPreview:
        """From a file's tensors and config.json; ``options`` as for the class.

        Raises CheckpointError for another model's tensors.
        """
        vae = empty_tiny_vae(config)
        load_module(vae, state, "tiny VAE", options)
        return cls(vae, **options)

    @torch.inference_mode()
    def __call__(
        self, latents: Float[Tensor, "T 4 h w"], hw: tuple[int, int]
    ) -> UInt8[np.ndarray, "T H W 3"]:
        """Pictures of latents, decoded and resized to ``hw``."""
        require_maps(latents, "latents to show", 4)
        # This autoencoder is trained on latents in the network's own scale.
        images = self.vae.decode(latents.to(self.device, self.dtype)).sample
        return _picture(images.float(), hw)


def _with_one(latents: Tensor) -> Tensor:
    """(N, 5, h, w): latents and a channel of ones."""
    return torch.cat([latents, torch.ones_like(latents[:, :1])], dim=1)


def _picture(images: Tensor, hw: tuple[int, int]) -> U8:
    """(N, H, W, 3) u8 of a size from (N, 3, h, w) about [-1, 1], finite or not."""
    finite = torch.nan_to_num(images, nan=0.0, posinf=1.0, neginf=-1.0)
    frames = frames_from_images(finite)
    if frames.shape[1:3] == hw:
        return frames
    # Enlarged as bytes: the work is in the many pixels, not in the few latents.
    wh = (hw[1], hw[0])
    return np.stack([cv2.resize(frame, wh, interpolation=cv2.INTER_LINEAR) for frame in frames])
