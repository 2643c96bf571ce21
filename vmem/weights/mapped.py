"""safetensors files: read through a memory map, written one tensor at a time.

The safetensors package reads. It has no writer that could report progress, be cancelled between
tensors or store a tensor of several names once, so the few lines that write a file are here; the
other names of a tensor go into the file's metadata.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from vmem.progress import CancelToken, OnProgress, Progress, silent
from vmem.weights.advice import CheckpointError, damaged

if TYPE_CHECKING:
    from torch import Tensor

ALIASES = "vmem.aliases"
"""Key of the metadata under which a file of ours says {other name: name of the stored tensor}."""
LONGEST_HEADER = 100_000_000
"""Bytes; the format allows no longer header, so what claims one is another file."""
PRECISION = "vmem.precision"
"""Key of the metadata under which a file of ours says the precision of the released file."""
COPIED = 16 << 20
"""Bytes of copied tensors whose pages may stay in memory before the file is mapped afresh."""


class MappedState(Mapping[str, "Tensor"]):
    """Tensors by name, each a view of the mapped file: nothing is read before it is used.

    Tensors may be written to; the file does not change. Raises CheckpointError for a file that is
    not whole; ``again`` is its advice on getting another.
    """

    metadata: dict[str, str]
    """The file's own strings."""

    def __init__(self, path: Path | str, again: str = "get the file again") -> None:
        from safetensors import SafetensorError

        self.path = Path(path)
        self._copied = 0
        try:
            self._open()
            self.metadata = self._file.metadata() or {}
            self._stored = {name: name for name in self._file.keys()}  # noqa: SIM118  no mapping
            aliases = json.loads(self.metadata.get(ALIASES, "{}"))
            self._stored |= {name: self._stored[first] for name, first in aliases.items()}
        except (SafetensorError, ValueError, KeyError, AttributeError) as error:
            raise damaged(path, f"its header cannot be read: {error}", again) from error

    def _open(self) -> None:
        from safetensors import safe_open

        self._file = safe_open(self.path, framework="pt")

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, name: str) -> Tensor:
        return self._file.get_tensor(self._stored[name])

    def release(self, copied: Tensor) -> None:
        """Note that a tensor of this file was copied, so that its pages need not stay in memory.

        Now and then the file is mapped afresh: the old map, and with it every page that was read,
        goes with the last tensor that views it.
        """
        self._copied += copied.nbytes
        if self._copied > COPIED:
            self._copied = 0
            self._open()


def _kinds() -> dict:
    import torch

    return {
        torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
        torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
        torch.uint8: "U8", torch.bool: "BOOL",
    }  # fmt: skip


def _aliases_of(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Names whose tensor is, memory and shape, that of an earlier name: {name: earlier name}."""
    seen: dict[tuple, str] = {}
    found = {}
    for name, tensor in state.items():
        place = (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        if tensor.numel() and (first := seen.setdefault(place, name)) != name:
            found[name] = first
    return found


_FLOATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def precision_of(state: Mapping[str, Tensor]) -> str:
    """The precisions of a state's floating numbers, the commonest first: "float32, float16"."""
    counts: dict[str, int] = {}
    for tensor in state.values():
        if tensor.is_floating_point():
            name = str(tensor.dtype).removeprefix("torch.")
            counts[name] = counts.get(name, 0) + tensor.numel()
    return _commonest(counts)


def stored_precision(path: Path) -> str:
    """As `precision_of`, of a safetensors file: what it records of the released file, else what its
    header says. "" for any other file. Reads the header alone, with the standard library."""
    try:
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            header = json.loads(file.read(length)) if length <= LONGEST_HEADER else {}
        recorded = header.get("__metadata__", {}).get(PRECISION)
        counts: dict[str, int] = {}
        for name, entry in header.items():
            if name != "__metadata__" and entry["dtype"] in _FLOATS:
                kind = _FLOATS[entry["dtype"]]
                counts[kind] = counts.get(kind, 0) + math.prod(entry["shape"])
    except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError):
        return ""
    return recorded or _commonest(counts)


def _commonest(counts: Mapping[str, int]) -> str:
    return ", ".join(sorted(counts, key=lambda name: -counts[name]))


def plan(state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> tuple[bytes, list[str], int]:
    """The header's bytes, the names in the order they are to be written, the bytes of a whole file.

    Wider numbers come first, so that everything stays aligned. Raises CheckpointError.
    """
    kinds = _kinds()
    for name, tensor in state.items():
        if tensor.dtype not in kinds:
            raise CheckpointError(
                f"{name} holds {str(tensor.dtype).removeprefix('torch.')} numbers",
                "weights of this kind cannot be converted; get the released file",
            )
    aliases = _aliases_of(state)
    own = sorted(state.keys() - aliases.keys(), key=lambda name: (-state[name].itemsize, name))
    strings = dict(metadata) | ({ALIASES: json.dumps(aliases)} if aliases else {})
    table: dict[str, object] = {"__metadata__": strings}
    end = 0
    for name in own:
        begin, end = end, end + state[name].nbytes
        table[name] = {
            "dtype": kinds[state[name].dtype],
            "shape": list(state[name].shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(table).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text, own, 8 + len(text) + end


def write(
    file: BinaryIO,
    state: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    *,
    stage: str = "writing",
    on_progress: OnProgress = silent,
    cancel: CancelToken | None = None,
) -> None:
    """Write a state; a cancel is noticed between tensors. Raises OSError, Cancelled."""
    import torch

    header, names, total = plan(state, metadata)
    file.write(header)
    done = len(header)
    for name in names:
        if cancel is not None:
            cancel.check()
        flat = state[name].detach().contiguous().reshape(-1)
        if flat.numel():
            file.write(flat.view(torch.uint8).numpy().data)
        done += flat.nbytes
        on_progress(Progress(stage, done, total))
