"""Names for array types in signatures, and arrays that cannot be written."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


def freeze(instance: object, *fields: str) -> None:
    """Put read-only views in place of these arrays of a frozen dataclass; what is None stays.

    Called where an instance is made, so that kernels meet each array as one type: for numba an
    array that can be written is another.
    """
    for field in fields:
        array = getattr(instance, field)
        if array is not None:
            view = array.view()
            view.flags.writeable = False
            object.__setattr__(instance, field, view)
