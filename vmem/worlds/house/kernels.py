"""How the world's kernels are compiled, and when what was compiled before is out of date.

numba keeps compiled code until the file of the called kernel changes, also when that kernel has
taken in others from other files. So only entry points are kept, and those that reach beyond their
own file close over ``source_digest()``, which numba makes part of the key.
"""

from __future__ import annotations

import zlib
from pathlib import Path

from numba import njit

_FLAGS = {"contract", "arcp", "nsz", "reassoc"}
"""Infinities and NaN keep their meaning."""

compiled = njit(nogil=True, error_model="numpy", fastmath=_FLAGS)
"""A kernel that others call; compiled with them."""

entry_point = njit(cache=True, nogil=True, error_model="numpy", fastmath=_FLAGS)
"""A kernel that Python calls; kept on disk."""


def source_digest() -> int:
    """A number that changes with the text of any file of this package."""
    digest = 0
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest = zlib.crc32(path.read_bytes(), digest)
    return digest
