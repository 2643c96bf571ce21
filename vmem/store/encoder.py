"""Blobs made in threads: when a step is saved, or before, beside the work that makes the step."""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from vmem.store.parts import Job, PartKey


class Encoder:
    """Runs jobs. One that was started early is not run again."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "walk file")
        self._started: dict[Hashable, tuple[Job, Future[bytes]]] = {}
        self._lock = threading.Lock()

    def start(self, jobs: Iterable[Job]) -> None:
        """Begin with jobs that `finish` will be asked for."""
        with self._lock:
            for job in jobs:
                # The job is kept, so that what its key stands for stays alive.
                self._started[job.key] = job, self._pool.submit(job.make)

    def finish(self, parts: Mapping[PartKey, Job]) -> dict[PartKey, bytes]:
        """The blobs of a step. What was started for another is forgotten. Raises what a job
        raises."""
        with self._lock:
            started, self._started = self._started, {}
        futures = {
            key: started[job.key][1] if job.key in started else self._pool.submit(job.make)
            for key, job in parts.items()
        }
        return {key: future.result() for key, future in futures.items()}

    def close(self) -> None:
        """End the threads, without waiting for what nobody needs."""
        self._pool.shutdown(wait=False, cancel_futures=True)
