"""The actor: calls in order on one thread, settling when idle, surviving its own failures."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.support.standins import PATIENCE, until
from viewer.walk.actor import Actor


class Notebook(Actor):
    """An actor that keeps what happened to it, and settles as often as it is told to."""

    def __init__(self) -> None:
        super().__init__("notebook")
        self.state = 0
        self.threads: set[int] = set()
        self.settled: list[int] = []
        self.errors: list[Exception] = []
        self.again: list[float] = []
        self.settle_fails = False

    def add(self, amount: int) -> None:
        self.threads.add(threading.get_ident())
        self.state += amount

    def settle(self) -> float | None:
        self.threads.add(threading.get_ident())
        self.settled.append(self.state)
        if self.settle_fails:
            self.settle_fails = False
            raise ValueError("cannot settle")
        return self.again.pop() if self.again else None

    def failed(self, error: Exception) -> None:
        self.errors.append(error)

    def flush(self) -> None:
        """Wait until every call posted so far has run."""
        done = threading.Event()
        self.post(done.set)
        assert done.wait(PATIENCE)


@pytest.fixture
def notebook() -> Iterator[Notebook]:
    notebook = Notebook()
    yield notebook
    notebook.close()


def test_calls_run_in_order_on_one_thread_of_their_own(notebook: Notebook) -> None:
    order: list[int] = []
    for i in range(100):
        notebook.post(order.append, i)
    notebook.post(notebook.add, 1)
    notebook.start()
    notebook.flush()
    assert order == list(range(100))
    until(lambda: notebook.settled)
    assert len(notebook.threads) == 1
    assert threading.get_ident() not in notebook.threads


def test_calls_of_many_threads_keep_the_order_of_each(notebook: Notebook) -> None:
    notebook.start()
    heard: list[tuple[int, int]] = []

    def poster(who: int) -> None:
        for i in range(200):
            notebook.post(heard.append, (who, i))

    posters = [threading.Thread(target=poster, args=(who,)) for who in range(5)]
    for thread in posters:
        thread.start()
    for thread in posters:
        thread.join()
    notebook.flush()
    for who in range(5):
        assert [i for poster, i in heard if poster == who] == list(range(200))


def test_it_settles_only_when_nothing_waits_and_then_for_the_latest_state(
    notebook: Notebook,
) -> None:
    for _ in range(50):
        notebook.post(notebook.add, 1)
    notebook.start()
    notebook.flush()
    until(lambda: notebook.settled)
    notebook.close()
    assert set(notebook.settled) == {50}


def test_it_settles_again_after_the_seconds_it_asked_for(notebook: Notebook) -> None:
    notebook.again = [0.001, 0.001, 0.0]
    notebook.start()
    notebook.post(notebook.add, 1)
    until(lambda: not notebook.again)
    until(lambda: len(notebook.settled) == 4)
    assert notebook.settled == [1, 1, 1, 1]


def test_a_failing_call_is_reported_and_survived(
    notebook: Notebook, caplog: pytest.LogCaptureFixture
) -> None:
    notebook.start()
    notebook.post(lambda: 1 / 0)
    notebook.post(notebook.add, 5)
    notebook.flush()
    assert [type(error) for error in notebook.errors] == [ZeroDivisionError]
    assert notebook.state == 5
    assert len(caplog.records) == 1
    assert "notebook" in caplog.records[0].getMessage()


def test_a_failing_call_keeps_nothing_from_settling(notebook: Notebook) -> None:
    notebook.start()
    notebook.post(lambda: 1 / 0)
    until(lambda: notebook.settled)
    assert len(notebook.errors) == 1


def test_a_failing_settle_is_reported_and_survived(notebook: Notebook) -> None:
    notebook.settle_fails = True
    notebook.start()
    notebook.post(notebook.add, 1)
    until(lambda: notebook.errors)
    assert [str(error) for error in notebook.errors] == ["cannot settle"]
    notebook.post(notebook.add, 1)
    until(lambda: 2 in notebook.settled)
    assert len(notebook.errors) == 1


def test_close_ends_the_thread_and_drops_what_is_posted_later(notebook: Notebook) -> None:
    notebook.start()
    notebook.flush()
    notebook.close()
    assert not notebook.alive
    before = notebook.state
    notebook.post(notebook.add, 1)
    assert notebook.state == before


def test_a_failure_while_closing_is_nobodys_business(
    notebook: Notebook, caplog: pytest.LogCaptureFixture
) -> None:
    entered, leave = threading.Event(), threading.Event()

    def fails_late() -> None:
        entered.set()
        assert leave.wait(PATIENCE)
        raise RuntimeError("the browser has gone")

    notebook.start()
    notebook.post(fails_late)
    assert entered.wait(PATIENCE)
    notebook.close(timeout=0.0)
    leave.set()
    until(lambda: not notebook.alive)
    assert notebook.errors == []
    assert caplog.records == []


def test_an_actor_that_overrides_nothing_only_runs_calls(
    caplog: pytest.LogCaptureFixture,
) -> None:
    actor = Actor("plain")
    done = threading.Event()
    actor.start()
    actor.post(lambda: 1 / 0)
    actor.post(done.set)
    assert done.wait(PATIENCE)
    actor.close()
    assert len(caplog.records) == 1
