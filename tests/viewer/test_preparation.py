"""Stages that run behind the page: their order, who waits, and how they go wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.support.standins import PATIENCE
from viewer.walk.preparation import Preparation, PreparationError
from vmem.progress import Cancelled, CancelToken, Progress


class Gates:
    """Stages that are named, and done one by one when they are let go."""

    def __init__(self, *names: str) -> None:
        self.begun: list[str] = []
        self._gates = {name: threading.Event() for name in names}

    def __iter__(self):
        return iter(self._gates)

    def open(self, name: str) -> None:
        self._gates[name].set()

    def stages(self) -> dict[str, Callable[[], object]]:
        def work(name: str) -> Callable[[], object]:
            def run() -> None:
                self.begun.append(name)
                assert self._gates[name].wait(PATIENCE)

            return run

        return {name: work(name) for name in self._gates}


@pytest.fixture
def gates() -> Gates:
    return Gates("a", "b", "c")


@pytest.fixture
def preparation(gates: Gates):
    made = Preparation(gates.stages())
    made.start()
    yield made
    made.stop()
    for name in gates:
        gates.open(name)


def test_one_waits_for_a_stage_and_those_before_it_only(
    gates: Gates, preparation: Preparation
) -> None:
    reports: list[Progress] = []

    def report(progress: Progress) -> None:
        reports.append(progress)
        gates.open(("a", "b")[progress.done])

    assert not preparation.is_done("a")
    preparation.wait_for("b", report)
    assert reports == [Progress("kernels", 0, 2), Progress("kernels", 1, 2)]
    assert preparation.is_done("a")
    assert preparation.is_done("b")
    assert not preparation.is_done("c")
    preparation.wait_for("a", report)
    assert len(reports) == 2, "what is done is not reported"
    gates.open("c")
    preparation.finish()
    assert gates.begun == ["a", "b", "c"]
    assert preparation.is_done("c")


def test_waiting_can_be_cancelled(preparation: Preparation) -> None:
    token = CancelToken()
    with pytest.raises(Cancelled):
        preparation.wait_for("a", lambda progress: token.cancel(), token)


def test_nobody_waits_for_a_preparation_that_is_stopped(
    gates: Gates, preparation: Preparation
) -> None:
    with pytest.raises(Cancelled):
        preparation.wait_for("b", lambda progress: preparation.stop())
    gates.open("a")
    preparation.finish()
    assert gates.begun == ["a"]


def test_a_stage_that_there_is_not_is_a_mistake(preparation: Preparation) -> None:
    with pytest.raises(KeyError):
        preparation.wait_for("z")
    with pytest.raises(KeyError):
        preparation.is_done("z")


def test_what_fails_is_told_to_all_who_wait_and_ends_it() -> None:
    ran: list[str] = []

    def fail() -> None:
        raise ValueError("no compiler")

    made = Preparation({"a": lambda: ran.append("a"), "b": fail, "c": lambda: ran.append("c")})
    made.start()
    made.wait_for("a")
    with pytest.raises(PreparationError, match="ValueError: no compiler"):
        made.wait_for("c")
    with pytest.raises(ValueError, match="no compiler"):
        made.finish()
    assert ran == ["a"]
