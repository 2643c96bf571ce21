"""How far a job is and how long it will take, by its stages."""

from __future__ import annotations

import time

from vmem.progress import Progress

ONCE = frozenset({"weights", "kernels"})
"""Stages that a process goes through once: the next job will not have them."""
GUESSES = (
    {"retrieve": 1.0, "generate": 10.0, "geometry": 5.0, "memory": 2.0},
    {
        "retrieve": 1.0,
        "weights": 40.0,
        "encode": 2.0,
        "denoise": 60.0,
        "decode": 4.0,
        "geometry": 6.0,
        "memory": 2.0,
    },
)
"""Stages of jobs known before the first has run, with rough shares of the bar, no times."""


class Meter:
    """Turns reports of stages into a fraction and an estimate, by how long they took last time."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, int]] = {}  # stage -> seconds, units
        self._spent: dict[str, tuple[float, int]] = {}
        self._stage: str | None = None
        self._stage_began = 0.0
        self._fraction = 0.0
        self._first_unit: tuple[float, int] | None = None
        self._last = Progress("", 0, 1)

    @property
    def typical(self) -> float | None:
        """Seconds that the last finished job took; None before the first."""
        return sum(seconds for seconds, _ in self._known.values()) if self._known else None

    def start(self) -> None:
        """A job begins."""
        self._spent = {}
        self._stage = None
        self._stage_began = time.perf_counter()
        self._fraction = 0.0
        self._first_unit = None

    def update(self, progress: Progress) -> tuple[float, float | None]:
        """(fraction done, seconds left or None if unknown) after a report.

        The first job has no times to go by: its fraction is by GUESSES, or that of its stage if its
        stages are not among them. The fraction never falls.
        """
        now = time.perf_counter()
        if progress.stage != self._stage:
            self._close_stage(now)
            self._stage = progress.stage
        self._last = progress
        if self._first_unit is None and progress.done >= 1:
            self._first_unit = (now, progress.done)
        within = min(1.0, progress.done / max(1, progress.total))
        plan = self._plan()
        if not plan:
            self._fraction = max(self._fraction, within)
            return self._fraction, None
        spent = set(self._spent) - {progress.stage}
        done = sum(plan.get(stage, 0.0) for stage in spent)
        here = plan.get(progress.stage, 0.0)
        later = sum(plan[stage] for stage in self._later(plan) if stage not in spent)
        whole = done + here + later
        share = (done + within * here) / max(whole, 1e-9)
        self._fraction = max(self._fraction, min(1.0, share))
        if not self._known:
            return self._fraction, None
        pace = self.stage_left()
        return self._fraction, later + ((1 - within) * here if pace is None else pace)

    def stage_left(self) -> float | None:
        """Seconds left of the stage, at the pace of its units after the first (which may hold a
        warm-up); None before two units are done."""
        if self._first_unit is None or self._stage is None:
            return None
        began, first = self._first_unit
        done = self._last.done - first
        if done < 1:
            return None
        pace = (time.perf_counter() - began) / done
        return max(0.0, pace * (self._last.total - self._last.done))

    def finish(self) -> None:
        """The job ended well: remember its stages."""
        self._close_stage(time.perf_counter())
        if self._spent:
            self._known = {stage: took for stage, took in self._spent.items() if stage not in ONCE}

    def _plan(self) -> dict[str, float]:
        """What each stage is expected to take: seconds if a job has been seen, else shares."""
        stages = {*self._spent, *([] if self._stage is None else [self._stage])}
        if not self._known:
            stages &= {stage for guess in GUESSES for stage in guess}
            fitting = [guess for guess in GUESSES if stages and stages <= guess.keys()]
            return dict(fitting[0]) if fitting else {}
        plan = {stage: seconds for stage, (seconds, _) in self._known.items()}
        stage, total = self._last.stage, self._last.total
        seconds, units = self._known.get(stage, (0.0, 1))
        if total > 1 and units > 1:
            # As many steps as another sampler takes.
            plan[stage] = seconds * total / units
        return plan

    def _later(self, plan: dict[str, float]) -> list[str]:
        """Stages of the plan after all that were begun; skipped ones do not come any more."""
        order = list(plan)
        begun = [order.index(s) for s in (*self._spent, self._stage) if s in plan]
        return order[max(begun, default=-1) + 1 :]

    def _close_stage(self, now: float) -> None:
        if self._stage is not None:
            seconds, _ = self._spent.get(self._stage, (0.0, 1))
            self._spent[self._stage] = (seconds + now - self._stage_began, self._last.total)
        self._stage_began = now
        self._first_unit = None
