"""How far a browser is behind: marks, answers, and pages that never answer."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import viser

import viewer.page.backlog
from tests.support.standins import Recorder, call, labelled
from viewer.page.backlog import FIRST_LOST_AFTER, LOST_AFTER, Backlog


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


def answer(server: viser.ViserServer, text: str) -> None:
    """What the page would send."""
    (callback,) = labelled(server, "backlog")._impl.update_cb
    call(callback, SimpleNamespace(target=SimpleNamespace(value=text)))


def test_a_mark_is_outstanding_until_its_answer(
    server: viser.ViserServer, recorder: Recorder, clock: Clock
) -> None:
    heard: list[int] = []
    backlog = Backlog(server.gui, lambda: heard.append(1))
    assert backlog.outstanding == 0
    assert not backlog.answers
    with recorder.listening() as messages:
        backlog.mark()
    assert [type(message).__name__ for message in messages] == ["RunJavascriptMessage"]
    assert '"mark": 1' in messages[0].source
    assert backlog.outstanding == 1
    clock.now += 0.05
    answer(server, "1")
    assert backlog.outstanding == 0
    assert backlog.answers
    assert heard == [1]


def test_an_answer_counts_for_all_marks_before_it(server: viser.ViserServer, clock: Clock) -> None:
    backlog = Backlog(server.gui)
    for _ in range(3):
        backlog.mark()
    answer(server, "2")
    assert backlog.outstanding == 1
    backlog.wait(outstanding=1, timeout=30)


@pytest.mark.parametrize("text", ["", "-1", "7", "1e3", "x" * 99, "9" * 99, "²"])
def test_nonsense_is_no_answer(text: str, server: viser.ViserServer, clock: Clock) -> None:
    backlog = Backlog(server.gui)
    backlog.mark()
    answer(server, text)
    assert backlog.outstanding == 1
    assert not backlog.answers


def test_a_page_that_never_answers_is_not_waited_for_long(
    server: viser.ViserServer, clock: Clock
) -> None:
    backlog = Backlog(server.gui)
    backlog.mark()
    assert backlog.longest_wait == pytest.approx(FIRST_LOST_AFTER)
    clock.now += 1.01 * FIRST_LOST_AFTER
    assert (backlog.outstanding, backlog.longest_wait) == (0, 0.0)


def test_a_page_that_sleeps_is_waited_for_longer(server: viser.ViserServer, clock: Clock) -> None:
    backlog = Backlog(server.gui)
    backlog.mark()
    answer(server, "1")
    backlog.mark()
    clock.now += 0.9 * LOST_AFTER
    assert backlog.outstanding == 1
    backlog.wait(outstanding=0, timeout=0.001)
    clock.now += 0.2 * LOST_AFTER
    assert backlog.outstanding == 0
