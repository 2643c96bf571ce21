"""The cache that is bounded in bytes, against a slow one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vmem.session.cache import SMALLEST, ByteCache, size_of
from vmem.types import Sparse

BOUND = 4 * SMALLEST


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3)), max_size=40))
def test_what_was_used_last_stays_within_the_bound(asked: list[tuple[int, int]]) -> None:
    cache, sizes = ByteCache(BOUND), dict(asked)
    held: list[int] = []  # the oldest first
    for key, _ in asked:
        loads = []

        def load(key: int = key, loads: list[int] = loads) -> np.ndarray:
            loads.append(key)
            return np.full(sizes[key] * SMALLEST, key, np.uint8)

        assert (cache.get(key, load) == key).all()
        assert loads == ([] if key in held else [key])
        held = [other for other in held if other != key] + [key]
        while sum(sizes[other] for other in held) * SMALLEST > BOUND:
            held.pop(0)
        assert cache.nbytes == sum(sizes[other] for other in held) * SMALLEST


def test_what_is_too_large_is_given_out_and_not_held() -> None:
    cache = ByteCache(BOUND)
    big = np.zeros(BOUND + 1, np.uint8)
    assert cache.get("big", lambda: big) is big
    assert cache.nbytes == 0


def test_sizes_are_those_of_the_arrays_inside() -> None:
    array = np.zeros(1000, np.float32)
    assert size_of({"a": array, "b": None}) >= 4000
    assert size_of((array, array)) >= 8000
    assert size_of(()) < 1000
    assert size_of(Sparse(np.zeros(1000, np.int32), array, 2000)) >= 8000
