"""How far a job is: fractions that never fall, estimates by what stages took."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viewer.walk.eta import GUESSES, Meter
from vmem.progress import Progress


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("viewer.walk.eta.time", clock)
    return clock


def test_a_meter_weighs_stages_by_what_they_took_last_time(clock: Clock) -> None:
    meter = Meter()
    assert meter.typical is None
    meter.start()
    for stage, seconds in (("retrieve", 1.0), ("generate", 6.0), ("geometry", 3.0)):
        assert meter.update(Progress(stage, 0, 1))[1] is None
        clock.now += seconds
    meter.finish()
    assert meter.typical == pytest.approx(10.0)

    meter.start()
    assert meter.update(Progress("retrieve", 0, 1)) == pytest.approx((0.0, 10.0))
    assert meter.update(Progress("generate", 0, 4)) == pytest.approx((0.1, 9.0))
    assert meter.update(Progress("generate", 2, 4)) == pytest.approx((0.4, 6.0))
    assert meter.update(Progress("geometry", 0, 1)) == pytest.approx((0.7, 3.0))


reports = st.lists(
    st.tuples(st.sampled_from(["retrieve", "generate", "geometry"]), st.integers(0, 5)),
    max_size=20,
)


@given(st.lists(reports, min_size=1, max_size=4))
def test_the_fraction_never_falls_and_stays_a_fraction(jobs: list[list[tuple[str, int]]]) -> None:
    """Whatever a job reports: stages unknown, repeated, done beyond their total."""
    meter = Meter()
    for job in jobs:
        meter.start()
        last = 0.0
        for stage, done in job:
            fraction, left = meter.update(Progress(stage, done, 4))
            assert last <= fraction <= 1.0
            assert left is None or left >= 0.0
            last = fraction
        meter.finish()


SAMPLED = (("weights", 30.0), ("encode", 1.0), ("denoise", 8.0), ("decode", 1.0))


def run(meter: Meter, clock: Clock, units: int, *stages: tuple[str, float]) -> list[float]:
    """A whole job whose stages take so many seconds in equal units; the fractions reported."""
    meter.start()
    fractions = []
    for stage, seconds in stages:
        fractions.append(meter.update(Progress(stage, 0, units))[0])
        for unit in range(units):
            clock.now += seconds / units
            fractions.append(meter.update(Progress(stage, unit + 1, units))[0])
    meter.finish()
    return fractions


@pytest.mark.parametrize("guess", GUESSES)
def test_the_bar_moves_in_every_stage_of_a_first_job(clock: Clock, guess: dict[str, float]) -> None:
    fractions = run(Meter(), clock, 4, *((stage, 1.0) for stage in guess))
    assert fractions[0] == 0.0
    assert fractions[-1] == pytest.approx(1.0)
    # The end of a stage and the beginning of the next are the same moment.
    grown = [b - a for a, b in pairwise(fractions)]
    assert [i for i, step in enumerate(grown) if step <= 1e-9] == list(range(4, len(grown), 5))


def test_a_first_job_without_its_weights_to_load_is_half_done_half_way(clock: Clock) -> None:
    meter = Meter()
    meter.start()
    meter.update(Progress("retrieve", 0, 1))
    fraction, _ = meter.update(Progress("denoise", 10, 20))
    assert 0.3 < fraction < 0.6, "what was passed over no longer counts"


def test_a_stage_that_nobody_expects_takes_nothing_from_the_bar(clock: Clock) -> None:
    meter = Meter()
    meter.start()
    meter.update(Progress("retrieve", 0, 1))
    assert meter.update(Progress("waiting for another walk", 1, 1))[0] < 0.1
    assert meter.update(Progress("denoise", 20, 20))[0] > 0.6


def test_a_stage_tells_its_own_pace_without_the_first_unit(clock: Clock) -> None:
    meter = Meter()
    meter.start()
    meter.update(Progress("denoise", 0, 5))
    clock.now += 60.0  # a compilation, say
    meter.update(Progress("denoise", 1, 5))
    assert meter.stage_left() is None
    clock.now += 2.0
    assert meter.update(Progress("denoise", 2, 5))[1] is None, "of the whole job nothing is known"
    assert meter.stage_left() == pytest.approx(6.0)
    clock.now += 2.0
    meter.update(Progress("decode", 0, 1))
    assert meter.stage_left() is None


def test_weights_are_loaded_once_and_not_expected_again(clock: Clock) -> None:
    meter = Meter()
    run(meter, clock, 4, *SAMPLED)
    assert meter.typical == pytest.approx(10.0)
    meter.start()
    fraction, left = meter.update(Progress("encode", 0, 4))
    assert (fraction, left) == pytest.approx((0.0, 10.0))


def test_another_number_of_steps_is_expected_to_take_as_much_longer(clock: Clock) -> None:
    meter = Meter()
    run(meter, clock, 4, *SAMPLED)
    meter.start()
    assert meter.update(Progress("denoise", 0, 20))[1] == pytest.approx(5 * 8.0 + 1.0)


def test_the_present_pace_counts_more_than_the_last_jobs(clock: Clock) -> None:
    meter = Meter()
    run(meter, clock, 4, *SAMPLED)
    meter.start()
    meter.update(Progress("denoise", 1, 4))
    clock.now += 10.0
    assert meter.update(Progress("denoise", 2, 4))[1] == pytest.approx(2 * 10.0 + 1.0)
