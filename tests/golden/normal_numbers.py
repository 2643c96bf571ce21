"""Normal numbers as ``numpy.random.RandomState`` draws them, several times as fast.

The recipe of the networks of full size asks for two billion of them. numpy makes one at a time;
here every stage of the polar method is a loop of its own over a block, which compiles to vectors.
"""

from __future__ import annotations

import numba
import numpy as np

WORDS = 624
"""32-bit words of the Mersenne Twister's state, and of a block."""
SHIFT = 397
TRIES = WORDS // 4
"""Points of the square that a block gives: a coordinate takes two words."""
BLOCKS = 8
"""Blocks between two passes that make numbers of points: all arrays stay in the first cache."""

_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


def draw(seed: int, out: np.ndarray, scale: np.float32, shift: np.float32) -> None:
    """Write ``shift + scale * v`` into ``out`` (N,) f32, all in float32, for each v of
    ``RandomState(seed).standard_normal(N)``: float64 to 1e-12, rounded to float32."""
    state = np.random.RandomState(seed).get_state(legacy=False)["state"]
    assert state["pos"] == WORDS, "numpy's generator starts in the middle of a block"
    _draw(state["key"], out, scale, shift)


@_compiled
def _draw(state, out, scale, shift):
    words = np.empty(WORDS, np.uint32)
    x, y, square = np.empty(TRIES), np.empty(TRIES), np.empty(TRIES)
    # One place more: a point outside the circle is written behind the last and then replaced.
    most = BLOCKS * TRIES + 1
    xs, ys, squares, factor = np.empty(most), np.empty(most), np.empty(most), np.empty(most)
    at = 0
    while at < len(out):
        kept = 0
        for _ in range(BLOCKS):
            _twist(state)
            _temper(state, words)
            _points(words, x, y, square)
            kept = _keep(x, y, square, xs, ys, squares, kept)
        _scale(squares, kept, factor)
        whole = min(kept, (len(out) - at) // 2)
        for i in range(whole):
            out[at + 2 * i] = np.float32(ys[i] * factor[i]) * scale + shift
            out[at + 2 * i + 1] = np.float32(xs[i] * factor[i]) * scale + shift
        at += 2 * whole
        if whole < kept and at < len(out):
            out[at] = np.float32(ys[whole] * factor[whole]) * scale + shift
            at += 1


@_compiled
def _twist(state):
    """The next block of the Mersenne Twister, in place. ``state``: (624,) u32.

    Two loops, as the second reads what the first has replaced.
    """
    upper, lower, matrix = np.uint32(0x80000000), np.uint32(0x7FFFFFFF), np.uint32(0x9908B0DF)
    one, zero = np.uint32(1), np.uint32(0)
    rest = WORDS - SHIFT
    for i in range(rest):
        y = (state[i] & upper) | (state[i + 1] & lower)
        state[i] = state[i + SHIFT] ^ (y >> one) ^ ((zero - (y & one)) & matrix)
    for i in range(rest, WORDS - 1):
        y = (state[i] & upper) | (state[i + 1] & lower)
        state[i] = state[i - rest] ^ (y >> one) ^ ((zero - (y & one)) & matrix)
    y = (state[WORDS - 1] & upper) | (state[0] & lower)
    state[WORDS - 1] = state[SHIFT - 1] ^ (y >> one) ^ ((zero - (y & one)) & matrix)


@_compiled
def _temper(state, words):
    for i in range(WORDS):
        y = state[i]
        y ^= y >> np.uint32(11)
        y ^= (y << np.uint32(7)) & np.uint32(0x9D2C5680)
        y ^= (y << np.uint32(15)) & np.uint32(0xEFC60000)
        words[i] = y ^ (y >> np.uint32(18))


@_compiled
def _points(words, x, y, square):
    """Points of the square and their squared distances from its middle."""
    for i in range(TRIES):
        a = np.float64(np.int32(words[4 * i] >> np.uint32(5)))
        b = np.float64(np.int32(words[4 * i + 1] >> np.uint32(6)))
        c = np.float64(np.int32(words[4 * i + 2] >> np.uint32(5)))
        d = np.float64(np.int32(words[4 * i + 3] >> np.uint32(6)))
        u = 2.0 * ((a * 67108864.0 + b) / 9007199254740992.0) - 1.0
        v = 2.0 * ((c * 67108864.0 + d) / 9007199254740992.0) - 1.0
        x[i], y[i], square[i] = u, v, u * u + v * v


@_compiled
def _keep(x, y, square, xs, ys, squares, kept):
    """Append the points inside the circle; without branches, as they cannot be predicted."""
    for i in range(TRIES):
        xs[kept], ys[kept], squares[kept] = x[i], y[i], square[i]
        kept += int((square[i] < 1.0) & (square[i] != 0.0))
    return kept


@_compiled
def _scale(squares, n, factor):
    """``sqrt(-2 log(s) / s)`` of each s in ``squares``: numba has no log of vectors.

    log of power and mantissa, that of the mantissa m by the series in (m - 1) / (m + 1).
    """
    one = np.int64(0x3FF0000000000000)
    least = np.int64(0x3FE6A09E667F3BCD)  # bits of sqrt(1/2), the least mantissa
    for i in range(n):
        bits = np.float64(squares[i]).view(np.int64)
        power = ((bits - least) + one) >> np.int64(52)
        m = np.int64(bits - (power << np.int64(52)) + one).view(np.float64)
        t = (m - 1.0) / (m + 1.0)
        z = t * t
        series = 1 / 17
        series = series * z + 1 / 15
        series = series * z + 1 / 13
        series = series * z + 1 / 11
        series = series * z + 1 / 9
        series = series * z + 1 / 7
        series = series * z + 1 / 5
        series = series * z + 1 / 3
        log = np.float64(np.int32(power) - 1023) * 0.6931471805599453 + 2.0 * t * (series * z + 1)
        factor[i] = np.sqrt(-2.0 * log / squares[i])
