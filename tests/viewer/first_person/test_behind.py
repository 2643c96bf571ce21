"""A backdrop is made once a walk, beside its browser's thread, and one that comes too late is not
shown."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.support.standins import until
from viewer.browser.behind import Behind
from vmem.types import View


class Stage:
    """A browser's thread that is run by hand, and a maker of backdrops that waits to be let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[Callable[[], Any]] = []
        self.shown: list[Any] = []
        self.asked: list[tuple[View, int]] = []
        self.go = threading.Event()
        self.error: Exception | None = None
        monkeypatch.setattr("viewer.browser.behind.make_backdrop", self._make)
        self.behind = Behind(self.shown.append, self._post)

    def _post(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.calls.append(lambda: call(*arguments))

    def _make(self, view: View, seed: int) -> Any:
        self.asked.append((view, seed))
        assert self.go.wait(10)
        if self.error is not None:
            raise self.error
        return ("backdrop of", view, seed)

    def begin(self, name: str, seed: int = 0) -> None:
        self.behind.begin(cast(View, VIEWS[name]), seed)

    def run(self, calls: int = 1) -> None:
        until(lambda: len(self.calls) >= calls)
        for call in self.calls:
            call()
        self.calls.clear()


VIEWS = {name: SimpleNamespace(name=name) for name in ("one", "other")}


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def test_it_is_made_once_and_shown_on_the_browsers_thread(stage: Stage) -> None:
    stage.go.set()
    stage.begin("one", 5)
    stage.begin("one", 5)
    until(lambda: stage.calls)
    assert not stage.shown, "not on the other thread"
    stage.run()
    stage.begin("one", 5)
    assert stage.shown == [("backdrop of", VIEWS["one"], 5)]
    assert stage.asked == [(VIEWS["one"], 5)]


def test_of_two_walks_only_the_second_ones_is_shown(stage: Stage) -> None:
    stage.begin("one")
    until(lambda: stage.asked)
    stage.begin("other")
    assert stage.shown == [None], "the first one's has gone with it"
    stage.go.set()
    stage.run(calls=2)
    assert stage.shown == [None, ("backdrop of", VIEWS["other"], 0)]


def test_what_comes_after_the_browser_has_gone_is_dropped(stage: Stage) -> None:
    stage.begin("one")
    until(lambda: stage.asked)
    stage.behind.drop()
    stage.go.set()
    stage.run()
    assert not stage.shown


def test_a_failure_is_raised_on_the_browsers_thread(stage: Stage) -> None:
    stage.error = ValueError("no photo")
    stage.go.set()
    stage.begin("one")
    with pytest.raises(ValueError, match="no photo"):
        stage.run()
