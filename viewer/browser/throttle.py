"""Updates that must not come too often: the latest request wins, the others are dropped."""

from __future__ import annotations


class Throttle:
    """Lets one update through every ``seconds``. Not thread-safe: one thread calls it."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.due = False
        """Whether an update was requested and not made yet."""
        self.dropped = 0
        """Requests that a later one replaced before an update was made."""
        self._last = 0.0

    def request(self, *, at_once: bool = False) -> None:
        """Ask for an update; ``at_once``: however recent the last one is."""
        self.dropped += self.due
        self.due = True
        if at_once:
            self._last = 0.0

    def withdraw(self) -> None:
        """No update is needed any more."""
        self.due = False

    def wait(self, now: float, hold: float = 0.0) -> float | None:
        """Seconds until the update may be made, at least ``hold``; None if none is due.

        ``now`` is time.perf_counter().
        """
        return max(0.0, self._last + self.seconds - now, hold) if self.due else None

    def take(self, now: float, hold: float = 0.0) -> bool:
        """Whether to make the update now, which then counts as made."""
        if self.wait(now, hold) != 0.0:
            return False
        self._last, self.due = now, False
        return True
