"""A cache that is bounded in bytes: what was used last stays."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

SMALLEST, SMALL = 256, 32
"""Bytes that a value with arrays in it counts for at least, and any other."""


class ByteCache:
    """Values by key, of at most ``bound`` bytes together. Threads may share one.

    A value that is larger than the bound is given out and not kept. Two threads that ask for the
    same at the same time may both load it.
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._held = 0

    @property
    def nbytes(self) -> int:
        """Bytes that are held."""
        return self._held

    def get(self, key: Hashable, load: Callable[[], Any]) -> Any:
        """The value of ``key``: ``load()`` where it is not held. Raises what ``load`` raises."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key][0]
        value = load()
        self.put(key, value)
        return value

    def put(self, key: Hashable, value: Any) -> None:
        """Hold a value as the last used, and let go of the longest unused beyond the bound."""
        size = size_of(value)
        with self._lock:
            self._held -= self._values.pop(key, (None, 0))[1]
            self._values[key] = (value, size)
            self._held += size
            while self._held > self.bound:
                _, (_, gone) = self._values.popitem(last=False)
                self._held -= gone


def size_of(value: Any) -> int:
    """Bytes of the arrays in a value: in mappings, tuples and dataclasses too."""
    if isinstance(value, np.ndarray):
        return max(SMALLEST, value.nbytes)
    if isinstance(value, Mapping):
        return max(SMALLEST, sum(map(size_of, value.values())))
    if isinstance(value, tuple):
        # Of a kind: a retrieval has a reason for each of thousands of views.
        return max(SMALLEST, len(value) * size_of(value[0])) if value else SMALL
    if is_dataclass(value):
        return max(SMALLEST, sum(size_of(getattr(value, name.name)) for name in fields(value)))
    return SMALL
