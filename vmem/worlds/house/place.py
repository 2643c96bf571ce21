"""The one place that every seed builds anew, put together."""

from __future__ import annotations

import numpy as np

from vmem.worlds.house.courtyard import Courtyard
from vmem.worlds.house.floor_plan import draw_outline
from vmem.worlds.house.house import House
from vmem.worlds.house.palette import Swatches
from vmem.worlds.house.records import Vec3
from vmem.worlds.house.scene import SceneBuilder

SUN: Vec3 = (-0.66, -0.62, 0.3)
"""Towards the sun: through the living room's left windows, and along the courtyard's walls."""


def build_scene(seed: int) -> tuple[SceneBuilder, tuple[str, str, str]]:
    """Everything in the world of a seed, in metres, and its sky colours."""
    rng = np.random.default_rng(seed)
    builder = SceneBuilder(mirrored=bool(rng.random() < 0.5))
    plan = draw_outline(rng)
    swatches = Swatches(rng)
    House(builder, rng, plan, swatches).build()
    Courtyard(builder, rng, plan, swatches).build()
    return builder, next(swatches.skies)
