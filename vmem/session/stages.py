"""How long the stages of steps take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stages:
    """Seconds spent in each stage, summed up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the body, whatever ends it."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def since(self, earlier: dict[str, float]) -> dict[str, float]:
        """Seconds spent since ``seconds`` was ``earlier``."""
        return {name: total - earlier.get(name, 0.0) for name, total in self.seconds.items()}
