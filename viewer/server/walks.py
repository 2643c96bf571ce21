"""The life of walks: which page holds which, how long one waits for its page, and when it is freed.

A walk belongs to a key, which a tab of a browser keeps. Whoever comes with the key gets the walk,
whatever is believed of the page that had it before: of several connections with one key, the
youngest counts. Knows nothing of viser; called from many threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from viewer.walk.workspace import Workspace


class Visit:
    """One connection of a page to its walk, and what runs for it from `begin` to `end`."""

    def __init__(self, key: str, number: int, page: str) -> None:
        """number: of the connection, greater for a younger one · page: as PageIdentity.page."""
        self.key, self.number, self.page = key, number, page
        self._lock = threading.Lock()
        self._ended = False
        self._leave: Callable[[], object] | None = None

    def begin(self, start: Callable[[], Callable[[], object]]) -> None:
        """Have ``start()`` begin what runs for the page, and return what ends it; nothing happens
        if the visit has ended already. Raises what ``start`` raises."""
        with self._lock:
            if not self._ended:
                self._leave = start()

    def end(self) -> None:
        """End what runs for the page, once; what is just being begun is waited for."""
        with self._lock:
            leave, self._leave, self._ended = self._leave, None, True
        if leave is not None:
            leave()


@dataclass(frozen=True)
class Arrival:
    """What a page finds."""

    workspace: Workspace
    new: bool
    """Whether nobody had this walk: it is to be begun, or brought back."""
    freed: bool
    """Whether it had been here, and was freed while its page was away."""
    before: Visit | None
    """The visit that had the walk until now, to be ended."""


class Walks:
    """The walks that are kept, by key."""

    def __init__(self, keep: float) -> None:
        """keep: seconds that a walk waits for its page before it is freed."""
        self._keep = keep
        self._changed = threading.Condition()
        self._walks: dict[str, _Walk] = {}
        self._freed: set[str] = set()
        self._closing: set[str] = set()

    @property
    def kept(self) -> dict[str, Workspace]:
        """The walks, by key."""
        with self._changed:
            return {key: walk.workspace for key, walk in self._walks.items()}

    def arrive(self, visit: Visit, make: Callable[[], Workspace]) -> Arrival | None:
        """Hand the walk of a visit's key to it; ``make`` makes one that there is not. None for a
        visit that comes too late: a younger connection has the walk."""
        with self._changed:
            # One file must not be opened while it is being closed.
            self._changed.wait_for(lambda: visit.key not in self._closing)
            walk = self._walks.get(visit.key)
            new = walk is None
            if walk is None:
                walk = self._walks[visit.key] = _Walk(make())
            before = walk.visit
            if before is not None and before.number > visit.number:
                return None
            walk.visit = visit
            walk.stop_waiting()
            freed = visit.key in self._freed
            self._freed.discard(visit.key)
            return Arrival(walk.workspace, new, freed, before)

    def leave(self, visit: Visit) -> None:
        """A visit is over: unless another has the walk by now, it waits for one."""
        with self._changed:
            walk = self._walks.get(visit.key)
            if walk is not None and walk.visit is visit:
                walk.visit = None
                walk.wait(self._keep, lambda: self._free(visit.key))

    def close(self, timeout: float) -> None:
        """Close every walk, all at the same time, within ``timeout`` seconds or so."""
        deadline = time.monotonic() + timeout
        with self._changed:
            walks = list(self._walks.values())
            self._walks.clear()
        threads = []
        for walk in walks:
            walk.stop_waiting()
            close = walk.workspace.close
            threads.append(threading.Thread(target=close, args=(timeout,), daemon=True))
            threads[-1].start()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _free(self, key: str) -> None:
        with self._changed:
            walk = self._walks.get(key)
            if walk is None or walk.visit is not None:
                return
            del self._walks[key]
            self._freed.add(key)
            self._closing.add(key)
        try:
            walk.workspace.close()
        finally:
            with self._changed:
                self._closing.discard(key)
                self._changed.notify_all()


class _Walk:
    """A workspace, who has it, and what waits for its page."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.visit: Visit | None = None
        self._timer: threading.Timer | None = None

    def wait(self, seconds: float, then: Callable[[], object]) -> None:
        self.stop_waiting()
        self._timer = threading.Timer(seconds, then)
        self._timer.daemon = True
        self._timer.start()

    def stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
