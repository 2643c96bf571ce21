"""Data-parallel loops over compiled kernels.

Kernels release the GIL and get a slice each on a shared thread pool. numba's own ``parallel=True``
is not used: its default threading layer aborts the process when two Python threads enter it, and
here the worker, live retrieval and several browsers do.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def thread_count() -> int:
    """Threads that a kernel may use: the CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_count(), thread_name_prefix="kernel")


if hasattr(os, "register_at_fork"):
    # A forked process has none of its parent's threads, so it makes a pool of its own.
    os.register_at_fork(after_in_child=_pool.cache_clear)


def slices(n: int, parts: int) -> list[tuple[int, int]]:
    """``range(n)`` cut into at most ``parts`` contiguous (start, stop), none empty."""
    parts = max(1, min(parts, n))
    edges = [n * i // parts for i in range(parts + 1)]
    return list(pairwise(edges)) if n else []


def read_only(*arrays: NDArray) -> list[NDArray]:
    """Views that cannot be written, contiguous: for numba they are another type than arrays that
    can, so a kernel that gets nothing else is compiled once and not twice."""
    views = [np.ascontiguousarray(array).view() for array in arrays]
    for view in views:
        view.flags.writeable = False
    return views


def run_sliced(kernel: Callable[[int, int, int], object], n: int, parts: int) -> None:
    """Call ``kernel(part, start, stop)`` for every slice of ``range(n)``, in parallel.

    Must not be called from within a kernel of this pool.
    """
    work = [(i, *piece) for i, piece in enumerate(slices(n, parts))]
    others = [_pool().submit(kernel, *item) for item in work[1:]]
    try:
        if work:
            kernel(*work[0])  # the calling thread would only wait
    finally:
        wait(others)
    for future in others:
        future.result()
