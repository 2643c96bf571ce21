"""Processes that are killed while they walk, and disks that fill up: what the walks' files hold.

- ``kills``: processes ended by SIGKILL at random moments of opening, steps, undos, switches, names
  and exports; ``full``: walks that went on after their disk had been full (on a small tmpfs where
  mounting is allowed, ``"by": "tmpfs"``, else with a limit on the size of files, ``"limit"``).
- ``steps_lost``, ``moves_lost``: what was reported as done and is not in the file, bit for bit, or
  is there and was not reported; ``unreadable``: walks that do not open; ``foreign_touched``: other
  files beside the walk and its exports that are not as they were.
"""

from __future__ import annotations

import random
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path

from benchmarks._crashing import Verdict, Walker
from benchmarks._metrics import Metric, Row, measured

KILLS, FULL = 200, 50
LONGEST = 0.5
"""Seconds from a process's start, or its walk's opening, to its end, at most."""
DISK = 3 << 20
"""Bytes of the small disk."""
LEAST, MOST = 100_000, 1_200_000
"""Bytes that a walk has room for on it."""

METRICS = (
    Metric("crash.kills", "times", "higher", tolerance=0),
    Metric("crash.full", "times", "higher", tolerance=0.1),
    Metric("crash.steps_lost", "times", tolerance=0),
    Metric("crash.moves_lost", "times", tolerance=0),
    Metric("crash.unreadable", "times", tolerance=0),
    Metric("crash.foreign_touched", "times", tolerance=0),
)


def run() -> Iterator[Row]:
    """Kills and full disks, and all that was lost by them."""
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory() as name, small_disk() as (small, limited):
        walker = Walker(Path(name))
        verdicts += [walker.round(LONGEST) for _ in range(KILLS)]
        rng, filled = random.Random(0), 0
        for _ in range(FULL):
            room = rng.randrange(LEAST, MOST)
            verdict, told = walker.full_round(small, room, room if limited else None)
            verdicts.append(verdict)
            filled += "full" in told or (limited and bool(told))
        foreign = walker.foreign_touched()
    lost = [sum(column) for column in zip(*(astuple(v)[:3] for v in verdicts), strict=True)]
    why = [verdict.why for verdict in verdicts if verdict.why]
    yield measured("crash.kills", KILLS)
    yield measured("crash.full", filled, by="limit" if limited else "tmpfs")
    yield measured("crash.steps_lost", lost[0], why=why[:3])
    yield measured("crash.moves_lost", lost[1])
    yield measured("crash.unreadable", lost[2])
    yield measured("crash.foreign_touched", foreign)


@contextmanager
def small_disk() -> Iterator[tuple[Path, bool]]:
    """A folder on a disk of DISK bytes, and whether it is a usual one because none can be made."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", folder]
        try:
            mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            mounted = False
        try:
            yield Path(folder), not mounted
        finally:
            if mounted:
                subprocess.run(["umount", folder], capture_output=True, check=False)
