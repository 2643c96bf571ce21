"""What the diffusion generator wants back of a view it has seen or made. Without torch."""

from __future__ import annotations

from dataclasses import dataclass

from vmem.arrays import F32


@dataclass(frozen=True, eq=False)
class ViewCode:
    """A view as the network knows it; kept in View.latents.

    latent (4, h, w) f32 in the network's scale: as the sampler left it, or encoded from a photo ·
    embedding (D,) f32 by CLIP, of the image before it was rounded to bytes. Source: VMem, section
    3.5 of the specification (latents are not encoded again).
    """

    latent: F32
    embedding: F32
