"""Torch's own files (.pth, .pt, .bin), read without running anything they contain.

A pickle is a program. torch's restricted reader (``weights_only=True``) runs none of it: it makes
tensors and plain containers and stops at every other name. Training settings in a released file are
other names; those of a short list are let through as `Inert`, objects that only keep what they are
given, so that no class of another package is ever looked up.
"""

from __future__ import annotations

import collections
import pickle
import pickletools
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmem.weights.advice import CheckpointError, damaged

if TYPE_CHECKING:
    from torch import Tensor

NESTS = ("model", "state_dict")
"""Keys under which a file may hold its weights."""
OLD_FORMAT_PICKLES = 4
"""Pickles in front of the numbers in torch's format from before zip files."""
INERT = re.compile(
    r"(argparse|omegaconf|pathlib|typing|numpy)(\..*)?|collections\.defaultdict"
    r"|builtins\.(bool|dict|float|int|list|str|tuple)"
)
"""Names that are let through, each as an `Inert`."""


class Inert:
    """In place of an object of a class that is not loaded; ``state`` is what the file gave it."""

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
    import torch

    whole = _load(path, again)
    if not isinstance(whole, dict):
        raise CheckpointError(
            f"{path} holds a {type(whole).__name__}, not weights by name",
            f"it is another file than it is called; {again}",
        )
    state = next((whole[nest] for nest in NESTS if isinstance(whole.get(nest), dict)), whole)
    tensors = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        held = ", ".join(map(str, list(state)[:5])) or "nothing"
        raise CheckpointError(
            f"{path} holds no weights (it has {held})",
            f"it is another file than it is called; {again}",
        )
    return tensors, _meta(whole)


def _load(path: Path, again: str) -> Any:
    import torch
    from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

    zipped = zipfile.is_zipfile(path)
    with path.open("rb") as file:
        if not zipped and file.read(2) == b"PK":
            raise damaged(path, "its end is missing", again)
    try:
        # Names beyond torch's own that the file refers to; none of them is looked up.
        named = get_unsafe_globals_in_checkpoint(str(path)) if zipped else []
        inert: list[Any] = [(Inert, name) for name in named if INERT.fullmatch(name)]
        with safe_globals(inert):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise _refuse(path, error, zipped, again) from error
    except OSError:
        raise
    except Exception as error:  # a reader on broken input fails in any way at all
        first = str(error).strip().splitlines()
        raise damaged(path, first[0][:160] if first else type(error).__name__, again) from error


def _refuse(path: Path, error: pickle.UnpicklingError, zipped: bool, again: str) -> CheckpointError:
    if not zipped and _ends_within_a_pickle(path):
        return damaged(path, "it ends too early", again)
    named = re.search(r"GLOBAL (\S+)", str(error))
    if named is None and not re.search("reduce|Can only|allowed", str(error)):
        return damaged(path, "it is no proper pickle", again)
    what = named[1] if named else "objects of its own"
    return CheckpointError(
        f"{path} is more than weights: it wants {what}, and to give it that could run any code; "
        "the file was refused and nothing in it was run",
        f"do not load it elsewhere either unless you trust who made it; {again}",
        kind="refused",
    )


def _ends_within_a_pickle(path: Path) -> bool:
    """Whether the pickles before the numbers in torch's older format are cut off; runs nothing."""
    with path.open("rb") as file:
        try:
            for _ in range(OLD_FORMAT_PICKLES):
                if file.peek(1):
                    collections.deque(pickletools.genops(file), maxlen=0)
        except Exception:  # broken input again: any failure means that it is cut off
            return True
    return False


def _meta(whole: dict) -> dict[str, str]:
    model = _plain(whole.get("args"))
    if isinstance(model, dict):
        model = _plain(model.get("model"))
    return {"args.model": model} if isinstance(model, str) else {}


def _plain(value: object) -> object:
    """The dictionary or value inside an `Inert`: argparse's attributes, OmegaConf's content."""
    if not isinstance(value, Inert):
        return value
    state = value.state
    if isinstance(state, dict):
        return state.get("_content", state.get("_val", state))
    return state
