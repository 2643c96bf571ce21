"""Tensors of GPUs that are not there: they say ``cuda:0`` and compute on the CPU.

`tests.support.pretend_gpu` has the machine that makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakValueDictionary

import torch

CPU = torch.device("cpu")
_ANY_DEVICE = {"aten::_to_copy", "aten::copy_"}
_INDEXING = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}


class PretendGpu:
    """One GPU: what torch.cuda says of it, and the bytes that its living tensors hold."""

    def __init__(self, index: int, capability: tuple[int, int], free: int, total: int) -> None:
        self.device = torch.device("cuda", index)
        self.capability = capability
        self.free = free
        """Bytes that this process may hold. Less than it holds now: every allocation fails."""
        self.total = total
        self.allocated = 0
        """Bytes of living tensors, by storage: views count once."""
        self.peak = 0
        self.reserved = 0
        """Bytes that torch's cache has taken and not yet given back."""
        self._blocks: WeakValueDictionary[int, _Block] = WeakValueDictionary()
        self._failure: tuple[int, Callable[[], BaseException]] | None = None

    def fail(self, error: Callable[[], BaseException], after: int = 0) -> None:
        """Raise what ``error`` makes once, at the next allocation after ``after`` others.

        Whoever held the error itself would hold the tensors in its traceback.
        """
        self._failure = after, error

    def fail_never(self) -> None:
        """Forget a failure that has not come."""
        self._failure = None

    def block(self, inner: torch.Tensor) -> _Block:
        """The memory that a tensor's storage takes here, allocated when it is first seen."""
        storage = inner.untyped_storage()
        block = self._blocks.get(storage._cdata)
        if block is None:
            self._allocate(storage.nbytes())
            block = self._blocks[storage._cdata] = _Block(self, storage)
        return block

    def _allocate(self, nbytes: int) -> None:
        if self._failure is not None:
            left, error = self._failure
            self._failure = (left - 1, error) if left else None
            if not left:
                raise error()
        if self.allocated + nbytes > self.free:
            raise torch.OutOfMemoryError(
                f"CUDA out of memory. Tried to allocate {nbytes} bytes. GPU {self.device.index} "
                f"has a total capacity of {self.total} bytes of which "
                f"{self.free - self.allocated} are free"
            )
        self.allocated += nbytes
        self.peak = max(self.peak, self.allocated)
        self.reserved = max(self.reserved, self.allocated)


class _Block:
    """A storage in a GPU's memory, counted until nothing refers to it."""

    def __init__(self, gpu: PretendGpu, storage: torch.UntypedStorage) -> None:
        self._gpu = gpu
        self._nbytes = storage.nbytes()
        # It is kept, so that no other storage gets its address while the GPU knows it by that.
        self._storage = storage

    def __del__(self) -> None:
        self._gpu.allocated -= self._nbytes


class PretendTensor(torch.Tensor):
    """A tensor on a GPU that is not there; ``host`` is the CPU's tensor that it computes with."""

    host: torch.Tensor
    gpu: PretendGpu
    __torch_function__: Any = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: torch.Tensor, gpu: PretendGpu) -> PretendTensor:
        """Wrap a tensor of the CPU that nothing else refers to."""
        # A view in inference mode of a tensor from outside of it is none of that mode.
        with torch.inference_mode(inner.is_inference()):
            made = torch.Tensor._make_wrapper_subclass(
                cls,
                inner.size(),
                strides=inner.stride(),
                storage_offset=inner.storage_offset(),
                dtype=inner.dtype,
                layout=inner.layout,
                device=gpu.device,
            )
        made.host, made.gpu, made._block = inner, gpu, gpu.block(inner)
        return made

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """An operation outside of the thread that entered ``pretend_gpus``."""
        found = _collected([], (args, kwargs))
        gpus = {tensor.device: tensor.gpu for tensor in found if isinstance(tensor, cls)}
        return computed(func, args, kwargs or {}, gpus)

    def __repr__(self) -> str:  # type: ignore[override]
        return f"PretendTensor({self.host!r}, device='{self.device}')"

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(f"a tensor of {self.device} that is not there cannot be stored")

    def data_ptr(self) -> int:
        """Address of the CPU's tensor that computes."""
        return self.host.data_ptr()

    def numpy(self, *, force: bool = False) -> Any:
        """Refused, as CUDA does."""
        raise TypeError(
            f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy "
            "the tensor to host memory first."
        )

    def tolist(self) -> Any:
        """The numbers as lists, copied by way of the CPU."""
        return self.host.tolist()


