"""Where the tests marked ``gpu`` run, and what they have in common.

``VMEM_TEST_GPU=cpu python -m pytest -m gpu`` rehearses them without a GPU, all but those that
measure its memory. A test module uses them by ``pytestmark = on_gpu.needs_gpu`` and the fixture
``exact_float32``.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

DEVICE = os.environ.get("VMEM_TEST_GPU", "cuda")
MISSING = DEVICE != "cpu" and not torch.cuda.is_available()
needs_gpu = [pytest.mark.gpu, pytest.mark.skipif(MISSING, reason="no CUDA device")]
needs_cuda_memory = pytest.mark.skipif(DEVICE == "cpu", reason="measures memory of a GPU")


@pytest.fixture
def exact_float32(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """float32 means float32: TensorFloat-32, which picking a GPU allows, has ten bits."""
    monkeypatch.setattr("vmem.devices.devices.allow_tf32", lambda: None)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def on_device(*tensors: Tensor) -> list[Tensor]:
    """Copies on DEVICE."""
    return [tensor.to(DEVICE) for tensor in tensors]


def relative(got: Tensor, expected: Tensor) -> float:
    """Largest difference by the standard deviation of what is expected."""
    return float((got.cpu() - expected).abs().max() / expected.std())


def allocated() -> int:
    """Bytes of all tensors on the GPU, without the workspaces that cuBLAS keeps among them."""
    gc.collect()
    torch.cuda.synchronize()
    torch._C._cuda_clearCublasWorkspaces()
    return torch.cuda.memory_allocated()


def exhaust() -> list[Tensor]:
    """Take all memory that this process may have on the GPU, and let it have no more.

    Drop the result and call `allow_all` to end that.
    """
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-6)
    taken, size = [], 2**30
    while size >= 512:
        try:
            taken.append(torch.empty(size, dtype=torch.uint8, device=DEVICE))
        except torch.OutOfMemoryError:
            size //= 2
    return taken


def allow_all() -> None:
    """Let this process have all memory of the GPU again."""
    torch.cuda.set_per_process_memory_fraction(1.0)
