"""How long jobs speak: progress reports out, a cancel request in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


class Cancelled(Exception):
    """The job was asked to stop and has stopped; nothing it did is kept."""


class CancelToken:
    """A flag that one thread sets and a job polls: ``token.check()`` raises Cancelled once set."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the job to stop at its next check. Never undone."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """True once a stop was asked for."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise Cancelled if a stop was asked for."""
        if self._event.is_set():
            raise Cancelled("cancelled")


@dataclass(frozen=True)
class Progress:
    """One report: ``stage`` is a plain word, ``done`` of ``total`` units of that stage.

    frames (T, H', W', 3) u8: small pictures of what is being made, as it looks now, or None.
    """

    stage: str
    done: int
    total: int
    frames: NDArray[np.uint8] | None = field(default=None, compare=False)


OnProgress = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """The listener that does not listen."""
