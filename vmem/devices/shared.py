"""A model that a process loads once and lends to one job at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from vmem.progress import CancelToken, OnProgress, Progress

Model = TypeVar("Model")


def stamp(files: tuple[Path, ...] | None) -> tuple[Any, ...]:
    """Path, size and time of each file, to notice that one was replaced; empty without files."""
    return tuple((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files or ())


class SharedModel(Generic[Model]):
    """Holds at most one loaded model.

    device_of: where a model computes. on_unload: called with that device once the model is gone,
    and only then, because its memory is in use as long as it is referenced.
    """

    def __init__(
        self,
        device_of: Callable[[Model], Any] = lambda model: None,
        on_unload: Callable[[Any], object] = lambda device: None,
    ) -> None:
        self._device_of, self._on_unload = device_of, on_unload
        self._busy = threading.Lock()
        self._loaded: dict[Hashable, Model] = {}

    @contextmanager
    def use(
        self,
        key: Callable[[], Hashable],
        load: Callable[[], Model],
        on_progress: OnProgress,
        cancel: CancelToken,
    ) -> Iterator[Model]:
        """The model for the block alone; loaded first where the one held has another ``key()``.

        Raises what ``key`` and ``load`` raise, and Cancelled, also while another job uses it.
        """
        while not self._busy.acquire(timeout=0.05):
            on_progress(Progress("waiting for another walk", 0, 1))
            cancel.check()
        try:
            model = self._loaded.get(key())
            if model is None:
                self._unload()
                model = load()
                # Asked for again: loading may have fetched the files that the key stands for.
                self._loaded[key()] = model
            yield model
        finally:
            self._busy.release()

    def unload(self) -> None:
        """Drop the model, once no job uses it."""
        with self._busy:
            self._unload()

    def _unload(self) -> None:
        devices = {self._device_of(model) for model in self._loaded.values()}
        self._loaded.clear()
        for device in devices:
            self._on_unload(device)
