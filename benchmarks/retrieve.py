"""One live look-up: draw a target, vote, select 4 of 300 views by the default strategy."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks._metrics import Metric, Row, measured
from benchmarks._published import drawn_in_python, times_less, walked
from benchmarks._scenes import beside, cameras, house, memory_of, milliseconds, stroll
from vmem.cameras import Cameras, path_targets
from vmem.retrieval import retrieve
from vmem.retrieval.strategies.published import published_selection

SIZES = {"200k": 200_000, "1m": 1_000_000}
VIEWS = 300
OURS, WALKED, TARGETS = 200_000, 10, 4
"""Surfels of our memory, views of both, and targets, where the published way is compared."""

METRICS = (
    Metric("retrieve.*.ms", "ms"),
    Metric("retrieve.*.cpu_ms", "ms"),
    Metric("retrieve.ratio_reference", "ratio", "higher", tolerance=0.25),
)


def run() -> Iterator[Row]:
    """``retrieve.SIZE.ms`` is wall time, ``.cpu_ms`` is the CPU time of all threads.

    ``retrieve.ratio_reference`` is the CPU time of the published way over ours, on memories of the
    same views: it draws the last target of a step among its disks, we all four among 200,000.
    """
    for name, n in SIZES.items():
        memory = memory_of(house(n), stroll(VIEWS))
        ask = [partial(retrieve, memory, Cameras.stack([camera])) for camera in cameras()]
        wall, cpu = milliseconds(*ask)
        yield measured(f"retrieve.{name}.ms", wall)
        yield measured(f"retrieve.{name}.cpu_ms", cpu)
    walk = cameras(WALKED)
    memory, published = memory_of(house(OURS), walk), walked(walk)
    targets = path_targets(walk[0], beside(walk[0]).c2w, TARGETS)
    with drawn_in_python():
        ratio = times_less(
            lambda: published_selection(published, targets), lambda: retrieve(memory, targets)
        )
    yield measured("retrieve.ratio_reference", ratio, surfels=len(published.surfels))
