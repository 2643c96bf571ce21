"""A view as the diffusion network knows it: latent and CLIP embedding, to arrays and back.

Importable without torch. Source: VMem, section 3.5 of the specification (a generated view keeps
the latent that it was sampled as, and is never encoded again).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from vmem.types import StateArrays

_NAMES = frozenset(("latent", "embedding"))


@dataclass(frozen=True, eq=False)
class ViewCode:
    """What the network is given of one context view; kept in ``View.latents`` as arrays."""

    latent: Float32[np.ndarray, "4 h w"]
    """In the network's scale: as sampled, or encoded from a photo."""
    embedding: Float32[np.ndarray, " D"]
    """By CLIP, of the image before it was rounded to bytes."""

    def to_arrays(self) -> StateArrays:
        """Latent and embedding by name. Both are float32, so nothing is rounded."""
        return {"latent": self.latent, "embedding": self.embedding}

    @classmethod
    def from_arrays(cls, arrays: StateArrays | None) -> ViewCode | None:
        """The code that ``to_arrays`` made the arrays of, bit for bit; it shares their memory.

        None without arrays, and for arrays of another generator.
        """
        if arrays is None or set(arrays) != _NAMES:
            return None
        latent, embedding = arrays["latent"], arrays["embedding"]
        fits = latent.ndim == 3 and embedding.ndim == 1
        if not fits or not latent.dtype == embedding.dtype == np.float32:
            return None
        return cls(latent, embedding)