def computed(
    func: Any, args: Sequence[Any], kwargs: dict[str, Any], gpus: dict[torch.device, PretendGpu]
) -> Any:
    """An operation by the CPU, on the device where its arguments are or where it is told to be."""
    known: dict[int, torch.Tensor] = {}  # tensors by the identity of those that compute
    indices = _collected([], args[1]) if func._schema.name in _INDEXING else []
    tensors: list[torch.Tensor] = _collected([], (args, kwargs) if kwargs else args)
    mine = [tensor for tensor in tensors if isinstance(tensor, PretendTensor)]
    asked = kwargs.get("device")
    if asked is not None and torch.device(asked).type == "cuda":
        wanted = torch.device("cuda", torch.device(asked).index or 0)
        if wanted not in gpus:
            raise RuntimeError(f"CUDA error: invalid device ordinal ({wanted})")
        kwargs = kwargs | {"device": CPU}
        gpu = gpus[wanted]
    elif not mine:
        return func(*args, **kwargs)
    else:
        gpu = mine[0].gpu if asked is None else None
    name = func._schema.name
    if name == "aten::copy_":
        gpu = args[0].gpu if isinstance(args[0], PretendTensor) else None
    if name not in _ANY_DEVICE and tensors and (len(mine) < len(tensors) or len(gpus) > 1):
        _refuse_mixed(name, tensors, indices)

    def inner(tensor: torch.Tensor) -> torch.Tensor:
        computes = tensor.host if isinstance(tensor, PretendTensor) else tensor
        known[id(computes)] = tensor
        return computes

    def outer(tensor: torch.Tensor) -> torch.Tensor:
        if gpu is None or id(tensor) in known:
            return known.get(id(tensor), tensor)
        return PretendTensor(tensor, gpu)

    result = func(*_mapped(inner, args), **_mapped(inner, kwargs))
    if func._schema.is_mutable and any(tensor.shape != tensor.host.shape for tensor in mine):
        raise NotImplementedError(f"{name} changes the shape of a pretended GPU's tensor")
    return _mapped(outer, result)


def _mapped(change: Callable[[torch.Tensor], torch.Tensor], value: Any) -> Any:
    """``value`` with the tensors in its lists, tuples and dicts changed; torch's own is slow."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)([_mapped(change, part) for part in value])
    if isinstance(value, dict):
        return {key: _mapped(change, part) for key, part in value.items()}
    return value


def _collected(found: list[torch.Tensor], value: Any) -> list[torch.Tensor]:
    """``found``, with all tensors in ``value`` added."""

    def note(tensor: torch.Tensor) -> torch.Tensor:
        found.append(tensor)
        return tensor

    _mapped(note, value)
    return found


def _refuse_mixed(
    name: str, tensors: Sequence[torch.Tensor], indices: Sequence[torch.Tensor]
) -> None:
    """Raise what CUDA raises for tensors of two devices. Numbers of the CPU go with any, its
    indices with a GPU's tensor, which comes first."""
    free = {id(index) for index in indices} if tensors[0].is_cuda else set()
    devices = {
        str(tensor.device): None
        for tensor in tensors
        if not (tensor.device == CPU and (tensor.dim() == 0 or id(tensor) in free))
    }
    if len(devices) > 1:
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            f"{' and '.join(devices)}! (in {name})"
        )
