"""Pick the device that networks compute on, decide what stays there, place modules for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from vmem.devices.diagnosis import (
    NO_GPU,
    Diagnosis,
    has_kernels,
    why_no_apple_gpu,
    why_no_gpu,
    why_no_kernels,
)
from vmem.devices.machine import Card, this_machine, torch_build, torch_complaint
from vmem.devices.memory_presets import HOST, MemoryPreset, choose, tighter
from vmem.devices.precision import allow_tf32
from vmem.devices.recovery import is_out_of_memory
from vmem.devices.settings import NetworkSettings
from vmem.errors import VMemError


class DeviceError(VMemError, RuntimeError):
    """A device that this machine, or this torch, does not have."""

    diagnosis: Diagnosis
    """Why not, and what to do."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(str(diagnosis))
        self.diagnosis = diagnosis


def pick_device(asked: str) -> torch.device:
    """The device that a setting names; "auto" is a GPU, never the CPU.

    Of several NVIDIA GPUs auto takes the one with most free memory of those that this torch has
    kernels for, and keeps to it as long as the process lives. float32 products on it use TF32 from
    here on. Raises DeviceError where torch does not have the device or no kernels for it.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if asked == "auto":
        if cuda:
            return _on_cuda(ROOM.emptiest())
        if mps:
            return torch.device("mps", 0)
        raise DeviceError(missing_gpu())
    device = torch.device(asked)
    if device.type == "cuda":
        if not cuda:
            raise DeviceError(missing_gpu())
        count, index = torch.cuda.device_count(), device.index or 0
        if index >= count:
            names = ", ".join(f"cuda:{i}" for i in range(count))
            raise DeviceError(Diagnosis(f"{NO_GPU} as {asked}", f"there is {names}"))
        return _on_cuda(index)
    if device.type == "mps" and not mps:
        raise DeviceError(why_no_apple_gpu(this_machine()))
    return torch.device("mps", 0) if device.type == "mps" else device


def missing_gpu() -> Diagnosis:
    """Why ``torch.cuda`` is not available here. May ask nvidia-smi, once a process."""
    build = torch_build()
    return why_no_gpu(build, this_machine(), torch_complaint() if build.cuda else "")


def missing_kernels(index: int) -> Diagnosis | None:
    """What to do about an NVIDIA GPU that this torch has no kernels for; None if it has."""
    build = torch_build()
    if not build.architectures or build.hip:
        return None
    capability = torch.cuda.get_device_capability(index)
    if has_kernels(capability, build):
        return None
    card = Card(torch.cuda.get_device_name(index), capability)
    return why_no_kernels(card, build, this_machine().driver)


def _on_cuda(index: int) -> torch.device:
    without = missing_kernels(index)
    if without is not None:
        raise DeviceError(without)
    allow_tf32()
    return torch.device("cuda", index)


def free_memory(device: torch.device) -> int:
    """Bytes on a CUDA device that this process can still allocate, its own unused cache included.

    What its tensors hold is not free: a network that is in use by another part stays.
    """
    return _free(device) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def _free(device: torch.device | int) -> int:
    """Bytes that the driver calls free; 0 on a GPU so full that it cannot even be asked."""
    try:
        return torch.cuda.mem_get_info(device)[0]
    except RuntimeError as error:
        if is_out_of_memory(error):
            return 0
        raise


class Room:
    """What ``auto`` has decided for this process, by device, so that it does not change between
    steps because the networks themselves fill the memory."""

    def __init__(self) -> None:
        self.when_tighter: list[Callable[[torch.device], object]] = []
        """Called after every step down: for networks that would keep their place on that device
        until they are next used, which is after the step that lacked it."""
        self._lock = threading.Lock()
        self._emptiest: int | None = None
        self._presets: dict[torch.device, MemoryPreset] = {}

    def emptiest(self) -> int:
        """The NVIDIA GPU with most free memory when it was first asked for, among those that torch
        has kernels for; the first GPU where it has them for none."""
        with self._lock:
            if self._emptiest is None:
                count = torch.cuda.device_count()
                able = [i for i in range(count) if count == 1 or missing_kernels(i) is None] or [0]
                # To ask a GPU for its memory costs some of it: the only one is not asked.
                free = [_free(i) for i in able] if len(able) > 1 else [0]
                self._emptiest = able[free.index(max(free))]
            return self._emptiest

    def preset(self, device: torch.device, *, keep: bool = True) -> MemoryPreset:
        """The preset decided for a CUDA device, else the one that its free memory allows now, which
        ``keep`` makes the decision. Raises NotEnoughMemoryError where none fits."""
        with self._lock:
            decided = self._presets.get(device) or choose(free_memory(device))
            if keep:
                self._presets[device] = decided
            return decided

    def step_down(self, device: torch.device) -> MemoryPreset | None:
        """From now on the next tighter preset, because memory ran out; None after the tightest."""
        with self._lock:
            if device not in self._presets:
                return None
            narrower = tighter(self._presets[device])
            if narrower is None:
                return None
            self._presets[device] = narrower
        for listener in self.when_tighter:
            listener(device)
        return narrower

    def forget(self) -> None:
        """Decide everything anew when it is next asked for."""
        with self._lock:
            self._emptiest = None
            self._presets.clear()


ROOM = Room()
"""The decisions of this process."""


def memory_preset(
    settings: NetworkSettings, device: torch.device, *, decide: bool = True
) -> MemoryPreset:
    """The memory preset of the settings, or the one that the device's free memory allows.

    decide: keep to it from now on, because networks are about to fill that memory. Raises
    NotEnoughMemoryError where none fits.
    """
    if device.type != "cuda":
        return HOST
    if settings.memory != "auto":
        return choose(0, settings.memory)
    return ROOM.preset(device, keep=decide)


@contextmanager
def placed(module: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """Have ``module`` on ``device`` within the block, and where it was before after the block.

    The original tensors are kept meanwhile, so that moving back copies nothing. A change of
    precision within the block stays. From pinned memory the copies run beside the processor.
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
                        copy = tensor.detach().to(device, non_blocking=True)
                        if isinstance(tensor, torch.nn.Parameter):
                            copy = torch.nn.Parameter(copy, requires_grad=False)
                        moved[id(tensor)] = copy
                    home.append((held, name, tensor))
                    held[name] = moved[id(tensor)]
        yield
    finally:
        for held, name, tensor in home:
            dtype = held[name].dtype
            if tensor.dtype != dtype:
                tensor.data = tensor.data.to(dtype)
            held[name] = tensor


def change_precision(module: torch.nn.Module, dtype: torch.dtype) -> None:
    """Let all weights of a module, which share one precision, have another one.

    Where that fails, because memory runs out midway, they have the old one again and are on the
    CPU: weights of two precisions do not compute, and there may be no room to undo it in place.
    """
    before = next(p.dtype for p in module.parameters() if p.is_floating_point())
    # Weights must outlast the inference mode in which they are found to be too narrow.
    with torch.inference_mode(False):
        try:
            torch.nn.Module.to(module, dtype)  # not diffusers' own, which warns for nothing
        except Exception:
            torch.nn.Module.to(module, "cpu", before)
            raise


def move(module: torch.nn.Module, home: torch.device, used_on: torch.device) -> None:
    """Let ``module`` wait on ``home`` between uses on ``used_on``.

    On the CPU beside a CUDA device its tensors are pinned: the device then reads them without a
    copy in between. Where the system does not allow that, they wait unpinned.
    """
    module.to(home)
    if (home.type, used_on.type) != ("cpu", "cuda"):
        return
    try:
        for tensor in (*module.parameters(), *module.buffers()):
            if not tensor.is_pinned():
                tensor.data = tensor.data.pin_memory()
    except RuntimeError:
        return
