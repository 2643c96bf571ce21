"""Something large that a process loads once and lends to one job at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from vmem.progress import CancelToken, OnProgress, Progress
from vmem.weights.parts import Files

T = TypeVar("T")


def stamp(files: Files | None) -> tuple[Any, ...]:
    """What changes when files are replaced; empty where there are none."""
    return tuple((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files or ())


class Lending(Generic[T]):
    """Keeps one loaded thing. Once it has made room for another, ``freed`` gets what ``place`` said
    of it: only then is its memory really unused."""

    def __init__(
        self,
        place: Callable[[T], Any] = lambda thing: None,
        freed: Callable[[Any], object] = lambda place: None,
    ) -> None:
        self._place, self._freed = place, freed
        self._busy = threading.Lock()
        self._kept: dict[Hashable, T] = {}

    @contextmanager
    def lent(
        self,
        key: Callable[[], Hashable],
        load: Callable[[], T],
        on_progress: OnProgress,
        cancel: CancelToken,
    ) -> Iterator[T]:
        """The thing for the block alone, loaded first where what is kept has another ``key()``.

        Raises what ``key`` and ``load`` raise, and Cancelled, also while another job has it.
        """
        while not self._busy.acquire(timeout=0.05):
            on_progress(Progress("waiting for another walk", 0, 1))
            cancel.check()
        try:
            thing = self._kept.get(key())
            if thing is None:
                self._forget()
                thing = load()
                # Under the key of the files as they are now, if they were fetched.
                self._kept[key()] = thing
            yield thing
        finally:
            self._busy.release()

    def forget(self) -> None:
        """Let the thing go, once no job uses it."""
        with self._busy:
            self._forget()

    def _forget(self) -> None:
        places = {self._place(thing) for thing in self._kept.values()}
        self._kept.clear()
        for place in places:
            self._freed(place)
