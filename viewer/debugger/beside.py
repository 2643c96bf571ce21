"""Questions that take seconds, on a thread beside their owner's: of several the latest wins."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

Question = Callable[[], Any]
Take = Callable[[Any], None]


class Beside:
    """Answers one question at a time; one asked meanwhile waits, in place of what waited before.

    ``ask`` and ``drop`` return at once. An answer is taken on the owner's thread, unless another
    question was asked since, or the question was dropped.
    """

    def __init__(self, post: Callable[..., None]) -> None:
        """``post(call, *arguments)`` runs a call on the owner's thread."""
        self._post = post
        self._lock = threading.Lock()
        self._latest = 0
        self._waiting: tuple[int, Question, Take] | None = None
        self._running = False

    def ask(self, question: Question, take: Take) -> None:
        """Have ``take`` called with what ``question()`` returns, or with the Exception that it
        raises."""
        with self._lock:
            self._latest += 1
            self._waiting = (self._latest, question, take)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="beside", daemon=True).start()

    def drop(self) -> None:
        """No answer is wanted any more."""
        with self._lock:
            self._latest += 1
            self._waiting = None

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._waiting is None:
                    self._running = False
                    return
                (number, question, take), self._waiting = self._waiting, None
            try:
                answer = question()
            except Exception as error:
                answer = error
            self._post(self._deliver, number, take, answer)

    def _deliver(self, number: int, take: Take, answer: Any) -> None:
        if number == self._latest:
            take(answer)
