"""What to change after memory ran out, in one paragraph."""

from __future__ import annotations

import torch

from vmem.devices.devices import ROOM
from vmem.devices.memory_presets import choose, tighter
from vmem.devices.settings import NetworkSettings


def memory_advice(settings: NetworkSettings, device: torch.device, when: str, last: str) -> str:
    """What to do after the memory of ``device`` ran out ``when``.

    last: what is left to change after the tightest preset.

    With the memory preset ``auto`` the next use of the networks takes the next tighter preset.
    """
    if device.type != "cuda":
        return (
            f"memory ran out {when}, nothing was stored: the model shares the computer's own "
            "memory here, so close other programs, or use --backend preview"
        )
    begin = f"the GPU ran out of memory {when}, nothing was stored and the memory is free again: "
    if settings.memory == "auto":
        narrower = ROOM.step_down(device)
        if narrower is not None:
            return (
                f"{begin}try again, the next step uses the memory preset {narrower.name} "
                f"({narrower.label})"
            )
        change = last
    else:
        below = tighter(choose(0, settings.memory))
        change = last if below is None else f"a tighter preset (VMEM_MEMORY={below.name})"
    others = "close other programs that use the GPU (`nvidia-smi` lists them)"
    return f"{begin}{others}, or use {change}"
