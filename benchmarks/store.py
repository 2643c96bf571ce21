"""What saving adds to a preview step at 288 pixels, and what a view takes on the disk.

Two sessions walk the same way in one run, step by step in turn, one saved and one not.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks._metrics import Metric, Row, measured
from vmem.session import Session, SessionConfig

PHOTO = Path(__file__).parents[1] / "assets" / "hotel_room.jpg"
WARM, STEPS = 3, 16
MOVES = ["w", "a", "a", "d", "q", "d", "d", "a", "e", "s"]

METRICS = (
    Metric("store.step_*.saved_ms", "ms"),
    Metric("store.step_*.plain_ms", "ms"),
    Metric("store.step_*.commit_ms", "ms"),
    Metric("store.step_*.ratio", "ratio", tolerance=0.2),
    Metric("store.step_*.cpu_ratio", "ratio", tolerance=0.2),
    Metric("store.bytes_per_view", "kB", tolerance=0.2),
    Metric("store.resume_per_step.ms", "ms"),
)


def run() -> Iterator[Row]:
    """``step_N``: of N frames. ``ratio`` is the median of wall times of a saved step over the same
    step unsaved, ``cpu_ratio`` that of all threads' CPU; ``commit_ms`` is what a saved step waits
    for the disk at its end."""
    for frames in (4, 1):
        with tempfile.TemporaryDirectory() as folder:
            yield from _compared(frames, Path(folder) / "walk.vmem")


def _compared(frames: int, path: Path) -> Iterator[Row]:
    config = SessionConfig(target_views=frames, refuse=False)
    saved, plain = (
        Session.open(PHOTO, backend="preview", config=config, save=where) for where in (path, None)
    )
    wall, cpu, commit = [], [], []
    for number in range(WARM + STEPS):
        row = []
        # In turn first, so that neither has the warmer caches.
        for session in (saved, plain) if number % 2 else (plain, saved):
            start = time.perf_counter(), time.process_time()
            step = session.move(MOVES[number % len(MOVES)])
            row.append((time.perf_counter() - start[0], time.process_time() - start[1]))
            if session is saved:
                commit.append(step.seconds["commit"])
        if number % 2 == 0:
            row.reverse()
        wall.append([times[0] for times in row])
        cpu.append([times[1] for times in row])
    wall, cpu = np.array(wall[WARM:]), np.array(cpu[WARM:])
    name = f"store.step_{frames}"
    yield measured(f"{name}.saved_ms", 1e3 * np.median(wall[:, 0]), least=1e3 * wall[:, 0].min())
    yield measured(f"{name}.plain_ms", 1e3 * np.median(wall[:, 1]), least=1e3 * wall[:, 1].min())
    yield measured(f"{name}.commit_ms", 1e3 * np.median(commit[WARM:]))
    yield measured(f"{name}.ratio", np.median(wall[:, 0] / wall[:, 1]))
    yield measured(f"{name}.cpu_ratio", np.median(cpu[:, 0] / cpu[:, 1]))
    views = len(saved.memory.views)
    saved.close()
    if frames > 1:
        yield measured("store.bytes_per_view", path.stat().st_size / views / 1e3, views=views)
        start = time.perf_counter()
        with Session.resume(path, backend=saved.backend) as session:
            spent = time.perf_counter() - start
        yield measured("store.resume_per_step.ms", 1e3 * spent / len(session.memory.steps))
