"""Updates that are let through one at a time: the latest request wins."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viewer.browser.throttle import Throttle


def test_nothing_is_due_before_it_is_requested() -> None:
    throttle = Throttle(0.1)
    assert (throttle.wait(5.0), throttle.take(5.0)) == (None, False)


def test_an_update_waits_until_the_last_one_is_long_enough_ago() -> None:
    throttle = Throttle(0.5)
    throttle.request()
    assert throttle.take(10.0)
    throttle.request()
    assert throttle.wait(10.2) == pytest.approx(0.3)
    assert not throttle.take(10.2)
    assert throttle.take(10.5)
    assert not throttle.due


def test_requests_that_are_replaced_are_counted() -> None:
    throttle = Throttle(0.5)
    for _ in range(3):
        throttle.request()
    assert throttle.dropped == 2
    assert throttle.take(1.0)
    throttle.request()
    assert throttle.dropped == 2


def test_an_update_can_be_held_back_and_hurried() -> None:
    throttle = Throttle(0.5)
    throttle.request()
    assert throttle.wait(10.0, hold=2.0) == 2.0
    assert not throttle.take(10.0, hold=2.0)
    assert throttle.take(10.0)
    throttle.request(at_once=True)
    assert throttle.take(10.001)


def test_a_request_can_be_withdrawn() -> None:
    throttle = Throttle(0.5)
    throttle.request()
    throttle.withdraw()
    assert not throttle.take(10.0)


@given(st.lists(st.tuples(st.floats(0.001, 1.0), st.booleans()), max_size=60))
def test_no_two_updates_are_closer_than_the_time_between(steps: list[tuple[float, bool]]) -> None:
    throttle, now, made = Throttle(0.3), 100.0, []
    for pause, asked in steps:
        now += pause
        if asked:
            throttle.request()
        if throttle.take(now):
            made.append(now)
    assert all(b - a >= 0.3 - 1e-9 for a, b in pairwise(made))
