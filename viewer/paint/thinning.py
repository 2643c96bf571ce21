"""Which of a long walk's views a picture of it shows: so many at most, however long it is."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

NEWEST = 128
"""Views, the newest, that are all shown."""
OLDER = 256
"""Older ones that are shown at most."""


def thinned(n: int, ends: Sequence[int] | None = None) -> list[int]:
    """Numbers, ascending, of those of ``n`` views that are shown.

    The newest NEWEST, and of the older ones those in ``ends`` (ascending; None: all of them), every
    so many: a power of two, so that as the walk grows views go and none comes back, but for the
    newest.
    """
    newest = max(0, n - NEWEST)
    older = range(newest) if ends is None else ends[: bisect_left(ends, newest)]
    stride = 1
    while len(older) > OLDER * stride:
        stride *= 2
    return [*older[::stride], *range(newest, n)]
