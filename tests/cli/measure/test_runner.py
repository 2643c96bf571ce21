"""Sections in turn: the budget is kept, and what ends one section does not end the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmem.cli.measure.record import Outcome, Row
from vmem.cli.measure.runner import TOO_SHORT, Limit, Section, TimeUp, run


class Clock:
    """A clock that stands still until somebody works."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def working(self, *seconds: float) -> Callable[[Limit], Iterator[Row]]:
        """A section's rows, each after so many seconds of work."""

        def rows(limit: Limit) -> Iterator[Row]:
            for i, spent in enumerate(seconds):
                self.now += spent
                yield Row(f"row {i}", {"s": spent})

        return rows


def failing(error: BaseException) -> Callable[[Limit], Iterator[Row]]:
    """A row, then an error."""

    def rows(limit: Limit) -> Iterator[Row]:
        yield Row("before", {"n": 1})
        raise error

    return rows


def all_of(*sections: Section[Limit], clock: Clock, budget: float = 100.0, **more) -> list[Outcome]:
    return list(run(sections, lambda limit: limit, budget, clock=clock, **more))


@given(
    st.lists(
        st.tuples(st.floats(0.01, 1), st.lists(st.floats(0, 40), max_size=6)),
        min_size=1,
        max_size=6,
    ),
    st.floats(1, 300),
)
def test_a_section_begins_and_ends_in_time(plan, budget):
    clock, begun = Clock(), []
    sections = [
        Section(f"section {i}", "", clock.working(*work), share)
        for i, (share, work) in enumerate(plan)
    ]
    outcomes = all_of(
        *sections,
        clock=clock,
        budget=budget,
        started=lambda section, left: begun.append((section.name, clock.now - 100, left)),
    )
    assert [outcome.section for outcome in outcomes] == [section.name for section in sections]
    for _, at, left in begun:
        assert left == pytest.approx(budget - at)
        assert left >= TOO_SHORT * budget
    states = {name: "began" for name, _, _ in begun}
    for (share, work), outcome in zip(plan, outcomes, strict=True):
        if outcome.section not in states:
            assert (outcome.state, outcome.rows) == ("skipped", ())
            assert outcome.note == "no time left"
            continue
        at = next(at for name, at, _ in begun if name == outcome.section)
        most = min(share * budget, budget - at)
        # It ends with the row in which its time runs out.
        assert sum(work[: len(outcome.rows) - 1]) <= most or not outcome.rows
        assert outcome.seconds == pytest.approx(sum(work[: len(outcome.rows)]))
        if outcome.state == "done":
            assert len(outcome.rows) == len(work)


def test_a_failing_section_keeps_its_rows_and_the_next_goes_on():
    clock = Clock()
    first = Section("first", "", failing(ValueError("two\nlines")), 1)
    done, then = all_of(first, Section("then", "", clock.working(1, 2), 1), clock=clock)
    assert (done.state, done.note) == ("failed", "ValueError: two lines")
    assert [row.name for row in done.rows] == ["before"]
    assert (then.state, len(then.rows), then.seconds) == ("done", 2, 3)


def test_a_section_is_skipped_without_what_it_needs():
    clock = Clock()
    sections = [
        Section("files", "", failing(OSError("disk")), 1),
        Section("steps", "", clock.working(1), 1, needs="files"),
        Section("other", "", clock.working(1), 1),
    ]
    assert [o.state for o in all_of(*sections, clock=clock)] == ["failed", "skipped", "done"]


def test_nothing_is_tried_on_a_device_that_is_lost():
    clock = Clock()
    sections = [
        Section("usual", "", failing(RuntimeError("no")), 1),
        Section("lost", "", failing(RuntimeError("gone")), 1),
        Section("after", "", clock.working(1), 1),
    ]
    outcomes = all_of(*sections, clock=clock, hopeless=lambda error: str(error) == "gone")
    assert [outcome.state for outcome in outcomes] == ["failed", "failed", "skipped"]
    assert "lost ended with RuntimeError: gone" in outcomes[-1].note


def test_an_interrupt_ends_the_run_after_the_rows_made_until_then():
    after = Section("after", "", failing(AssertionError("must not run")), 1)
    outcomes = run(
        [Section("first", "", failing(KeyboardInterrupt()), 1), after], lambda limit: limit, 9.0
    )
    outcome = next(outcomes)
    assert (outcome.state, len(outcome.rows)) == ("interrupted", 1)
    with pytest.raises(KeyboardInterrupt):
        next(outcomes)


def test_long_measurements_see_that_the_time_is_over():
    clock = Clock()
    limit = Limit(clock.now + 5, clock)
    limit.check()
    clock.now += 5
    with pytest.raises(TimeUp):
        limit.check()
