"""One live look-up: draw a target, vote, select 4 of 300 views by the default strategy."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks._scenes import cameras, house, memory_of, metric, milliseconds, stroll
from vmem.cameras import Cameras
from vmem.retrieval import retrieve

SIZES = {"200k": 200_000, "1m": 1_000_000}
VIEWS = 300


def run() -> Iterator[dict[str, object]]:
    """``retrieve.SIZE.ms`` is wall time, ``.cpu_ms`` is the CPU time of all threads."""
    for name, n in SIZES.items():
        memory = memory_of(house(n), stroll(VIEWS))
        ask = [partial(retrieve, memory, Cameras.stack([camera])) for camera in cameras()]
        wall, cpu = milliseconds(*ask)
        yield metric("retrieve", f"retrieve.{name}.ms", wall, "ms")
        yield metric("retrieve", f"retrieve.{name}.cpu_ms", cpu, "ms")
