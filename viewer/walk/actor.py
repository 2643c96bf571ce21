"""A thread that owns its state: everything that happens to it arrives as a call, in order."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)


class Actor:
    """Runs posted calls one after the other on one thread, so that its state needs no lock.

    Whenever no call is waiting, ``settle()`` may do work that only matters for the latest state
    (latest wins); it returns the seconds after which it wants to be called again, or None.
    """

    def __init__(self, name: str) -> None:
        self._inbox: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to take calls."""
        self._thread.start()

    def post(self, call: Callable[..., object], *arguments: object) -> None:
        """Have ``call(*arguments)`` run on the actor's thread, soon. Never blocks."""
        self._inbox.put(lambda: call(*arguments))

    def close(self, timeout: float = 2.0) -> None:
        """Take no further calls, let the one that runs finish, and end the thread."""
        self._closed = True
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout)

    def settle(self) -> float | None:
        """Work for the latest state; override."""
        return None

    def failed(self, error: Exception) -> None:
        """A call or settle raised; override to notify the user. The traceback is already logged."""

    def _run(self) -> None:
        wait: float | None = None
        while not self._closed:
            try:
                call = self._inbox.get(timeout=wait)
            except queue.Empty:
                call = None
            if call is not None:
                self._attempt(call)
            wait = 0.0
            if self._inbox.empty() and not self._closed:
                wait = self._attempt(self.settle)

    def _attempt(self, call: Callable[[], T]) -> T | None:
        """What ``call()`` returns; None if it raises, which is reported unless we are closed."""
        try:
            return call()
        except Exception as error:
            if not self._closed:
                log.exception("in %s", self._thread.name)
                self.failed(error)
            return None
