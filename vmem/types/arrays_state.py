"""State as named arrays: what the memory keeps for a generator or a geometry, and gives back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

StateArrays = Mapping[str, NDArray[Any]]
"""What a generator or a geometry wants back with a view, as named arrays.

Only the codec of the part that made them understands the names and shapes; everything else keeps,
stores and sends them as they are. Values that numpy has no type for (bfloat16) travel as raw bits.
"""
