"""From a released file to a network on a device, by way of one conversion to safetensors."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vmem.progress import CancelToken, OnProgress, Progress, silent
from vmem.weights import mapped
from vmem.weights.advice import CheckpointError, cannot_write, damaged, local_variable, no_room
from vmem.weights.mapped import MappedState
from vmem.weights.pickled import read_pickle

if TYPE_CHECKING:
    import torch
    from torch import Tensor

log = logging.getLogger(__name__)

IDENTITY = "vmem.source"
KeyMap = Callable[[str], str | None]
"""The network's name for a file's key; None leaves the tensor out. A named function, no lambda."""

PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head")


def without_module(key: str) -> str:
    """VMem's keys were saved from wrappers: every occurrence of ``module.`` goes."""
    return key.replace("module.", "")


def cache_folder() -> Path:
    """Our own cache, beside the hub's: VMEM_CACHE, or ~/.cache/vmem-viewer."""
    named = local_variable("VMEM_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "vmem-viewer"


def read_state(
    path: Path | str, key_map: KeyMap | None = None
) -> tuple[Mapping[str, Tensor], dict[str, str]]:
    """A checkpoint's tensors by name, and what it says of itself as strings.

    safetensors files are mapped (`MappedState` where no ``key_map`` is given); torch's own are read
    with ``weights_only=True``, the state itself or under "model" or "state_dict". The strings are
    the safetensors metadata, or "args.model" of a training script's settings. What a file is, is
    read from its first bytes, not from its name. Raises CheckpointError.
    """
    path = Path(path)
    again = _again(path)
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}", again, kind="missing")
    try:
        kind = _kind(path, again)
        if kind == "pickle":
            state, meta = read_pickle(path, again)
        else:
            state = MappedState(path, again)
            meta = {key: text for key, text in state.metadata.items() if key != mapped.ALIASES}
    except OSError as error:
        raise CheckpointError(f"cannot read {path} ({error.strerror or error})", again) from error
    return (state if key_map is None else _renamed(state, key_map, path)), meta


def _again(path: Path) -> str:
    parts = path.parts
    if "snapshots" in parts:
        # The hub's cache believes that the file is whole until it is removed.
        return f"remove it (`rm {path.resolve()} {path}`) and run `python -m vmem weights download`"
    return "get the file again; `python -m vmem weights status` shows where it comes from"


def _kind(path: Path, again: str) -> str:
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        raise damaged(path, "it is empty", again)
    if start.lstrip().lower().startswith(PAGES):
        raise CheckpointError(
            f"{path} is a web page, not weights",
            f"a login or error page was saved in its place; {again}",
        )
    if start.startswith(b"version https://git-lfs"):
        raise CheckpointError(
            f"{path} is only git's pointer to the weights", "run `git lfs pull` in its folder"
        )
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return "pickle"
    if start[8:9] == b"{" or path.suffix == ".safetensors":
        return "safetensors"
    raise CheckpointError(f"{path} is neither a safetensors nor a torch file", again)


def _renamed(state: Mapping[str, Tensor], key_map: KeyMap, path: Path) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    for key, tensor in state.items():
        name = key_map(key)
        if name in renamed:
            raise CheckpointError(f"{path} has {name} under two names, {key} being one of them")
        if name is not None:
            renamed[name] = tensor
    return renamed


