"""Models that a process loads once, one a device, each lent to one job at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from vmem.progress import CancelToken, OnProgress, Progress

Model = TypeVar("Model")


def stamp(files: tuple[Path, ...] | None) -> tuple[Any, ...]:
    """Path, size and time of each file, to notice that one was replaced; empty without files."""
    return tuple((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files or ())


@dataclass(eq=False)
class _Slot(Generic[Model]):
    """A device's model, while it has one, and the lock of the job that uses it."""

    busy: threading.Lock = field(default_factory=threading.Lock)
    loaded: dict[Hashable, Model] = field(default_factory=dict)


class SharedModel(Generic[Model]):
    """Holds at most one loaded model a device; jobs on different devices do not wait for each
    other.

    on_unload: called with the device once its model is gone, and only then, because the memory is
    in use as long as it is referenced.
    """

    def __init__(self, on_unload: Callable[[Any], object] = lambda device: None) -> None:
        self._on_unload = on_unload
        self._lock = threading.Lock()
        self._slots: dict[Hashable, _Slot[Model]] = {}

    @contextmanager
    def use(
        self,
        device: Hashable,
        key: Callable[[], Hashable],
        load: Callable[[], Model],
        on_progress: OnProgress,
        cancel: CancelToken,
    ) -> Iterator[Model]:
        """The device's model for the block alone; loaded first where the one held has another
        ``key()``, which says what it is: its files, its precision.

        Raises what ``key`` and ``load`` raise, and Cancelled, also while another job uses it.
        """
        with self._lock:
            slot = self._slots.setdefault(device, _Slot())
        while not slot.busy.acquire(timeout=0.05):
            on_progress(Progress("waiting for another walk", 0, 1))
            cancel.check()
        try:
            model = slot.loaded.get(key())
            if model is None:
                self._empty(device, slot)
                model = load()
                # Asked for again: loading may have fetched the files that the key stands for.
                slot.loaded[key()] = model
            yield model
        finally:
            slot.busy.release()

    def unload(self) -> None:
        """Drop all models, each once no job uses it."""
        with self._lock:
            slots = list(self._slots.items())
        for device, slot in slots:
            with slot.busy:
                self._empty(device, slot)

    def unload_idle(self, device: Hashable) -> None:
        """Drop a device's model unless a job uses it."""
        with self._lock:
            slot = self._slots.get(device)
        if slot is not None and slot.busy.acquire(blocking=False):
            try:
                self._empty(device, slot)
            finally:
                slot.busy.release()

    def _empty(self, device: Hashable, slot: _Slot[Model]) -> None:
        if slot.loaded:
            slot.loaded.clear()
            self._on_unload(device)
