"""Bytes of living tensors, counted on the meta device as a CUDA GPU would allocate them.

Nothing is computed: a network of full size runs on the meta device, where tensors have shapes and
lifetimes but no numbers. Attention and convolutions, which allocate otherwise there than CUDA's
kernels do, are imitated. Not counted: what libraries allocate for themselves, and gaps in torch's
cache.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten


class LiveTensors(TorchDispatchMode):
    """Counts the tensors that are made within the block, as long as they live."""

    def __init__(self, channels_last: bool) -> None:
        super().__init__()
        self.now = 0
        """Bytes that live."""
        self.peak = 0
        """Most bytes that have lived at once."""
        self._channels_last = channels_last

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is aten._local_scalar_dense.default:
            return 1  # to checks of numbers: all are finite, equal, and within their limits
        if func is aten.convolution.default and self._channels_last and args[0].dim() == 4:
            return self._convolution(*args)
        if _is_composite(func):
            with self:
                return func.decompose(*args, **kwargs)
        if (
            func is aten.addmm.default
        ):  # this and layer norm: torch says the same in ten times as long
            return self._add(args[1].new_empty(args[1].shape[0], args[2].shape[1]))
        if func is aten.native_layer_norm.default:
            return self._layer_norm(args[0])
        given = {id(t.untyped_storage()) for t in _tensors((args, kwargs))}
        result = func(*args, **kwargs)
        for tensor in _tensors(result):
            if id(tensor.untyped_storage()) not in given:  # else it is a view, or changed in place
                self._add(tensor)
        return result

    def _add(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._remove, size)
        return tensor

    def _remove(self, size: int) -> None:
        self.now -= size

    def _layer_norm(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        statistics = self._add(x.new_empty(*x.shape[:-1], 1, dtype=torch.float32))
        return self._add(x.new_empty(x.shape)), statistics, statistics

    def _convolution(self, x: Tensor, weight: Tensor, *options: Any) -> Tensor:
        """cuDNN's, between channels-last maps: others are copied first."""
        last = torch.channels_last
        if not x.is_contiguous(memory_format=last):
            x = self._add(x.contiguous(memory_format=last))
        made = aten.convolution.default(x, weight, *options)
        return self._add(made.contiguous(memory_format=last))


class FusedAttention(TorchFunctionMode):
    """Attention without its scores: the result, and a float32 number a query."""

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is not torch.nn.functional.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        q, _, v = args[:3]
        rows, heads, length, _ = q.shape
        _of_each_query = q.new_empty(rows, heads, length, dtype=torch.float32)
        # A token's heads lie together in memory, as the projection that follows wants them.
        return q.new_empty(rows, length, heads, v.shape[-1]).transpose(1, 2)


@contextmanager
def counting(*, channels_last: bool = False) -> Iterator[LiveTensors]:
    """Counts within the block, where tensors are made on the meta device and without gradients.

    channels_last: maps are brought to that layout for convolutions, because the weights have it.
    """
    with torch.no_grad(), torch.device("meta"), FusedAttention(), LiveTensors(channels_last) as it:
        yield it


def weights(module: torch.nn.Module) -> int:
    """Bytes of a network's parameters and buffers, each once."""
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))


def _is_composite(func: Any) -> bool:
    """Whether an operation consists of others on every device; in inference mode such arrive whole.

    Those that only the meta device takes apart do not count: on CUDA they are kernels.
    """
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    return key not in func.py_kernels and func.has_kernel_for_dispatch_key(key)


def _tensors(values: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
