"""Latents with NaN or infinity in them stop the work at once, with the name of the stage."""

from __future__ import annotations

import torch
from torch import Tensor

from vmem.errors import VMemError


class NotFiniteError(VMemError, ArithmeticError):
    """NaN or infinity where latents or embeddings should be; the message names the stage."""


def check_finite(values: Tensor, stage: str) -> None:
    """NotFiniteError if ``values`` (N, ...) holds NaN or infinity: says at which frames."""
    if bool(torch.isfinite(values).all()):
        return
    wrong = ~torch.isfinite(values).reshape(len(values), -1)
    frames = ", ".join(str(int(i)) for i in wrong.any(dim=1).nonzero()[:, 0])
    raise NotFiniteError(
        f"{stage}: {int(wrong.sum())} of {wrong.numel()} values are NaN or infinite "
        f"(frames {frames} of {len(values)}). If the network runs in float16, use bfloat16 or "
        "float32; otherwise the checkpoint may be damaged: fetch it again."
    )
