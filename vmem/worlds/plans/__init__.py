"""Plans of worlds: one file a plan, one row a name. Every seed gives other measures and colours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vmem.worlds.plan import Plan
from vmem.worlds.plans.house import house
from vmem.worlds.plans.loop_corridor import loop_corridor
from vmem.worlds.plans.spiral_stair import spiral_stair
from vmem.worlds.plans.two_rooms import two_rooms

PLANS: dict[str, Callable[[np.random.Generator], Plan]] = {
    "house": house,
    "loop_corridor": loop_corridor,
    "two_rooms": two_rooms,
    "spiral_stair": spiral_stair,
}
"""What ``make_world`` can build."""
