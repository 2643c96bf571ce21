"""Half precision as GPUs compute it, on a CPU, whose own kernels for it take many times as long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
_PRODUCTS = {
    aten.addmm.default,
    aten.mm.default,
    aten.bmm.default,
    aten.baddbmm.default,
    aten.convolution.default,
}
HALVES = (torch.float16, torch.bfloat16)


class TensorCores(TorchDispatchMode):
    """Matrix products and convolutions of half-precision numbers are summed in float32 and rounded
    once, as tensor cores and torch's own kernels do."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _PRODUCTS or args[0].dtype not in HALVES:
            return func(*args, **kwargs)
        return func(*map(_widened, args), **kwargs).to(args[0].dtype)


def _widened(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in HALVES else value
