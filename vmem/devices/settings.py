"""Settings of all networks: device, memory, sampler, guidance. Importable without torch."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from vmem.devices.memory_presets import ALIASES
from vmem.errors import VMemError

SamplerName = Literal["reference", "balanced", "fast"]
"""Samplers of the diffusion generator: names of vmem.generation.diffusion.sampling.presets."""
GpuMemory = Literal["auto", "resident", "offload-codecs", "offload-all"]
"""The choice by free memory, and names of vmem.devices.memory_presets.PRESETS."""
DtypeName = Literal["auto", "float16", "bfloat16", "float32"]
"""The choice by device, and names of vmem.devices.precision.DTYPES."""
AttentionName = Literal["auto", "flash", "efficient", "cudnn", "math", "sliced"]
"""The choice by device, and kernels of vmem.generation.diffusion.network.attention."""
GuiderName = Literal["vanilla", "multiview", "multiview_temporal"]
RuleName = Literal["reference", "repaired"]
SAMPLERS: tuple[SamplerName, ...] = get_args(SamplerName)
MEMORY: tuple[GpuMemory, ...] = get_args(GpuMemory)
DTYPE_NAMES: tuple[DtypeName, ...] = get_args(DtypeName)
ATTENTION: tuple[AttentionName, ...] = get_args(AttentionName)
SIZE_STEP = 64
"""Frames' sides are multiples of it: the VAE makes a latent of 8 pixels, and the network halves
latents three times."""


class NetworkSettingsError(VMemError, ValueError):
    """A setting that does not exist, or a value outside of its range."""


@dataclass(frozen=True)
class NetworkSettings:
    """How the networks run; the defaults are the released model's except for the sampler."""

    preset: str = "balanced"
    """Sampler: reference (50 steps, as published), balanced (20) or fast (10)."""
    memory: str = "auto"
    """What stays on the GPU: resident, offload-codecs or offload-all (24gb, 16gb and 12gb mean the
    same); auto chooses by free GPU memory."""
    device: str = "auto"
    """auto, cuda, cuda:N, mps or cpu. auto never means the CPU, where a frame takes minutes."""
    dtype: str = "auto"
    """Precision of all networks: float16, bfloat16 or float32. auto is float16 on a GPU, with more
    where a number overflows, float32 for CUT3R, and float32 on a CPU."""
    attention: AttentionName = "auto"
    """What computes the network's attention: flash, efficient, cudnn or math of torch's kernels, or
    sliced, which needs none. auto is torch's choice, and slices where it has no fused kernel."""
    compile: bool = False
    """Compile the network with torch.compile after the first step: the second takes minutes."""
    rule: RuleName = "reference"
    """How the world is centred and scaled (vmem.generation.diffusion.conditioning)."""
    guider: GuiderName = "multiview"
    """How guidance strength varies over frames (vmem.generation.diffusion.sampling.guidance)."""
    cfg: float = 2.0
    """Guidance strength for frames that the context does not show."""
    cfg_min: float = 1.2
    """Guidance strength for frames that the context shows."""
    size: int = 576
    """Side of the frames in pixels; the model was trained at 576, others are for experiments."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "memory", ALIASES.get(self.memory, self.memory))
        for name, value, choices in (
            ("preset", self.preset, SAMPLERS),
            ("memory", self.memory, MEMORY),
            ("dtype", self.dtype, DTYPE_NAMES),
            ("attention", self.attention, ATTENTION),
            ("rule", self.rule, get_args(RuleName)),
            ("guider", self.guider, get_args(GuiderName)),
        ):
            if value not in choices:
                raise NetworkSettingsError(
                    f"unknown {name} {value!r}: use one of {', '.join(choices)}"
                )
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise NetworkSettingsError(
                f"unknown device {self.device!r}: use auto, cuda, cuda:0, mps or cpu"
            )
        for name, value in (("cfg", self.cfg), ("cfg_min", self.cfg_min)):
            if not (math.isfinite(value) and 0 <= value <= 100):
                raise NetworkSettingsError(f"{name} must be between 0 and 100, got {value}")
        if not SIZE_STEP <= self.size <= 1024 or self.size % SIZE_STEP:
            nearest = min(max(round(self.size / SIZE_STEP), 1), 16) * SIZE_STEP
            raise NetworkSettingsError(
                f"the released model makes frames whose side is a multiple of {SIZE_STEP} up to "
                f"1024 pixels, and was trained at 576; got {self.size}: use 576, or {nearest}"
            )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> NetworkSettings:
        """The defaults, replaced by the variables that are set: VMEM_PRESET, VMEM_MEMORY, ...

        Raises NetworkSettingsError.
        """
        environment = os.environ if environment is None else environment
        given: dict[str, Any] = {}
        for field in fields(cls):
            variable = f"VMEM_{field.name.upper()}"
            if text := environment.get(variable, "").strip():
                given[field.name] = _parsed(variable, text, type(field.default))
        return cls(**given)


_SWITCH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def _parsed(variable: str, text: str, kind: type) -> Any:
    """A variable's text as the type of its setting. Raises NetworkSettingsError."""
    try:
        return _SWITCH[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        expected = "1 or 0" if kind is bool else "a number"
        raise NetworkSettingsError(f"{variable} must be {expected}, got {text!r}") from None
