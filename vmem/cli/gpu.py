"""What ``vmem doctor`` says of the GPU: which one, its memory, precision and attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmem.devices.diagnosis import MPS_LIMITS, Diagnosis
from vmem.devices.memory_presets import GIB, choose, explain
from vmem.devices.settings import NetworkSettings
from vmem.errors import VMemError
from vmem.extras import install_command

if TYPE_CHECKING:
    import torch

HEAD = 64
"""Channels of most of the diffusion network's heads; kernels differ in what sizes they take."""


def gpu_rows() -> list[str]:
    """Lines on the GPU, ready to print. Imports torch; on CUDA it starts the GPU."""
    try:
        import torch
    except ModuleNotFoundError:
        return [
            "unknown  torch is not installed (the preview and world backends do not use it): "
            f"{install_command()}"
        ]
    except ImportError as error:
        return [f"unknown  torch does not import: {error}"]
    try:
        settings = NetworkSettings.from_environment()
        if torch.cuda.is_available():
            # A card without kernels is a row of its own and why none was chosen.
            return list(dict.fromkeys([_torch(), *_gpus(), *_chosen(settings)]))
        if torch.backends.mps.is_available():
            return [_torch(), f"note     Apple GPU (mps), untested: {MPS_LIMITS}"]
    except VMemError as error:
        return [f"no       {error}"]
    except RuntimeError as error:  # a driver that answers, but not as it should
        return [_torch(), f"no       torch cannot use the GPU: {str(error).splitlines()[0]}"]
    from vmem.devices.devices import missing_gpu

    why = missing_gpu()
    return [_torch(), *_diagnosed("none", why), "note     preview and world need no GPU"]


def _torch() -> str:
    from vmem.devices.machine import this_machine, torch_build

    build = torch_build()
    made = f"for CUDA {build.cuda}" if build.cuda else "a CPU build"
    made = f"for AMD's GPUs (ROCm {build.hip}), untested" if build.hip else made
    driver = this_machine().driver
    with_driver = f"; NVIDIA driver {driver}" if driver else ""
    return f"torch    {build.version}, {made}{with_driver}"


def _diagnosed(word: str, why: Diagnosis) -> list[str]:
    rows = [f"{word:9}{why.cause}"]
    if why.remedy:
        rows.append(f"         {why.remedy}")
    if why.command:
        rows.append(f"         {why.command}")
    return rows


def _gpus() -> list[str]:
    """A row for each NVIDIA GPU."""
    import torch

    from vmem.devices.devices import missing_kernels

    rows: list[str] = []
    for index in range(torch.cuda.device_count()):
        without = missing_kernels(index)
        if without is not None:
            rows += _diagnosed("no", without)
            continue
        free, total = torch.cuda.mem_get_info(index)
        major, minor = torch.cuda.get_device_capability(index)
        rows.append(
            f"ok       cuda:{index} {torch.cuda.get_device_name(index)}, {free / GIB:.1f} of "
            f"{total / GIB:.1f} GiB free, compute capability {major}.{minor}"
        )
    return rows


def _chosen(settings: NetworkSettings) -> list[str]:
    """Which device, memory preset, precision and attention the networks would get."""
    import torch

    from vmem.devices.devices import DeviceError, free_memory, pick_device

    try:
        device = pick_device(settings.device)
    except DeviceError as error:
        return _diagnosed("no", error.diagnosis)
    count = torch.cuda.device_count()
    why = f"most free memory of {count} GPUs" if count > 1 else "the only GPU"
    asked = why if settings.device == "auto" else f"VMEM_DEVICE={settings.device}"
    rows = [f"device   {device} ({asked})", f"numbers  {_precision(device, settings)}"]
    if device.type != "cuda":
        return rows
    free = free_memory(device)
    rows.append(f"kernels  {_attention(device)}")
    try:
        memory = choose(free, settings.memory)
        asked = f"VMEM_MEMORY={settings.memory}"
        rows.append(f"memory   {memory.name} ({asked}, {free / GIB:.1f} GiB free on {device})")
    except VMemError as error:
        rows.append(f"no       {error}")
    return rows + explain(free)


def _precision(device: torch.device, settings: NetworkSettings) -> str:
    from vmem.devices.precision import name_of, pick_dtype, pick_geometry_dtype, wider_dtype

    dtype = pick_dtype(device, settings.dtype)
    wider = wider_dtype(device, dtype)
    after = f", {name_of(wider)} after an overflow" if wider else ""
    geometry = name_of(pick_geometry_dtype(device, settings.dtype))
    return f"{name_of(dtype)} (VMEM_DTYPE={settings.dtype}){after}; CUT3R in {geometry}"


def _attention(device: torch.device) -> str:
    """The fused attention kernels that torch would run here, asked with tensors of a small head."""
    import torch
    from torch.backends import cuda

    heads = torch.empty(1, 1, HEAD, HEAD, dtype=torch.float16, device=device)
    asked = cuda.SDPAParams(heads, heads, heads, None, 0.0, False, False)
    kernels = {
        "flash": cuda.can_use_flash_attention,
        "memory-efficient": cuda.can_use_efficient_attention,
        "cuDNN": cuda.can_use_cudnn_attention,
    }
    usable = [name for name, can_use in kernels.items() if can_use(asked)]
    if not usable:
        return "no fused attention: it runs in slices, slower and in more memory"
    return f"fused attention: {', '.join(usable)}"
