"""Torch's own files (.pth, .pt, .bin), read without running anything they contain.

A pickle is a program. torch's restricted reader (``weights_only=True``) runs none of it: it makes
tensors and plain containers and stops at every other name. Training settings in a released file are
other names; those of a short list are let through as `Inert`, objects that only keep what they are
given, so that no class of another package is ever looked up.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmem.weights.advice import CheckpointError, damaged

if TYPE_CHECKING:
    from torch import Tensor

NESTS = ("model", "state_dict")
INERT_ROOTS = {"argparse", "omegaconf", "pathlib", "typing", "numpy"}
INERT_NAMES = {"collections.defaultdict"} | {
    f"builtins.{name}" for name in ("bool", "dict", "float", "int", "list", "str", "tuple")
}


class Inert:
    """Stands for an object of a class we do not load; ``state`` is what the file gave it."""

    def __new__(cls, *given: object, **named: object) -> Inert:
        made = object.__new__(cls)
        made.state = given
        return made

    def __init__(self, *given: object, **named: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        self.state = state


def read_pickle(path: Path, again: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors by name, and what else is worth keeping as strings: "args.model" if it is there.

    The state may be the file itself or lie under "model" or "state_dict". Zip files are mapped, not
    read. Raises CheckpointError: damaged, refused (it asks to run something), or not weights.
    """
    whole = _load(path, again)
    if not isinstance(whole, dict):
        raise CheckpointError(
            f"{path} holds a {type(whole).__name__}, not weights by name",
            f"it is another file than it is called; {again}",
        )
    state = next((whole[nest] for nest in NESTS if isinstance(whole.get(nest), dict)), whole)
    tensors = {name: value for name, value in state.items() if _is_tensor(value)}
    if not tensors:
        held = ", ".join(map(str, list(state)[:5])) or "nothing"
        raise CheckpointError(
            f"{path} holds no weights (it has {held})",
            f"it is another file than it is called; {again}",
        )
    return tensors, _meta(whole)


def _is_tensor(value: object) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _load(path: Path, again: str) -> Any:
    import torch

    zipped = zipfile.is_zipfile(path)
    if not zipped and _starts(path, b"PK"):
        raise damaged(path, "its end is missing", again)
    try:
        stand_ins: list[Any] = [
            (Inert, name) for name in _asked_for(path, zipped) if _harmless(name)
        ]
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise _refuse(path, error, again) from error
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, AttributeError) as error:
        first = str(error).strip().splitlines()
        raise damaged(path, first[0][:160] if first else type(error).__name__, again) from error


def _starts(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _asked_for(path: Path, zipped: bool) -> list[str]:
    """Names beyond torch's own that the file refers to; none is looked up."""
    import torch

    return torch.serialization.get_unsafe_globals_in_checkpoint(str(path)) if zipped else []


def _harmless(name: str) -> bool:
    return name.split(".")[0] in INERT_ROOTS or name in INERT_NAMES


def _refuse(path: Path, error: pickle.UnpicklingError, again: str) -> CheckpointError:
    text = str(error)
    named = re.search(r"GLOBAL (\S+)", text)
    if named is None and not re.search("reduce|Can only|allowed|Unsupported (class|operand)", text):
        return damaged(path, "it is no complete pickle", again)
    what = named.group(1) if named else "objects of its own"
    return CheckpointError(
        f"{path} is more than weights: it wants {what}, and to give it that could run any code; "
        "the file was refused and nothing in it was run",
        f"do not load it elsewhere either unless you trust who made it; {again}",
        kind="refused",
    )


def _meta(whole: dict) -> dict[str, str]:
    model = _plain(whole.get("args"))
    if isinstance(model, dict):
        model = _plain(model.get("model"))
    return {"args.model": model} if isinstance(model, str) else {}


def _plain(value: object) -> object:
    """The dictionary or value inside a stand-in: argparse's attributes, OmegaConf's content."""
    if not isinstance(value, Inert):
        return value
    state = value.state
    if isinstance(state, dict):
        return state.get("_content", state.get("_val", state))
    return state
