"""The precision that networks compute in: by device, as asked for, and after an overflow."""

from __future__ import annotations

import torch

DTYPES = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
}
"""The values of the setting ``dtype`` besides "auto"."""


def pick_dtype(device: torch.device, asked: str = "auto") -> torch.dtype:
    """The precision of the diffusion network and the codecs on ``device``.

    "auto" is float16 on every GPU, as the released model was published, and float32 on a CPU.
    bfloat16 has the range of float32 but an eighth of float16's precision (docs/diffusion.md).
    """
    if asked != "auto":
        return DTYPES[asked]
    return torch.float32 if device.type == "cpu" else torch.float16


def pick_geometry_dtype(device: torch.device, asked: str = "auto") -> torch.dtype:
    """The precision of CUT3R: float32, as published, unless another is asked for.

    Half precision moves its depths by 0.1 % (float16) to 2 % (bfloat16), and its weights in float32
    fit beside what every memory preset keeps.
    """
    return torch.float32 if asked == "auto" else DTYPES[asked]


def wider_dtype(device: torch.device, dtype: torch.dtype) -> torch.dtype | None:
    """The precision in which to go on after ``dtype`` has overflown; None if none is wider.

    float16 is followed by bfloat16 where the device computes in it (Ampere and later), else by
    float32.
    """
    if dtype == torch.float32:
        return None
    bfloat = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    return torch.bfloat16 if dtype == torch.float16 and bfloat else torch.float32


def allow_tf32() -> None:
    """Let float32 products on a GPU use TensorFloat-32, as the published code does.

    For the whole process, because torch has no other scope. Call it before any network runs.
    """
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True


def name_of(dtype: torch.dtype) -> str:
    """A precision for people: "float16"."""
    return str(dtype).removeprefix("torch.")
