"""Pick the device and precision that networks compute with, place modules there, free memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from vmem.devices.memory_presets import HOST, MemoryPreset, choose
from vmem.devices.settings import NetworkSettings
from vmem.errors import VMemError

NO_GPU = "no NVIDIA GPU is in reach of torch"


class DeviceError(VMemError, RuntimeError):
    """A device that this machine, or this torch, does not have."""


def pick_device(asked: str) -> torch.device:
    """The device that a setting names; "auto" is the NVIDIA GPU, else Apple's, never the CPU.

    Raises DeviceError where torch does not have it.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if asked == "auto":
        if cuda:
            return torch.device("cuda", torch.cuda.current_device())
        if mps:
            return torch.device("mps", 0)
        build = "" if torch.version.cuda else " (this torch is a CPU build)"
        raise DeviceError(f"{NO_GPU}{build}")
    device = torch.device(asked)
    if device.type == "cuda":
        count = torch.cuda.device_count() if cuda else 0
        index = device.index or 0
        if index >= count:
            raise DeviceError(f"{NO_GPU} as {asked}: {count} found")
        return torch.device("cuda", index)
    if device.type == "mps" and not mps:
        raise DeviceError("torch finds no Apple GPU (mps)")
    return torch.device("mps", 0) if device.type == "mps" else device


def free_memory(device: torch.device) -> int:
    """Bytes on a CUDA device that this process can still allocate or has reserved already."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device)


def memory_preset(settings: NetworkSettings, device: torch.device) -> MemoryPreset:
    """The memory preset of the settings, or the one that the device's free memory allows.

    Raises NotEnoughMemoryError where none fits.
    """
    if device.type != "cuda":
        return HOST
    return choose(free_memory(device), settings.memory)


def pick_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the GPU computes in it (Ampere and newer), else float16; float32 on a CPU."""
    if device.type == "cpu":
        return torch.float32
    if device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 8:
        return torch.bfloat16
    return torch.float16


@contextmanager
def placed(module: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """Have ``module`` on ``device`` within the block, and where it was before after the block.

    The original tensors are kept meanwhile, so that moving back copies nothing.
    """
    moved: dict[int, torch.Tensor] = {}
    home: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for part in module.modules():
            for tensors in (part._parameters, part._buffers):
                held: dict[str, Any] = tensors
                for name, tensor in list(held.items()):
                    if tensor is None or tensor.device == device:
                        continue
                    if id(tensor) not in moved:
                        copy = tensor.detach().to(device)
                        if isinstance(tensor, torch.nn.Parameter):
                            copy = torch.nn.Parameter(copy, requires_grad=False)
                        moved[id(tensor)] = copy
                    home.append((held, name, tensor))
                    held[name] = moved[id(tensor)]
        yield
    finally:
        for held, name, tensor in home:
            held[name] = tensor


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out; torch raises several kinds for that."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text
    )


def free_unused(device: torch.device) -> None:
    """Return memory that torch caches to the device, for other programs and tensor sizes."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
