"""Run sections one after the other within a limit of time; what one does not survive, others do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from vmem.cli.measure.record import Outcome, Row, State

TOO_SHORT = 0.02
"""Part of the whole time that is too short to begin another section in."""

Clock = Callable[[], float]
Context = TypeVar("Context")


class TimeUp(Exception):
    """The section's time is over."""


@dataclass(frozen=True)
class Limit:
    """When a section has to end."""

    end: float
    """In seconds of ``clock``."""
    clock: Clock = time.monotonic
    """Seconds since some moment."""

    def check(self) -> None:
        """Raise TimeUp once it is over. Long measurements call it between their parts."""
        if self.clock() >= self.end:
            raise TimeUp


@dataclass(frozen=True)
class Section(Generic[Context]):
    """Measurements that belong together."""

    name: str
    """The word for it on the command line."""
    title: str
    """What it measures, for people."""
    rows: Callable[[Context], Iterator[Row]]
    """Measures; rows count as soon as they are yielded."""
    share: float
    """Most that it may take of the whole time, from 0 to 1."""
    needs: str = ""
    """The section that must be done before."""


def run(
    sections: Sequence[Section[Context]],
    context: Callable[[Limit], Context],
    budget: float,
    *,
    started: Callable[[Section[Context], float], object] = lambda section, left: None,
    hopeless: Callable[[Exception], bool] = lambda error: False,
    clock: Clock = time.monotonic,
) -> Iterator[Outcome]:
    """The outcome of each section in turn; no section begins after ``budget`` seconds.

    context: what a section measures with, given its limit. started: told before a section begins,
    with the seconds left. hopeless: whether no other section can succeed after an error.
    KeyboardInterrupt is raised after the outcome of the section that it ended.
    """
    end = clock() + budget
    states: dict[str, State] = {}
    lost = ""
    for section in sections:
        left = end - clock()
        why_not = lost
        if not lost and section.needs and states.get(section.needs) != "done":
            why_not = f"needs {section.needs}, which is missing"
        elif not lost and left < TOO_SHORT * budget:
            why_not = "no time left"
        if why_not:
            outcome, error = Outcome(section.name, "skipped", 0.0, note=why_not), None
        else:
            started(section, left)
            outcome, error = _turn(section, context, min(left, section.share * budget), clock)
        states[section.name] = outcome.state
        yield outcome
        if isinstance(error, KeyboardInterrupt):
            raise error
        if isinstance(error, Exception) and hopeless(error):
            lost = f"not tried after {section.name} ended with {error_text(error)}"


def _turn(
    section: Section[Context], context: Callable[[Limit], Context], seconds: float, clock: Clock
) -> tuple[Outcome, BaseException | None]:
    """The outcome of one section, and the error that ended it."""
    begin = clock()
    limit = Limit(begin + seconds, clock)
    rows: list[Row] = []
    state: State = "done"
    note, error = "", None
    try:
        for row in section.rows(context(limit)):
            rows.append(row)
            limit.check()
    except TimeUp:
        state, note = "time up", f"its {seconds:.0f} s are over"
    except KeyboardInterrupt as interrupt:
        state, error = "interrupted", interrupt
    except Exception as failure:
        state, note, error = "failed", error_text(failure), failure
    return Outcome(section.name, state, clock() - begin, tuple(rows), note), error


def error_text(error: BaseException) -> str:
    """Kind and words of an error, in one line of at most 400 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]
