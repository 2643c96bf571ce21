"""What lets the compiler make vector instructions of a kernel's loops, for `numba.njit`.

``@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")`` on loops in single precision
without a branch, over indices of type INDEX.
"""

from __future__ import annotations

import numpy as np

FAST = {"contract", "arcp", "nsz", "reassoc"}
"""What the compiler may assume of floats: sums in any order, but NaN and infinity keep their
meaning."""
INDEX = np.uintp
"""Signed indices may be negative, which numba looks after at every access: two to three times the
time of a loop over pixels."""
