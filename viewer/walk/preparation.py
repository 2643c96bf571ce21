"""What is prepared once, behind a page that is served already: in stages, which others wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from vmem.errors import VMemError
from vmem.progress import Cancelled, CancelToken, OnProgress, Progress, silent

POLL_TIME = 0.1
"""Seconds between looks at whether a waiting job was cancelled."""


class PreparationError(VMemError, RuntimeError):
    """A stage that a job waits for has failed."""


class Preparation:
    """Runs stages one after the other on a thread of its own. Safe to use from any thread."""

    def __init__(self, stages: Mapping[str, Callable[[], object]]) -> None:
        """``stages``: name -> work, in the order in which they are run."""
        self._stages = tuple(stages.values())
        self._place = {name: place for place, name in enumerate(stages, start=1)}
        self._changed = threading.Condition()
        self._done = 0
        self._stopped = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="preparation", daemon=True)

    def start(self) -> None:
        """Begin with the first stage."""
        self._thread.start()

    def is_done(self, name: str) -> bool:
        """Whether ``name`` and all stages before it are done. KeyError for no stage."""
        return self._done >= self._place[name]

    def wait_for(
        self, name: str, on_progress: OnProgress = silent, cancel: CancelToken | None = None
    ) -> None:
        """Return once ``name`` and all stages before it are done; report each as "kernels".

        Raises PreparationError if one of them fails, Cancelled where ``cancel`` says so or the
        preparation was stopped, KeyError for a stage that there is not.
        """
        total = self._place[name]
        reported = -1
        while True:
            with self._changed:
                done, error, stopped = self._done, self._error, self._stopped
                if done <= reported < total and error is None and not stopped:
                    self._changed.wait(POLL_TIME)
            if cancel is not None:
                cancel.check()
            if done >= total:
                return
            if error is not None:
                what = f"{type(error).__name__}: {error}"
                raise PreparationError(f"the kernels cannot be prepared: {what}") from error
            if stopped:
                raise Cancelled("the program ends")
            if done > reported:
                reported = done
                on_progress(Progress("kernels", done, total))

    def finish(self) -> None:
        """Wait for the last stage; raises what a stage has raised."""
        while self._thread.is_alive():
            self._thread.join(1.0)  # without a limit, Windows would hold back an interrupt
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Begin no further stage. Returns at once."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _run(self) -> None:
        stages, self._stages = self._stages, ()  # what they hold is not needed afterwards
        for work in stages:
            if self._stopped:
                return
            try:
                work()
            except BaseException as error:
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                return
            with self._changed:
                self._done += 1
                self._changed.notify_all()
