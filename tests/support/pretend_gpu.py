"""GPUs that are not there: tensors that say ``cuda:0`` and compute on the CPU.

Within ``pretend_gpus`` torch has NVIDIA GPUs: their tensors take counted memory, which can run out,
they do not mix with those of another device, and they reach numpy only by way of the CPU. What a
real GPU does otherwise stays unproven: its kernels, their rounding, workspaces, streams and time.
In ``torch.tensor`` and ``Tensor.cuda`` a GPU has to be named with its number, as "cuda:0".
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from tests.support.pretend_tensor import CPU, PretendGpu, PretendTensor, computed

GIB = 2**30


class _Machine(TorchDispatchMode):
    """Sends what is made on or brought to a pretended GPU there; pins memory."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here: torch need not ask at every operation

    def __init__(self, gpus: Sequence[PretendGpu]) -> None:
        super().__init__()
        self._gpus = {gpu.device: gpu for gpu in gpus}
        # A weak reference keeps an address from being used again, without keeping the memory.
        self._pinned: dict[int, StorageWeakRef] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Any operation of this thread."""
        name = func._schema.name
        if name == "aten::is_pinned":
            kept = self._pinned.get(_address(args[0]))
            return kept is not None and not kept.expired()
        if name in ("aten::pin_memory", "aten::_pin_memory"):
            if args[0].device != CPU:
                raise RuntimeError(f"cannot pin '{args[0].type()}': only dense CPU tensors can be")
            copy = args[0].clone()
            self._pinned[_address(copy)] = StorageWeakRef(copy.untyped_storage())
            return copy
        if name == "aten::_has_compatible_shallow_copy_type":
            return isinstance(args[0], PretendTensor) == isinstance(args[1], PretendTensor)
        if name == "aten::to":  # whole only in inference mode: elsewhere its parts come
            with self:
                return func.decompose(*args, **(kwargs or {}))
        return computed(func, args, kwargs or {}, self._gpus)


def _address(tensor: torch.Tensor) -> int:
    return 0 if isinstance(tensor, PretendTensor) else tensor.untyped_storage()._cdata


@contextmanager
def pretend_gpus(
    capability: tuple[int, int] = (8, 9),
    free: int = 23 * GIB,
    total: int = 24 * GIB,
    count: int = 1,
) -> Iterator[tuple[PretendGpu, ...]]:
    """``count`` GPUs of that compute capability and those bytes of memory, for this thread.

    Skips the test where torch has GPUs, or keeps its guards where they cannot be replaced.
    """
    if torch.cuda.is_available():
        pytest.skip("torch has a GPU here: nothing needs to be pretended")
    gpus = tuple(PretendGpu(index, capability, free, total) for index in range(count))

    def which(device: Any = None) -> PretendGpu:
        return (
            gpus[(device if isinstance(device, int) else torch.device(device).index) or 0]
            if (device is not None)
            else gpus[0]
        )

    def empty_cache() -> None:
        for gpu in gpus:
            gpu.reserved = gpu.allocated

    def reset_peak(device: Any = None) -> None:
        which(device).peak = which(device).allocated

    said = {
        "is_available": lambda: True,
        "device_count": lambda: count,
        "current_device": lambda: 0,
        "get_device_capability": lambda device=None: which(device).capability,
        "get_device_name": lambda device=None: "a pretended GPU",
        "get_arch_list": lambda: ["sm_70", "sm_75", "sm_80", "sm_86", "sm_90"],
        "mem_get_info": lambda device=None: (
            max(which(device).free - which(device).reserved, 0),
            which(device).total,
        ),
        "memory_allocated": lambda device=None: which(device).allocated,
        "memory_reserved": lambda device=None: which(device).reserved,
        "max_memory_allocated": lambda device=None: which(device).peak,
        "reset_peak_memory_stats": reset_peak,
        "empty_cache": empty_cache,
        "synchronize": lambda device=None: None,
        "_lazy_init": lambda: None,
    }
    lift, tf32 = torch._C._only_lift_cpu_tensors(), torch.backends.cuda.matmul.allow_tf32
    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    with pytest.MonkeyPatch.context() as patched, _no_guards():
        for name, answer in said.items():
            patched.setattr(torch.cuda, name, answer)
        patched.setattr(torch.version, "cuda", "13.0")
        patched.setattr(torch.Tensor, "data", property(_DATA.__get__, _set_data))
        patched.setattr(torch.Tensor, "to", _to)
        patched.setattr(torch.Tensor, "new_tensor", _new_tensor)
        torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device="cuda:0") is a copy
        # Modules exchange their parameters: tensors of subclasses cannot change in place.
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        try:
            with _Machine(gpus):
                yield gpus
        finally:
            torch._C._set_only_lift_cpu_tensors(lift)
            torch.__future__.set_overwrite_module_params_on_conversion(overwrite)
            torch.backends.cuda.matmul.allow_tf32 = tf32


_DATA: Any = torch.Tensor.data
_TO: Any = torch.Tensor.to
_NEW_TENSOR: Any = torch.Tensor.new_tensor


def _to(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """``tensor.to``; which GPU "cuda" is, torch would ask the driver."""

    def numbered(value: Any) -> Any:
        return "cuda:0" if str(value) == "cuda" else value

    args = tuple(numbered(v) if isinstance(v, str | torch.device) else v for v in args)
    return _TO(tensor, *args, **{k: numbered(v) if k == "device" else v for k, v in kwargs.items()})


def _new_tensor(tensor: torch.Tensor, data: Any, **kwargs: Any) -> torch.Tensor:
    """``tensor.new_tensor``, which forgets the number of the GPU."""
    return _NEW_TENSOR(tensor, data, **{"device": tensor.device} | kwargs)


def _set_data(tensor: torch.Tensor, value: torch.Tensor) -> None:
    """``tensor.data = value``, which torch refuses between a plain tensor and a pretended one."""
    if isinstance(tensor, PretendTensor) or isinstance(value, PretendTensor):
        if isinstance(tensor, torch.nn.Parameter):
            value = torch.nn.Parameter(value, requires_grad=tensor.requires_grad)
        torch.utils.swap_tensors(tensor, value.clone() if value is tensor else value)
    else:
        _DATA.__set__(tensor, value)


@contextmanager
def _no_guards() -> Iterator[None]:
    """Without CUDA, torch has nothing that makes a GPU current: let the CPU's do nothing for it.

    torch does the same for its own fake tensors, but only in builds with CUDA.
    """
    libraries = Path(torch.__file__).parent.joinpath("lib").glob("libc10.*")
    try:
        library = ctypes.CDLL(str(next(libraries)))
        slots = (ctypes.c_void_p * 2).in_dll(library, "_ZN3c104impl26device_guard_impl_registryE")
    except (StopIteration, OSError, ValueError):
        pytest.skip("this build of torch does not let a GPU be pretended")
    cpu, cuda = 0, 1  # places of these device types
    before = slots[cuda]
    slots[cuda] = slots[cpu]
    try:
        yield
    finally:
        slots[cuda] = before
