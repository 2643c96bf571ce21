"""The worker: order, cancelling, failing, and what it says about progress."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from tests.support.standins import PATIENCE, Diary, until
from viewer.walk.worker import Event, Job, Worker
from vmem.errors import VMemError
from vmem.progress import Cancelled, CancelToken, OnProgress, Progress


class Gate:
    """A job that stops at a gate until it is let through or cancelled."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()

    def __call__(self, on_progress: OnProgress, cancel: CancelToken) -> str:
        self.entered.set()
        until(lambda: self.opened.is_set() or cancel.cancelled)
        cancel.check()
        return "through"


def returning(value: object) -> Job:
    return lambda on_progress, cancel: value


def reporting(*stages: tuple[str, int]) -> Job:
    """A job of stages, each with that many units, reported from 0 to all of them."""

    def job(on_progress: OnProgress, cancel: CancelToken) -> None:
        for stage, total in stages:
            for done in range(total + 1):
                on_progress(Progress(stage, done, total))

    return job


def failing(error: BaseException) -> Job:
    def job(on_progress: OnProgress, cancel: CancelToken) -> None:
        raise error

    return job


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def worker(diary: Diary) -> Iterator[Worker]:
    worker = Worker(diary)
    yield worker
    worker.close()


def test_jobs_run_one_after_the_other_and_every_event_is_in_order(
    worker: Worker, diary: Diary
) -> None:
    gate = Gate()
    worker.submit("first", gate)
    assert gate.entered.wait(PATIENCE)
    worker.submit("second", reporting(("paint", 1)))
    worker.submit("third", returning(3))
    assert worker.busy
    assert worker.waiting == 2
    gate.opened.set()
    diary.wait_for("finished", 3)
    assert diary.story == [
        ("started", "first"),
        ("finished", "first"),
        ("started", "second"),
        ("progress", "second"),
        ("progress", "second"),
        ("finished", "second"),
        ("started", "third"),
        ("finished", "third"),
    ]
    assert [event.result for event in diary.of("finished")] == ["through", None, 3]
    assert [event.waiting for event in diary.of("finished")] == [2, 1, 0]
    assert [event.fraction for event in diary.of("finished")] == [1.0, 1.0, 1.0]
    assert not worker.busy
    assert worker.waiting == 0


def test_the_worker_is_not_busy_any_more_when_it_says_that_it_has_finished() -> None:
    busy: list[bool] = []
    told = threading.Event()

    def listener(event: Event) -> None:
        if event.kind == "finished":
            busy.append(worker.busy)
            told.set()

    worker = Worker(listener)
    worker.submit("job", returning(None))
    assert told.wait(PATIENCE)
    assert busy == [False]
    worker.close()


def test_cancel_stops_the_running_job_and_forgets_the_waiting(worker: Worker, diary: Diary) -> None:
    gate, ran = Gate(), threading.Event()
    worker.submit("running", gate)
    assert gate.entered.wait(PATIENCE)
    for label in ("waiting 1", "waiting 2"):
        worker.submit(label, lambda on_progress, cancel: ran.set())
    assert worker.cancel() == 3
    diary.wait_for("cancelled")
    assert not worker.busy
    worker.submit("after", returning(None))
    diary.wait_for("finished")
    assert diary.story == [
        ("started", "running"),
        ("cancelled", "running"),
        ("started", "after"),
        ("finished", "after"),
    ]
    assert not ran.is_set()


def test_cancel_with_nothing_to_do_is_nothing(worker: Worker, diary: Diary) -> None:
    assert worker.cancel() == 0
    worker.submit("job", returning(None))
    diary.wait_for("finished")
    assert worker.cancel() == 0
    assert diary.of("cancelled") == []


def test_no_cancel_is_lost_between_waiting_and_running(worker: Worker, diary: Diary) -> None:
    """Whenever it comes, the job is dropped or stopped: it never runs on to its end."""

    def until_cancelled(on_progress: OnProgress, cancel: CancelToken) -> None:
        until(lambda: cancel.cancelled)
        raise Cancelled

    for _ in range(200):
        worker.submit("job", until_cancelled)
        assert worker.cancel() >= 1
    worker.submit("last", returning(None))
    diary.wait_for("finished")
    assert {label for _, label in diary.story[-2:]} == {"last"}
    assert len(diary.of("started")) == len(diary.of("cancelled")) + 1