def as_safetensors(
    path: Path | str,
    key_map: KeyMap | None = None,
    *,
    on_progress: OnProgress = silent,
    cancel: CancelToken | None = None,
) -> Path:
    """A safetensors file of the same tensors in our own cache, converted on first use.

    It names its source (size, time of change, revision in the hub's cache, key map) and is made
    again when that differs. It is written to another name and renamed: a failure, a cancel or a
    full disk leaves nothing.
    A safetensors file without a key map is returned as it is. Raises CheckpointError, Cancelled.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}", _again(path), kind="missing")
    if key_map is None and _kind(path, _again(path)) == "safetensors":
        return path
    name, identity = _identity(path, key_map)
    folder = cache_folder() / "weights"
    goal = folder / name
    if _is_from(goal, identity):
        return goal
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder / f".{name}.lock"):
            if not _is_from(goal, identity):
                _convert(path, key_map, identity, goal, on_progress, cancel)
    except OSError as error:
        raise cannot_write(folder, error, "VMEM_CACHE") from error
    return goal


def _alone(path: Path):
    from filelock import FileLock

    return FileLock(path)


def converted(path: Path) -> list[Path]:
    """The conversions of a file that are in our cache, of whatever age."""
    label = _label(path)[0]
    return sorted((cache_folder() / "weights").glob(f"{_stem(path, label)}*.safetensors"))


def _label(path: Path) -> tuple[str, str]:
    """What the file is called whatever its version, and the version: the hub cache's commit."""
    parts = path.absolute().parts
    if "snapshots" in parts:
        at = len(parts) - 1 - parts[::-1].index("snapshots")
        return "/".join((parts[at - 1], *parts[at + 2 :])), parts[at + 1]
    return str(path.resolve()), ""


def _stem(path: Path, label: str) -> str:
    return f"{path.stem}-{hashlib.sha256(label.encode()).hexdigest()[:12]}"


def _identity(path: Path, key_map: KeyMap | None) -> tuple[str, str]:
    label, revision = _label(path)
    keys = "" if key_map is None else f"{key_map.__module__}.{key_map.__qualname__}"
    stat = path.stat()
    identity = {
        "file": label,
        "revision": revision,
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "keys": keys,
    }
    suffix = f"-{hashlib.sha256(keys.encode()).hexdigest()[:6]}" if keys else ""
    return f"{_stem(path, label)}{suffix}.safetensors", json.dumps(identity, sort_keys=True)


def _is_from(goal: Path, identity: str) -> bool:
    if not goal.is_file():
        return False
    try:
        return MappedState(goal).metadata.get(IDENTITY) == identity
    except CheckpointError:
        return False


def _convert(
    path: Path,
    key_map: KeyMap | None,
    identity: str,
    goal: Path,
    on_progress: OnProgress,
    cancel: CancelToken | None,
) -> None:
    state, meta = read_state(path, key_map)
    meta[IDENTITY] = identity
    meta[mapped.PRECISION] = mapped.precision_of(state)
    size = mapped.plan(state, meta)[2]
    aside = goal.with_name(f".{goal.name}.part")
    aside.unlink(missing_ok=True)  # we hold the lock: it is what a killed process left
    if shutil.disk_usage(goal.parent).free < size:
        raise no_room(goal.parent, size, "VMEM_CACHE")
    try:
        with aside.open("wb") as file:
            stage = f"converting {path.name}"
            mapped.write(file, state, meta, stage=stage, on_progress=on_progress, cancel=cancel)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, goal)
    finally:
        aside.unlink(missing_ok=True)


