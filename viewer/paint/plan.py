"""What maps of the walk from above share: x of the world to the right, z upwards, along gravity.

`viewer.paint.map` draws the map of a figure on paper, the page that in a corner of the walker's
picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float

from viewer.paint.thinning import thinned
from vmem.arrays import F32, F64
from vmem.memory import MemorySnapshot
from vmem.types import View

CELLS = 160
"""Cells of the longer side of the picture of what memory holds."""
MOST_SURFELS = 60_000
MARGIN = 0.2
"""Left around what is shown, in its longer side."""
SIGHT_STEP = 16
"""Of a view's depth, every so many pixels are looked at."""

_SIGHTS: WeakKeyDictionary[View, F64] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Plan:
    """A square map of a memory."""

    low: tuple[float, float]
    """Least x and z shown, scene units."""
    side: float
    """Scene units along a side."""
    shade: F32
    """(CELLS, CELLS) how much upright surface lies in each cell, 0 to 1; the first row is the
    least z."""

    def place(self, at: tuple[float, float]) -> F64:
        """(2,) x and z in the world of a place of the picture, (x, y) in [0, 1] from its upper
        left."""
        return np.array(self.low) + self.side * np.array([at[0], 1 - at[1]])


def plan_of(memory: MemorySnapshot) -> Plan:
    """The map that shows all views of a memory, and what those of them look at that are shown of a
    long walk. ValueError without views."""
    if not memory.views:
        raise ValueError("a memory without views has no map: wait for the photo's own view")
    shown = [memory.views[number] for number in thinned(len(memory.views))]
    points = np.concatenate([memory.poses[:, [0, 2], 3], *(_sight(view) for view in shown)])
    low, high = points.min(axis=0), points.max(axis=0)
    side = (1 + 2 * MARGIN) * max(float((high - low).max()), 1e-2)
    low = (low + high - side) / 2
    shade = surfel_shade(memory, len(memory.surfels), low, low + side)
    return Plan((float(low[0]), float(low[1])), side, shade)


def above(position: F64) -> F64:
    """(2,) x and z of a position (3,)."""
    return position[[0, 2]]


def _sight(view: View) -> F64:
    """(2, 2) x and z of a view's camera, and of what it looks at in the middle of its depths."""
    known = _SIGHTS.get(view)
    if known is None:
        far = float(np.median(view.depth[::SIGHT_STEP, ::SIGHT_STEP]))
        c2w = view.camera.c2w
        known = np.stack([above(c2w[:3, 3]), above(c2w[:3, 3] + far * c2w[:3, 2])])
        _SIGHTS[view] = known
    return known


def surfel_shade(
    memory: MemorySnapshot, n: int, low: Float[np.ndarray, " 2"], high: Float[np.ndarray, " 2"]
) -> F32:
    """(h, w) f32 in [0, 1] how many of the first ``n`` surfels, upright ones, lie in each cell of a
    window from ``low`` to ``high`` (x, z); the longer side has CELLS, the first row is least z."""
    every = slice(0, n, max(1, n // MOST_SURFELS))
    # Floors and ceilings would hide the walls.
    upright = np.abs(memory.surfels.normal[every, 1]) < 0.7
    places = memory.surfels.position[every][upright][:, [0, 2]]
    cells = np.ceil(CELLS * (high - low) / max(high - low) - 1e-9).astype(int)
    count, _, _ = np.histogram2d(
        *places.T, bins=tuple(cells), range=[(low[0], high[0]), (low[1], high[1])]
    )
    shade = np.log1p(count.T)
    return np.sqrt(shade / max(shade.max(), 1e-6)).astype(np.float32)


def scale_length(width: float) -> float:
    """The longest of 1, 2 and 5 times a power of ten that is at most 0.35 of ``width``."""
    most = 0.35 * width
    power = float(10 ** np.floor(np.log10(most)))
    return power * max(step for step in (1, 2, 5) if step * power <= most)