def test_a_users_error_is_told_in_its_own_words_and_is_no_defect(
    worker: Worker, diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    worker.submit("open", failing(VMemError("that is no photo")))
    worker.submit("next", returning(None))
    diary.wait_for("finished")
    (event,) = diary.of("failed")
    assert (event.label, event.message) == ("open", "that is no photo")
    assert caplog.records == []


def test_a_defect_is_logged_with_its_traceback_and_the_next_job_runs(
    worker: Worker, diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    worker.submit("step w", failing(KeyError("oops")))
    worker.submit("next", returning(None))
    diary.wait_for("finished")
    (event,) = diary.of("failed")
    assert event.message == "KeyError: 'oops'"
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[0] is KeyError
    assert "step w" in record.getMessage()


def test_a_failing_listener_stops_neither_job_nor_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    finished = threading.Event()

    def listener(event: Event) -> None:
        if event.label == "first":
            raise RuntimeError("the browser has gone")
        if event.kind == "finished":
            finished.set()

    worker = Worker(listener)
    ran: list[bool] = []

    def job(on_progress: OnProgress, cancel: CancelToken) -> None:
        on_progress(Progress("paint", 1, 2))
        ran.append(True)

    worker.submit("first", job)
    worker.submit("second", returning(None))
    assert finished.wait(PATIENCE)
    assert ran == [True]
    assert len(caplog.records) == 3
    worker.close()


def test_the_listener_can_change_at_any_time(worker: Worker, diary: Diary) -> None:
    worker.submit("for one", returning(None))
    diary.wait_for("finished")
    other = Diary()
    worker.listener = other
    worker.submit("for the other", returning(None))
    other.wait_for("finished")
    assert {label for _, label in diary.story} == {"for one"}
    assert {label for _, label in other.story} == {"for the other"}


def test_close_ends_the_thread_and_what_runs_on_it(diary: Diary) -> None:
    worker = Worker(diary)
    gate, ran = Gate(), threading.Event()
    worker.submit("running", gate)
    assert gate.entered.wait(PATIENCE)
    worker.submit("waiting", lambda on_progress, cancel: ran.set())
    worker.close()
    assert not worker.alive
    assert diary.story == [("started", "running"), ("cancelled", "running")]
    worker.cancel()
    worker.submit("too late", lambda on_progress, cancel: ran.set())
    worker.close()
    assert not ran.is_set()


def test_an_idle_worker_closes_too(diary: Diary) -> None:
    worker = Worker(diary)
    worker.close()
    assert not worker.alive
    assert diary.events == []


def test_no_estimate_in_the_first_job_of_a_kind_and_one_in_the_second(
    worker: Worker, diary: Diary
) -> None:
    stages = reporting(("retrieve", 1), ("generate", 4))
    for label in ("step w", "open photo", "step a"):
        worker.submit(label, stages)
    diary.wait_for("finished", 3)
    etas = {label: [] for label in ("step w", "open photo", "step a")}
    for event in diary.of("progress"):
        etas[event.label].append(event.eta)
    assert set(etas["step w"]) == {None}
    assert set(etas["open photo"]) == {None}
    assert all(eta is not None and eta >= 0 for eta in etas["step a"])


def test_the_estimate_includes_the_waiting_jobs_of_kinds_that_are_known(
    worker: Worker, diary: Diary
) -> None:
    gate = Gate()

    def measured(on_progress: OnProgress, cancel: CancelToken) -> None:
        on_progress(Progress("generate", 0, 2))
        gate(on_progress, cancel)
        on_progress(Progress("generate", 2, 2))

    worker.submit("step w", measured)
    assert gate.entered.wait(PATIENCE)
    for label in ("step a", "step d", "undo"):
        worker.submit(label, measured)
    gate.opened.set()
    diary.wait_for("finished", 4)
    first_reports = [
        e.eta for e in diary.of("progress") if e.progress == Progress("generate", 0, 2)
    ]
    unknown, two_steps, one_step, other_kind = first_reports
    assert (unknown, other_kind) == (None, None)
    # The step that runs and the one that waits, then the one that runs: alike long, to go by.
    assert two_steps is not None
    assert one_step is not None
    assert two_steps > 0
    assert one_step > 0


def test_a_job_that_ends_badly_teaches_nothing_about_time(worker: Worker, diary: Diary) -> None:
    def broken(on_progress: OnProgress, cancel: CancelToken) -> None:
        on_progress(Progress("generate", 0, 4))
        raise VMemError("no luck")

    worker.submit("step w", broken)
    worker.submit("step a", reporting(("generate", 2)))
    diary.wait_for("finished")
    assert {event.eta for event in diary.of("progress")} == {None}


def test_the_fraction_never_falls_when_a_first_job_goes_from_stage_to_stage(
    worker: Worker, diary: Diary
) -> None:
    worker.submit("step w", reporting(("retrieve", 1), ("generate", 4), ("memory", 1)))
    worker.submit("step w", reporting(("retrieve", 1), ("generate", 4), ("memory", 1)))
    diary.wait_for("finished", 2)
    fractions = [event.fraction for event in diary.of("progress")]
    for job in (fractions[:9], fractions[9:]):
        assert job == sorted(job)
        assert job[0] == 0.0
