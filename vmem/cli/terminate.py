"""SIGTERM, as a container or a service manager sends it, ends a program as Ctrl-C does."""

from __future__ import annotations

import signal
import threading
from types import FrameType


def terminate_as_interrupt() -> None:
    """Have the first SIGTERM raise KeyboardInterrupt in the main thread; a second one kills.

    Does nothing outside the main thread, where Python allows no signal handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise KeyboardInterrupt
