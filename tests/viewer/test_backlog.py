"""How far a browser is behind: marks, answers, and pages that never answer."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import viser

import viewer.page.backlog
from tests.support.standins import Recorder
from viewer.page.backlog import LOST_AFTER, UNHEARD_AFTER, Link


class Clock:
    """Time that passes when told to."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(viewer.page.backlog, "time", clock)
    return clock


def answer(link: Link, text: str) -> None:
    """What the page would send."""
    (callback,) = link._channel._impl.update_cb
    event = SimpleNamespace(target=SimpleNamespace(value=text))
    # Playwright keeps an event loop running in the main thread once a browser test has run.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(callback(event))).result()  # pyright: ignore[reportArgumentType]


def test_a_mark_is_outstanding_until_its_answer(
    server: viser.ViserServer, recorder: Recorder, clock: Clock
) -> None:
    heard: list[int] = []
    link = Link(server.gui, lambda: heard.append(1))
    assert link.outstanding == 0
    assert link.round_trip is None
    with recorder.listening() as messages:
        link.mark()
    assert [type(message).__name__ for message in messages] == ["RunJavascriptMessage"]
    assert '"mark": 1' in messages[0].source
    assert link.outstanding == 1
    clock.now += 0.05
    answer(link, "1")
    assert link.outstanding == 0
    assert link.round_trip == pytest.approx(0.05)
    assert heard == [1]


def test_an_answer_counts_for_all_marks_before_it(server: viser.ViserServer, clock: Clock) -> None:
    link = Link(server.gui)
    for _ in range(3):
        link.mark()
    answer(link, "2")
    assert link.outstanding == 1
    link.wait(outstanding=1, timeout=30)


@pytest.mark.parametrize("text", ["", "-1", "7", "1e3", "x" * 99, "9" * 99, "²"])
def test_nonsense_is_no_answer(text: str, server: viser.ViserServer, clock: Clock) -> None:
    link = Link(server.gui)
    link.mark()
    answer(link, text)
    assert link.outstanding == 1
    assert link.round_trip is None


def test_a_page_that_never_answers_is_not_waited_for_long(
    server: viser.ViserServer, clock: Clock
) -> None:
    link = Link(server.gui)
    link.mark()
    assert link.patience == pytest.approx(UNHEARD_AFTER)
    clock.now += 1.01 * UNHEARD_AFTER
    assert (link.outstanding, link.patience) == (0, 0.0)


def test_a_page_that_sleeps_is_waited_for_longer(server: viser.ViserServer, clock: Clock) -> None:
    link = Link(server.gui)
    link.mark()
    answer(link, "1")
    link.mark()
    clock.now += 0.9 * LOST_AFTER
    assert link.outstanding == 1
    link.wait(outstanding=0, timeout=0.001)
    clock.now += 0.2 * LOST_AFTER
    assert link.outstanding == 0
