"""Colouring surfels by what a target sees, at sizes where only the visible may count."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks import _paint_before as before
from benchmarks._metrics import Metric, Row, measured
from benchmarks._scenes import alternately, beside, house, memory_of, stroll
from viewer.paint.surfel_colors import paint_surfels
from viewer.settings import Heat
from vmem.arrays import U8
from vmem.memory import MemorySnapshot
from vmem.retrieval import retrieve
from vmem.types import Retrieval

SIZES = {"1m": 1_000_000, "4m": 4_000_000}
VIEWS = 40
MODES: dict[str, Heat] = {"votes": "weight", "support": "support", "uncovered": "uncovered"}

METRICS = (
    Metric("paint.*.*.ms", "ms"),
    Metric("paint.*.*.cpu_ms", "ms"),
    Metric("paint.*.*.ratio_before", "ratio", tolerance=0.3),
)


def run() -> Iterator[Row]:
    """``paint.MODE.SIZE.ms`` is wall time, ``.cpu_ms`` the CPU time of all threads, both over
    several targets; ``.ratio_before`` the CPU time over that of painting which looks at all
    surfels."""
    for name, n in SIZES.items():
        walk = stroll(VIEWS)
        memory = memory_of(house(n), walk)
        answers = [retrieve(memory, beside(camera)) for camera in walk[:: VIEWS // 4]]
        for label, mode in MODES.items():
            new = partial(_painted, mode, memory, answers)
            old = partial(_painted_before, mode, memory, answers)
            assert all(map(np.array_equal, new(), old()))
            was, now = alternately(old, new, times=9)
            wall, cpu = (spent / len(answers) for spent in now)
            yield measured(f"paint.{label}.{name}.ms", wall)
            yield measured(f"paint.{label}.{name}.cpu_ms", cpu)
            yield measured(f"paint.{label}.{name}.ratio_before", now[1] / was[1])


def _painted(mode: Heat, memory: MemorySnapshot, answers: list[Retrieval]) -> list[U8]:
    return [paint_surfels(mode, memory, answer).color for answer in answers]


def _painted_before(mode: Heat, memory: MemorySnapshot, answers: list[Retrieval]) -> list[U8]:
    return [before.paint(mode, memory, answer) for answer in answers]
