"""Half precision as GPUs compute it, on a CPU, whose own kernels for it take many times as long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional


@contextmanager
def tensor_cores() -> Iterator[None]:
    """Linear layers and convolutions of half-precision numbers are summed in float32 and rounded
    once, as tensor cores and torch's own kernels do."""

    def linear(module: nn.Linear, x: Tensor) -> Tensor:
        return _rounded_once(functional.linear, x, module.weight, module.bias)

    def convolved(module: nn.Conv2d, x: Tensor) -> Tensor:
        return _rounded_once(module._conv_forward, x, module.weight, module.bias)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(nn.Linear, "forward", linear)
        patched.setattr(nn.Conv2d, "forward", convolved)
        yield


def _rounded_once(
    product: Callable[..., Tensor], x: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    if weight.dtype not in (torch.float16, torch.bfloat16):
        return product(x, weight, bias)
    return product(x.float(), weight.float(), None if bias is None else bias.float()).to(x.dtype)