def load_strict(
    module: torch.nn.Module,
    state: Mapping[str, Tensor],
    *,
    what: str,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    on_progress: OnProgress = silent,
    cancel: CancelToken | None = None,
) -> None:
    """Put a checkpoint's tensors into a module: all of its own, every shape, finite numbers.

    Keys that are not the module's are left out with a warning, because a later version of a
    released file may hold more, unless they are most of the file: then it is another network's.

    Build the module under ``torch.device("meta")`` and give a `MappedState`: then tensors are cast
    to ``dtype`` (None: the module's own) and moved to ``device`` (None: the CPU) one at a time, and
    the memory of what has been copied is freed. Without a cast on the CPU the weights stay mapped.
    Names that are one parameter in the module stay one, and one of them in the file is enough.
    ``what`` names the network in messages. The module changes only if all is well. Raises
    CheckpointError, Cancelled; ValueError for a module whose buffers are in no checkpoint and were
    left on meta.
    """
    import torch

    slots = module.state_dict(keep_vars=True)
    _check_names(slots, state, what)
    buffers = module.named_buffers()
    if unmade := [name for name, held in buffers if held.is_meta and name not in slots]:
        raise ValueError(f"{what}: no checkpoint holds the buffers {unmade[:3]}; make them real")
    firsts = _firsts(slots, state)
    made: dict[int, Tensor] = {}
    ready: dict[str, Tensor] = {}
    target = torch.device("cpu" if device is None else device)
    for name, slot in slots.items():
        if cancel is not None:
            cancel.check()
        first = firsts[id(slot)]
        if name in state and name != first:
            _same_values(state, first, name, what)
        if id(slot) in made:
            ready[name] = made[id(slot)]
            continue
        source = state[first]
        wanted = (dtype or slot.dtype) if slot.is_floating_point() else slot.dtype
        tensor = source.detach().to(device=target, dtype=wanted)
        _finite(tensor, source, first, what)
        if isinstance(state, MappedState) and tensor.data_ptr() != source.data_ptr():
            state.release(source)
        if isinstance(slot, torch.nn.Parameter):
            tensor = torch.nn.Parameter(tensor, requires_grad=slot.requires_grad)
        made[id(slot)] = ready[name] = tensor
        on_progress(Progress(f"loading {what}", len(made), len(firsts)))
    module.load_state_dict(ready, strict=True, assign=True)
    module.to(target)


def _firsts(slots: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[int, str]:
    """The first name in the file of every tensor of the module, by the tensor's identity."""
    return {id(slot): name for name, slot in reversed(list(slots.items())) if name in state}


def _check_names(slots: Mapping[str, Tensor], state: Mapping[str, Tensor], what: str) -> None:
    there = _firsts(slots, state)
    missing = [name for name, slot in slots.items() if id(slot) not in there]
    extra = [name for name in state if name not in slots]
    shapes = [
        f"{name} is {list(state[name].shape)} where {list(slot.shape)} is expected"
        for name, slot in slots.items()
        if name in state and state[name].shape != slot.shape
    ]
    if not missing and not shapes and 2 * len(extra) <= len(state):
        if extra:
            log.warning(
                "%d of %d keys are not %s's own and are left out: %s",
                len(extra),
                len(state),
                what,
                _first_few(extra),
            )
        return
    found = [
        text
        for text, names in (
            ("{} of its keys are missing: {}", missing),
            ("{} keys are not its own: {}", extra),
            ("{} have another shape: {}", shapes),
        )
        if names
        for text in [text.format(len(names), _first_few(names))]
    ]
    raise CheckpointError(
        f"these are not the weights of {what} ({len(state)} keys, where {len(slots)} are "
        f"expected): {'; '.join(found)}",
        "it is another network's file or another version; `python -m vmem weights status` "
        "shows which files belong where",
    )


def _first_few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if names[3:] else "")


def _finite(tensor: Tensor, source: Tensor, name: str, what: str) -> None:
    import torch

    if not tensor.numel() or not tensor.is_floating_point():
        return
    if all(bool(torch.isfinite(end)) for end in torch.aminmax(tensor.detach())):
        return
    if all(bool(torch.isfinite(end)) for end in torch.aminmax(source.detach())):
        kind = str(tensor.dtype).removeprefix("torch.")
        raise CheckpointError(
            f"{name} of {what} has numbers too large for {kind}", "use bfloat16 or float32"
        )
    raise damaged(
        f"the file of {what}",
        f"{name} holds NaN or infinite numbers",
        "get it again; `python -m vmem weights status` shows where it comes from",
    )


def _same_values(state: Mapping[str, Tensor], first: str, name: str, what: str) -> None:
    import torch

    one, other = state[first], state[name]
    if one.data_ptr() != other.data_ptr() and not torch.equal(one, other):
        raise CheckpointError(
            f"{first} and {name} are one tensor in {what} but differ in the file",
            "it is another version's file",
        )
