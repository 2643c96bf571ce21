"""A long saved walk: what the process takes in memory, and whether steps slow down.

``VMEM_LONG_WALK`` is its number of steps, 2,000 if it is not set.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks._metrics import Metric, Row, measured
from vmem.cameras import Camera
from vmem.session import Session, SessionConfig

PHOTO = Path(__file__).parents[1] / "assets" / "hotel_room.jpg"
STEPS = int(os.environ.get("VMEM_LONG_WALK", "2000"))
TURN, REACH = 0.9, 0.25
"""Radians to either side and scene units to any that the walk goes, again and again."""

METRICS = (
    Metric("long_walk.steps", "times", "higher"),
    Metric("long_walk.resident", "MiB"),
    Metric("long_walk.grown_per_step", "MiB"),
    Metric("long_walk.slower", "ratio", of_machine=True),
    Metric("long_walk.step_10.ms", "ms"),
    Metric("long_walk.last.ms", "ms"),
    Metric("long_walk.surfels", "M", of_machine=True),
    Metric("long_walk.file", "MiB"),
)


def run() -> Iterator[Row]:
    """``resident`` is the most that the process ever held; ``grown_per_step`` what it held more at
    the end than after a tenth of the walk; ``slower`` the median of the last steps' times over that
    of the steps about the tenth."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "walk.vmem"
        config = SessionConfig(refuse=False)
        session = Session.open(PHOTO, backend="preview", size=288, config=config, save=path)
        seconds, early = [], 0.0
        for number, _ in enumerate(session.follow(places(session.camera, STEPS)), start=1):
            seconds.append(time.perf_counter())
            if number == max(1, STEPS // 10):
                early = resident("VmRSS")
        spent = 1e3 * np.diff(seconds)
        late = resident("VmRSS")
        yield measured("long_walk.steps", STEPS, views=len(session.memory.views))
        yield measured("long_walk.resident", resident("VmHWM"))
        yield measured("long_walk.grown_per_step", (late - early) / (STEPS - STEPS // 10))
        yield measured("long_walk.slower", np.median(spent[-20:]) / np.median(spent[4:15]))
        yield measured("long_walk.step_10.ms", np.median(spent[4:15]))
        yield measured("long_walk.last.ms", np.median(spent[-20:]))
        yield measured("long_walk.surfels", len(session.memory.surfels) / 1e6)
        session.close()
        yield measured("long_walk.file", path.stat().st_size / 2**20)


def places(camera: Camera, n: int) -> Iterator[Camera]:
    """Poses of a walk about the first one: never far, never twice the same."""
    for i in range(1, n + 1):
        yaw = TURN * np.sin(0.11 * i)
        x, z = REACH * np.sin(0.07 * i), REACH * np.sin(0.043 * i)
        turn = np.eye(4)
        turn[:3, :3] = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
        turn[:3, 3] = x, 0, z
        yield camera.moved_to(turn @ camera.c2w)


def resident(name: str) -> float:
    """A line of the process's status, in MiB."""
    with open("/proc/self/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith(name))
    return int(line.split()[1]) / 1024
