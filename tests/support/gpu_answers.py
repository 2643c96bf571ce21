"""Make torch answer as if it had GPUs: what it says of them, not what it computes on them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from vmem.devices import devices, machine
from vmem.devices.devices import ROOM
from vmem.devices.machine import Build, Card, Machine
from vmem.devices.memory_presets import GIB

BUILD = Build("2.13.0+cu130", "13.0", None, ("sm_75", "sm_80", "sm_90"))
MACHINE = Machine("Linux", "580.65", (Card("a card", (8, 9)),), device_files=True)


@dataclass(frozen=True)
class Gpu:
    """What torch says of one."""

    capability: tuple[int, int] = (8, 9)
    free: int = 20
    """GiB; a negative number for a GPU that has no room even for the question."""

    def memory(self) -> tuple[int, int]:
        """Free and all bytes."""
        if self.free < 0:
            raise RuntimeError("CUDA error: out of memory")
        return self.free * GIB, 24 * GIB


def pretend(
    monkeypatch: pytest.MonkeyPatch,
    *gpus: Gpu,
    build: Build = BUILD,
    machine_here: Machine = MACHINE,
    mps: bool = False,
) -> None:
    """Answers of torch and of the system until the test ends; ``ROOM`` is for the caller to
    forget."""

    def asked(index: int | torch.device) -> Gpu:
        return gpus[index if isinstance(index, int) else index.index or 0]

    for name, answer in {
        "is_available": lambda: bool(gpus),
        "device_count": lambda: len(gpus),
        "mem_get_info": lambda index: asked(index).memory(),
        "memory_reserved": lambda device: 0,
        "memory_allocated": lambda device: 0,
        "get_device_capability": lambda index: asked(index).capability,
        "get_device_name": lambda index: f"card {gpus.index(asked(index))}",
    }.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    for module in (devices, machine):
        monkeypatch.setattr(module, "torch_build", lambda: build)
        monkeypatch.setattr(module, "this_machine", lambda: machine_here)
        monkeypatch.setattr(module, "torch_complaint", lambda: "")
    ROOM.forget()
