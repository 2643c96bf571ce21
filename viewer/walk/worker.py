"""One thread that does the long jobs of one session, one after the other."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from viewer.walk.eta import Meter
from vmem.cameras import Camera
from vmem.errors import VMemError
from vmem.progress import Cancelled, CancelToken, OnProgress, Progress
from vmem.session import StepRefused

log = logging.getLogger(__name__)

Job = Callable[[OnProgress, CancelToken], object]
EventKind = Literal["started", "progress", "finished", "refused", "failed", "cancelled"]


@dataclass(frozen=True)
class Event:
    """Something that happened to a job."""

    kind: EventKind
    """What happened."""
    label: str
    """Of the job."""
    waiting: int
    """How many jobs are queued behind it."""
    progress: Progress | None = None
    """Its report, while it runs."""
    fraction: float = 0.0
    """How much of it is done, in [0, 1]; never falls."""
    eta: float | None = None
    """Seconds left, all waiting jobs included; None until a job of its kind has finished."""
    result: object = None
    """What it returned, when it has finished."""
    message: str = ""
    """Why, when it has failed or was refused."""
    stage_left: float | None = None
    """Seconds left of the stage, by its own pace; None before that is known."""
    target: Camera | None = None
    """The camera that the job walks to, if it does."""


class Worker:
    """Runs jobs in order on a thread of its own, and calls ``listener`` from that thread."""

    def __init__(self, listener: Callable[[Event], None]) -> None:
        self.listener = listener
        self._jobs: deque[tuple[str, Job, Camera | None]] = deque()
        self._changed = threading.Condition()  # reentrant
        self._token: CancelToken | None = None
        self._closed = False
        self._meters: defaultdict[str, Meter] = defaultdict(Meter)
        self._thread = threading.Thread(target=self._run, name="session-worker", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def busy(self) -> bool:
        """True while a job runs or waits."""
        with self._changed:
            return self._token is not None or bool(self._jobs)

    @property
    def waiting(self) -> int:
        """Jobs queued behind the running one."""
        return len(self._jobs)

    def submit(self, label: str, job: Job, target: Camera | None = None) -> None:
        """Queue a job. The label's first word is its kind: jobs of a kind take about as long.

        target: the camera that it walks to, for the listener.
        """
        with self._changed:
            self._jobs.append((label, job, target))
            self._changed.notify()

    def cancel(self) -> int:
        """Ask the running job to stop and forget the waiting ones; how many that were in all."""
        with self._changed:
            dropped = len(self._jobs)
            self._jobs.clear()
            if self._token is not None:
                self._token.cancel()
                dropped += 1
            return dropped

    def close(self, timeout: float | None = 10.0) -> None:
        """Cancel everything and end the thread; later jobs are never run. Waits for the job that
        runs for at most ``timeout`` seconds, or with None until it has ended."""
        with self._changed:
            self._closed = True
            self.cancel()
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            # A job leaves the queue and gets its token in one go, so that no cancel misses it.
            with self._changed:
                self._changed.wait_for(lambda: bool(self._jobs) or self._closed)
                if self._closed:
                    return
                label, job, target = self._jobs.popleft()
                self._token = token = CancelToken()
            event = self._do(label, job, target, token)
            with self._changed:
                self._token = None
            self._report(replace(event, target=target))

    def _do(self, label: str, job: Job, target: Camera | None, token: CancelToken) -> Event:
        self._report(Event("started", label, self.waiting, target=target))
        meter = self._meter_of(label)
        meter.start()

        def on_progress(progress: Progress) -> None:
            fraction, left = meter.update(progress)
            eta = None if left is None else left + self._time_of_waiting()
            event = Event("progress", label, self.waiting, progress, fraction, eta)
            self._report(replace(event, stage_left=meter.stage_left(), target=target))

        try:
            result = job(on_progress, token)
        except Cancelled:
            return Event("cancelled", label, self.waiting)
        except StepRefused as error:
            return Event("refused", label, self.waiting, message=str(error))
        except VMemError as error:
            return Event("failed", label, self.waiting, message=str(error))
        except Exception as error:
            # A defect in our code: the log gets the traceback, the user its last line.
            log.exception("job %r failed", label)
            return Event("failed", label, self.waiting, message=f"{type(error).__name__}: {error}")
        meter.finish()
        return Event("finished", label, self.waiting, fraction=1.0, result=result)

    def _meter_of(self, label: str) -> Meter:
        return self._meters[label.partition(" ")[0]]

    def _time_of_waiting(self) -> float:
        """Seconds that the waiting jobs will take, as far as jobs of their kinds are known."""
        with self._changed:
            labels = [label for label, _, _ in self._jobs]
        return sum(self._meter_of(label).typical or 0.0 for label in labels)

    def _report(self, event: Event) -> None:
        try:
            self.listener(event)
        except Exception:
            log.exception("the listener failed at %r of job %r", event.kind, event.label)
