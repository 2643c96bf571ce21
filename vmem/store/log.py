"""Whether a log that a crash left holds steps that SQLite cannot bring back.

SQLite takes a log up to its first frame that is damaged and says nothing of the rest.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_HEAD, _FRAME = 32, 24


class _Frame(NamedTuple):
    commits: bool
    salt: bytes
    sum: tuple[int, int]
    summed: bytes
    """What the sum goes over, beside the sum of the frame before."""


def loses_steps(log: Path) -> bool:
    """Whether the end of a transaction lies beyond the first damage. It may be one that a loss of
    power interrupted. Raises OSError as the disk gives it; nobody must write meanwhile."""
    data = log.read_bytes()
    if len(data) < _HEAD or not any(data[:4]):
        return False
    words = "<u4" if data[3] == 0x82 else ">u4"
    expected = _sum(data[:24], (0, 0), words)
    if expected != struct.unpack_from(">II", data, 24):
        return any(frame.commits for frame in _frames(data))
    sound = True
    for frame in _frames(data):
        of_this = frame.salt == data[16:24]
        if sound:
            expected = _sum(frame.summed, expected, words)
            sound = of_this and frame.sum == expected
        if not sound and of_this and frame.commits:
            return True
    return False


def _frames(data: bytes) -> Iterator[_Frame]:
    (page,) = struct.unpack_from(">I", data, 8)
    if page < 512 or page > 65536 or page & (page - 1):
        return
    for at in range(_HEAD, len(data) - _FRAME - page + 1, _FRAME + page):
        commits, first, second = struct.unpack_from(">I8xII", data, at + 4)
        summed = data[at : at + 8] + data[at + _FRAME : at + _FRAME + page]
        yield _Frame(commits > 0, data[at + 8 : at + 16], (first, second), summed)


def _sum(data: bytes, before: tuple[int, int], words: str) -> tuple[int, int]:
    """SQLite's check sum. Each pair of words x, y turns a, b into a + b + x, a + 2b + x + y, so all
    of them together are a product with fixed numbers, modulo 2^32."""
    weights, start = _weights(len(data) // 8)
    values = np.frombuffer(data, words).astype(np.uint32)
    first, second = weights @ values + start @ np.array(before, np.uint32)
    return int(first), int(second)


@functools.lru_cache(maxsize=4)
def _weights(pairs: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """What each word counts in the two sums (2, 2 pairs), and the sums before (2, 2)."""
    step, of_pair = np.array([[1, 1], [1, 2]], np.uint32), np.array([[1, 0], [1, 1]], np.uint32)
    power, weights = np.eye(2, dtype=np.uint32), np.empty((2, 2 * pairs), np.uint32)
    for pair in reversed(range(pairs)):
        weights[:, 2 * pair : 2 * pair + 2] = power @ of_pair
        power = power @ step
    return weights, power
