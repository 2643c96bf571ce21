"""Out of memory and lost devices: told apart from other errors, and turned into advice."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable
from typing import TypeVar

import torch

from vmem.devices.memory_presets import NotEnoughMemoryError
from vmem.errors import VMemError

Result = TypeVar("Result")

# cuBLAS and cuDNN allocate for themselves, and say so in their own words. cuBLAS also fails to
# make its handle where no memory is left for it.
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
    "HIPBLAS_STATUS_ALLOC_FAILED",
    "miopenStatusAllocFailed",
)
_LOST = (
    "unspecified launch failure",
    "illegal memory access",
    "device-side assert",
    "launch timed out",
    "device not ready",
    "uncorrectable ECC",
    "GPU is lost",
    "driver shutting down",
    "hardware exception",
    "an illegal instruction",
    "misaligned address",
    "CUDA error: unknown error",
)


class DeviceLostError(VMemError, RuntimeError):
    """The GPU answers this process no more; only a new process can use it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out; torch raises several kinds for that."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _OUT_OF_MEMORY)


def is_device_lost(error: BaseException) -> bool:
    """Whether an exception means that the GPU cannot be used any more by this process."""
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _LOST)


def free_unused(device: torch.device) -> None:
    """Return memory that torch caches to the device, for other programs and tensor sizes."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def with_advice(
    work: Callable[[], Result],
    device: Callable[[], torch.device],
    advice: Callable[[torch.device], str],
) -> Result:
    """What ``work`` returns. After out of memory, its tensors are freed, also in the device's
    cache, and NotEnoughMemoryError is raised with ``advice`` for that device, which
    is asked only then.

    device: where it ran. Raises DeviceLostError where the GPU answers no more, and what ``work``
    raises otherwise.
    """
    lost = ""
    try:
        return work()
    except VMemError:
        raise
    except Exception as error:
        if is_device_lost(error):
            lost = str(error).strip().splitlines()[0]
        elif not is_out_of_memory(error):
            raise
        else:
            # The functions that failed are gone, but their variables hang on the traceback.
            traceback.clear_frames(error.__traceback__)
    # Outside the handler: an error raised in it would keep the traceback, and so the tensors.
    if lost:
        raise DeviceLostError(
            f"the GPU stopped answering ({lost}): nothing of this step was stored, and the walk is "
            "kept. Export what you need, then restart the program; if it happens again, update the "
            "driver"
        )
    gc.collect()
    place = device()
    free_unused(place)
    raise NotEnoughMemoryError(advice(place))
