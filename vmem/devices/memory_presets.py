"""What stays on the GPU and what waits in the computer's memory: presets by free GPU memory.

Importable without torch. The thresholds are estimates (docs/diffusion.md says from what): none has
been tried on a GPU.
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


PRESETS = {
    preset.name: preset
    for preset in (
        MemoryPreset("24gb", 22 * GIB, True, True, True, 4, "everything stays on the GPU"),
        MemoryPreset(
            "16gb", 15 * GIB, True, False, True, 1, "VAE and CLIP leave the GPU between uses"
        ),
        MemoryPreset(
            "12gb",
            11 * GIB,
            False,
            False,
            False,
            1,
            "one network on the GPU at a time, guidance in two passes",
        ),
    )
}
"""By name, from the roomiest to the tightest."""

HOST = MemoryPreset("cpu", 0, True, True, False, 1, "in the computer's own memory")
"""For devices without memory of their own to save: the CPU and Apple's GPUs."""


def choose(free: int, asked: str = "auto") -> MemoryPreset:
    """The roomiest preset that ``free`` bytes allow, or the one ``asked`` for by name.

    Raises NotEnoughMemoryError where not even the tightest is thought to fit.
    """
    if asked != "auto":
        return PRESETS[asked]
    for preset in PRESETS.values():
        if free >= preset.least:
            return preset
    tightest = list(PRESETS.values())[-1]
    raise NotEnoughMemoryError(
        f"the GPU has {free / GIB:.1f} GiB free, the released model needs about "
        f"{tightest.least / GIB:.0f}: close other programs that use the GPU (`nvidia-smi` lists "
        f"them), try it all the same with VMEM_MEMORY={tightest.name}, or use --backend preview"
    )
