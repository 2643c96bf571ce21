"""``retrieval.json``: what was retrieved for every step, and why, without the pictures."""

from __future__ import annotations

from pathlib import Path

from vmem.formats.files import write_json
from vmem.memory import MemorySnapshot


def write_retrieval_json(memory: MemorySnapshot, path: Path) -> None:
    """Write the retrieval of every step that had one, in order."""
    write_json(
        path,
        [
            {"step": step} | retrieval.to_json()
            for step, retrieval in enumerate(memory.retrievals)
            if retrieval is not None
        ],
    )
