"""What CUT3R keeps with the last view of a step: a value for the network, arrays for a file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import NDArray
from torch import Tensor

from vmem.geometry.cut3r.network import State
from vmem.types import StateArrays

NAMES = frozenset(("tokens", "pose_memory", "dtype", "views", "seen", "stamp"))
"""Arrays that every state has; ``origin`` may be missing."""
DTYPES = {str(dtype): dtype for dtype in (torch.float32, torch.float16, torch.bfloat16)}


@dataclass(frozen=True, eq=False)
class KeptState:
    """The network's state at the end of a step, and what it belongs to."""

    state: State
    """On the CPU."""
    seen: int
    """Number of stored views that were shown to the network, those included that would have spoilt
    its state and were left out."""
    origin: Float64[np.ndarray, "4 4"] | None
    """c2w of the first view it took, which is the frame of its world points; None before
    that view."""
    stamp: str
    """Names the network's files, its precision and the size of the views it was shown. A state goes
    on only with a network of the same stamp."""

    def to_arrays(self) -> StateArrays:
        """Copies as arrays; numbers of 16 bits, which numpy lacks in part, as uint16 bits."""
        tokens, memory = self.state.tokens, self.state.memory
        arrays: dict[str, NDArray] = {
            "tokens": _bits(tokens),
            "pose_memory": _bits(memory),
            "dtype": _encoded(str(tokens.dtype)),
            "views": np.array(self.state.views, np.int64),
            "seen": np.array(self.seen, np.int64),
            "stamp": _encoded(self.stamp),
        }
        if self.origin is not None:
            arrays["origin"] = np.array(self.origin, np.float64)
        return arrays

    @staticmethod
    def from_arrays(arrays: StateArrays) -> KeptState | None:
        """The state that `to_arrays` wrote, bit for bit; None for arrays of another estimator."""
        if arrays.keys() - {"origin"} != NAMES:
            return None
        dtype = DTYPES.get(_decoded(arrays["dtype"]))
        if dtype is None:
            return None
        tokens, memory = (_tensor(arrays[name], dtype) for name in ("tokens", "pose_memory"))
        return KeptState(
            State(tokens, memory, int(arrays["views"])),
            int(arrays["seen"]),
            arrays.get("origin"),
            _decoded(arrays["stamp"]),
        )


def _bits(tensor: Tensor) -> NDArray:
    tensor = tensor.detach().cpu().contiguous()
    if tensor.element_size() == 2:
        return tensor.view(torch.int16).numpy().view(np.uint16).copy()
    return tensor.numpy().copy()


def _tensor(bits: NDArray, dtype: torch.dtype) -> Tensor:
    # A copy: torch warns of read-only arrays, and a file's may be.
    if bits.dtype == np.uint16:
        return torch.from_numpy(bits.view(np.int16).copy()).view(dtype)
    return torch.from_numpy(bits.copy())


def _encoded(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode("utf-8"), np.uint8).copy()


def _decoded(letters: NDArray) -> str:
    return letters.tobytes().decode("utf-8")
