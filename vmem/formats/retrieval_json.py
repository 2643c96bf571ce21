"""``retrieval.json``: what was retrieved for every step, and why, without the pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from vmem.memory import MemorySnapshot

RETRIEVAL_NAME = "retrieval.json"
"""File name in a walk's folder."""
_ALWAYS = {"step", "strategy", "k", "targets", "chosen", "views"}
"""Keys that every entry has."""


def retrieval_content(memory: MemorySnapshot) -> Iterator[bytes]:
    """The retrieval of every step that had one, in order, as the content of the file.

    One piece a step: of a long walk all together would not fit into memory.
    """
    before = "[\n "
    for step, retrieval in enumerate(memory.retrievals):
        if retrieval is not None:
            entry = json.dumps({"step": step} | retrieval.to_json(), indent=1)
            yield (before + entry.replace("\n", "\n ")).encode()
            before = ",\n "
    yield b"[]\n" if before.startswith("[") else b"\n]\n"


def is_of_a_walk(path: Path) -> bool:
    """Whether the file at ``path`` is a list of retrievals that a walk wrote."""
    if not path.is_file():  # to open a pipe is to wait for its writer
        return False
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(entries, list) and all(
        isinstance(entry, dict) and entry.keys() >= _ALWAYS for entry in entries
    )
