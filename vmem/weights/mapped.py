"""The safetensors format: written one tensor at a time, read through a memory map.

The safetensors package reads it as well; ours can let go of a tensor's pages once it is copied, so
that casting a file never holds it twice, and writes without holding the file's bytes at all. One
tensor under several names is stored once; the other names go into the file's metadata.
"""

from __future__ import annotations

import json
import math
import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from vmem.progress import CancelToken, OnProgress, Progress, silent
from vmem.weights.advice import CheckpointError, damaged, gigabytes

if TYPE_CHECKING:
    from torch import Tensor

ALIASES = "vmem.aliases"
SIZES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
MAX_HEADER = 100_000_000


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies: ``begin`` to ``end`` are bytes from the start of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """What a file says of itself: its tensors by name, and its metadata."""

    entries: dict[str, Entry]
    metadata: dict[str, str]


def read_header(path: Path, again: str) -> Header:
    """Read and check a file's header, its length against the file's included.

    Raises CheckpointError; ``again`` is its advice on getting a whole file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= MAX_HEADER:
            raise damaged(path, "it has no safetensors header", again)
        if 8 + length > size:
            raise damaged(path, f"it ends within its header, at {size} bytes", again)
        text = file.read(length)
    base = 8 + length
    try:
        table = json.loads(text)
        metadata = table.pop("__metadata__", {})
        entries = {name: _entry(row, base) for name, row in table.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path, f"its header cannot be read: {error}", again) from error
    needed = max((entry.end for entry in entries.values()), default=base)
    if needed > size:
        raise damaged(path, f"{gigabytes(size)} of {gigabytes(needed)} are there", again)
    return Header(entries, {str(key): str(value) for key, value in metadata.items()})


def _entry(row: dict, base: int) -> Entry:
    begin, end = row["data_offsets"]
    shape = tuple(int(extent) for extent in row["shape"])
    if row["dtype"] not in SIZES:
        raise ValueError(f"numbers of kind {row['dtype']}")
    if min((*shape, begin)) < 0 or end - begin != SIZES[row["dtype"]] * math.prod(shape):
        raise ValueError(f"shape {shape} does not take {end - begin} bytes")
    return Entry(row["dtype"], shape, base + begin, base + end)


class MappedState(Mapping[str, "Tensor"]):
    """Tensors by name, each a view of the mapped file: nothing is read before it is used.

    Tensors may be written to; the file does not change. ``metadata`` holds the file's own strings.
    """

    def __init__(self, path: Path, again: str = "get the file again") -> None:
        header = read_header(path, again)
        self.path = path
        self.metadata = header.metadata
        self._entries = header.entries
        try:
            aliases = json.loads(header.metadata.get(ALIASES, "{}"))
            self._entries |= {name: self._entries[first] for name, first in aliases.items()}
        except (ValueError, KeyError, AttributeError) as error:
            raise damaged(path, f"its table of aliases cannot be read: {error}", again) from error
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, name: str) -> Tensor:
        import torch

        entry = self._entries[name]
        dtype = _dtypes()[entry.dtype]
        count = math.prod(entry.shape)
        if count == 0:
            return torch.empty(entry.shape, dtype=dtype)
        if entry.begin % SIZES[entry.dtype]:
            # Written by others without alignment: torch would read it slowly, or not at all.
            raw = bytearray(self._map[entry.begin : entry.end])
            return torch.frombuffer(raw, dtype=dtype).reshape(entry.shape)
        flat = torch.frombuffer(self._map, dtype=dtype, count=count, offset=entry.begin)
        return flat.reshape(entry.shape)

    def release(self, name: str) -> None:
        """Let go of the memory that a tensor's pages take; what was written to it is lost.

        For one who has copied the tensor. Its neighbours on shared pages keep theirs.
        """
        if not hasattr(mmap, "MADV_DONTNEED"):
            return
        entry = self._entries[name]
        first = -(-entry.begin // mmap.PAGESIZE) * mmap.PAGESIZE
        length = entry.end // mmap.PAGESIZE * mmap.PAGESIZE - first
        if length > 0:
            self._map.madvise(mmap.MADV_DONTNEED, first, length)


def _dtypes() -> dict:
    import torch

    names = {
        "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
        "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
        "U8": torch.uint8, "BOOL": torch.bool,
    }  # fmt: skip
    assert names.keys() == SIZES.keys()
    return names


def aliases_of(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Names whose tensor is, memory and shape, that of an earlier name: {name: earlier name}."""
    seen: dict[tuple, str] = {}
    found = {}
    for name, tensor in state.items():
        place = (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        if tensor.numel() and (first := seen.setdefault(place, name)) != name:
            found[name] = first
    return found


def plan(state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> tuple[bytes, list[str], int]:
    """The header's bytes, the names in the order they are to be written, the bytes of a whole file.

    Wider numbers come first, so that everything stays aligned. Raises CheckpointError.
    """
    kinds = {dtype: name for name, dtype in _dtypes().items()}
    for name, tensor in state.items():
        if tensor.dtype not in kinds:
            raise CheckpointError(
                f"{name} holds {str(tensor.dtype).removeprefix('torch.')} numbers",
                "weights of this kind cannot be converted; get the released file",
            )
    aliases = aliases_of(state)
    own = [name for name in state if name not in aliases]
    own.sort(key=lambda name: -SIZES[kinds[state[name].dtype]])
    strings = dict(metadata) | ({ALIASES: json.dumps(aliases)} if aliases else {})
    table: dict[str, object] = {"__metadata__": strings}
    end = 0
    for name in own:
        tensor = state[name]
        begin, end = end, end + tensor.numel() * tensor.element_size()
        table[name] = {
            "dtype": kinds[tensor.dtype],
            "shape": list(tensor.shape),
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
    """Write a state; cancel is heard between tensors. Raises OSError, Cancelled."""
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
        done += flat.numel() * flat.element_size()
        on_progress(Progress(stage, done, total))
