"""One thread that does the long jobs of one session, one after the other."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass

from vmem.errors import VMemError
from vmem.progress import Cancelled, CancelToken, OnProgress, Progress

log = logging.getLogger(__name__)

Job = Callable[[OnProgress, CancelToken], object]


@dataclass(frozen=True)
class Event:
    """Something that happened to a job.

    kind: "started", "progress", "finished", "failed" or "cancelled" · label of the job · progress
    and fraction (0..1, never falling) and eta (seconds, all waiting jobs included; None until a job
    of its kind has finished) while it runs · result when finished · message when failed · waiting:
    jobs still queued behind it.
    """

    kind: str
    label: str
    waiting: int
    progress: Progress | None = None
    fraction: float = 0.0
    eta: float | None = None
    result: object = None
    message: str = ""


class Worker:
    """Runs jobs in order on a thread of its own; tells ``listener`` from that thread."""

    def __init__(self, listener: Callable[[Event], None]) -> None:
        self.listener = listener
        self._jobs: deque[tuple[str, Job]] = deque()
        self._changed = threading.Condition()  # reentrant
        self._token: CancelToken | None = None
        self._closed = False
        self._meters: defaultdict[str, Meter] = defaultdict(Meter)
        self._thread = threading.Thread(target=self._run, name="session-worker", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """True while a job runs or waits."""
        with self._changed:
            return self._token is not None or bool(self._jobs)

    @property
    def waiting(self) -> int:
        """Jobs queued behind the running one."""
        return len(self._jobs)

    def submit(self, label: str, job: Job) -> None:
        """Queue a job. The label's first word is its kind: jobs of a kind take alike long."""
        with self._changed:
            self._jobs.append((label, job))
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

    def close(self, timeout: float = 10.0) -> None:
        """Cancel everything and end the thread; later jobs are never run."""
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
                label, job = self._jobs.popleft()
                self._token = token = CancelToken()
            event = self._do(label, job, token)
            with self._changed:
                self._token = None
            self._tell(event)

    def _do(self, label: str, job: Job, token: CancelToken) -> Event:
        self._tell(Event("started", label, self.waiting))
        meter = self._meter_of(label)
        meter.start()

        def on_progress(progress: Progress) -> None:
            fraction, left = meter.update(progress)
            eta = None if left is None else left + self._time_of_waiting()
            self._tell(Event("progress", label, self.waiting, progress, fraction, eta))

        try:
            result = job(on_progress, token)
        except Cancelled:
            return Event("cancelled", label, self.waiting)
        except VMemError as error:
            return Event("failed", label, self.waiting, message=str(error))
        except Exception as error:
            # A defect, not the user's doing: the log gets the traceback, the user a plain word.
            log.exception("job %r failed", label)
            return Event("failed", label, self.waiting, message=f"{type(error).__name__}: {error}")
        meter.finish()
        return Event("finished", label, self.waiting, fraction=1.0, result=result)

    def _meter_of(self, label: str) -> Meter:
        return self._meters[label.partition(" ")[0]]

    def _time_of_waiting(self) -> float:
        """Seconds that the waiting jobs will take, as far as jobs of their kinds are known."""
        with self._changed:
            labels = [label for label, _ in self._jobs]
        return sum(self._meter_of(label).typical or 0.0 for label in labels)

    def _tell(self, event: Event) -> None:
        try:
            self.listener(event)
        except Exception:
            log.exception("the listener failed at %r of job %r", event.kind, event.label)


class Meter:
    """Stage reports in, one fraction and an estimate out, by how long stages took last time."""

    def __init__(self) -> None:
        self._known: dict[str, float] = {}
        self._spent: dict[str, float] = {}
        self._stage: str | None = None
        self._stage_began = 0.0
        self._fraction = 0.0

    @property
    def typical(self) -> float | None:
        """Seconds that the last finished job took; None before the first."""
        return sum(self._known.values()) if self._known else None

    def start(self) -> None:
        """A job begins."""
        self._spent = {}
        self._stage = None
        self._stage_began = time.perf_counter()
        self._fraction = 0.0

    def update(self, progress: Progress) -> tuple[float, float | None]:
        """(fraction done, seconds left or None if unknown) after a report.

        The fraction is of the stage in the first job, of the whole job later; it never falls.
        """
        now = time.perf_counter()
        if progress.stage != self._stage:
            self._close_stage(now)
            self._stage = progress.stage
        within = min(1.0, progress.done / max(1, progress.total))
        if not self._known:
            self._fraction = max(self._fraction, within)
            return self._fraction, None
        done = sum(self._known.get(stage, 0.0) for stage in self._spent)
        done += within * self._known.get(progress.stage, 0.0)
        whole = sum(self._known.values())
        self._fraction = max(self._fraction, min(1.0, done / max(whole, 1e-9)))
        return self._fraction, max(0.0, whole - done)

    def finish(self) -> None:
        """The job ended well: remember its stages."""
        self._close_stage(time.perf_counter())
        if self._spent:
            self._known = self._spent

    def _close_stage(self, now: float) -> None:
        if self._stage is not None:
            self._spent[self._stage] = now - self._stage_began
        self._stage_began = now
