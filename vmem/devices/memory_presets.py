"""What stays on the GPU and what waits in the computer's memory: presets by free GPU memory.

Importable without torch. The needs are counted at full size without a GPU
(tests/devices/test_memory_needs.py), the margin is not: none has been tried on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmem.errors import VMemError

GIB = 2**30


class NotEnoughMemoryError(VMemError, MemoryError):
    """The GPU has too little memory, or ran out of it; the message says what to change."""


@dataclass(frozen=True)
class MemoryPreset:
    """What stays on the GPU between uses, and how much work it does at once."""

    name: str
    """A value of the setting ``memory``."""
    tensors: int
    """Bytes of all tensors on the GPU at the worst moment of a step, with CUT3R in float32 and the
    VAE in float32, in which it decodes again after an overflow."""
    least: int
    """Bytes of free GPU memory from which ``auto`` chooses it."""
    network_stays: bool
    """The diffusion network stays on the device; otherwise it is copied there for every use."""
    codecs_stay: bool
    """VAE and CLIP tower stay on the device; otherwise they are copied there for every use."""
    batched: bool
    """Both sides of guidance in one pass of the network, rather than one after the other."""
    decode: int
    """Frames that the VAE decodes at once."""
    label: str
    """One line for people."""

    @property
    def everything_stays(self) -> bool:
        """Whether nothing, CUT3R included, leaves the device between uses."""
        return self.network_stays and self.codecs_stay


MARGIN = 2 * GIB
"""Least that a threshold asks for beside the tensors: the CUDA context and cuBLAS (0.5 to 1 GiB),
workspaces of convolutions and fragments of torch's cache."""

PRESETS = {
    preset.name: preset
    for preset in (
        MemoryPreset(
            "resident",
            int(9.1 * GIB),
            13 * GIB,
            True,
            True,
            True,
            2,
            "everything stays on the GPU",
        ),
        MemoryPreset(
            "offload-codecs",
            int(5.7 * GIB),
            8 * GIB,
            True,
            False,
            True,
            1,
            "VAE, CLIP and CUT3R leave the GPU between uses",
        ),
        MemoryPreset(
            "offload-all",
            int(3.4 * GIB),
            6 * GIB,
            False,
            False,
            False,
            1,
            "one network on the GPU at a time, guidance in two passes",
        ),
    )
}
"""By name, from the roomiest to the tightest."""

ALIASES = {"24gb": "resident", "16gb": "offload-codecs", "12gb": "offload-all"}
"""Names of before, by the cards that they were thought to need."""

HOST = MemoryPreset("cpu", 0, 0, True, True, False, 1, "in the computer's own memory")
"""For devices without memory of their own to save: the CPU and Apple's GPUs."""


def tighter(preset: MemoryPreset) -> MemoryPreset | None:
    """The next preset that needs less, None after the tightest."""
    presets = list(PRESETS.values())
    return next((other for other in presets if other.least < preset.least), None)


def choose(free: int, asked: str = "auto") -> MemoryPreset:
    """The roomiest preset that ``free`` bytes allow, or the one ``asked`` for by name.

    Raises NotEnoughMemoryError where not even the tightest is thought to fit.
    """
    if asked != "auto":
        return PRESETS[ALIASES.get(asked, asked)]
    for preset in PRESETS.values():
        if free >= preset.least:
            return preset
    tightest = list(PRESETS.values())[-1]
    raise NotEnoughMemoryError(
        f"the GPU has {free / GIB:.1f} GiB free, the released model needs about "
        f"{tightest.least / GIB:.0f}: close other programs that use the GPU (`nvidia-smi` lists "
        f"them), try it all the same with VMEM_MEMORY={tightest.name}, or use --backend preview"
    )


def explain(free: int) -> list[str]:
    """A line a preset: what it needs, and whether ``free`` bytes are enough."""
    return [
        f"{'ok      ' if free >= preset.least else 'no      '} {preset.name}: {preset.label}; "
        f"{preset.tensors / GIB:.1f} GiB of tensors, chosen from {preset.least / GIB:.0f} GiB free"
        for preset in PRESETS.values()
    ]
