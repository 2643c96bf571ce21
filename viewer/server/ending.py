"""How signals end the program: the first one in good order, the second one at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 4.0
"""Seconds after the first signal by which the program has ended, whatever still runs."""


@contextmanager
def ended_by_signals(*, exits: bool) -> Iterator[None]:
    """Have the first SIGINT or SIGTERM raise KeyboardInterrupt in the main thread, and the next one
    kill. Nothing can be lost by that: a step is in its file before it is shown.

    exits: the process ends with status 0 after PATIENCE, even if closing takes longer. Outside the
    main thread, where Python allows no signal handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    ending = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal ending
        ending = True
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        if exits:
            watchdog = threading.Timer(PATIENCE, exit_now)
            watchdog.daemon = True
            watchdog.start()
        raise KeyboardInterrupt

    before = {each: signal.signal(each, end) for each in SIGNALS}
    try:
        yield
    finally:
        if not (ending and exits):  # else a second signal kills until the very end
            for each, handler in before.items():
                signal.signal(each, handler)


def exit_now() -> None:
    """End the process with status 0, without waiting for threads that still compute."""
    sys.stdout.flush()
    os._exit(0)
