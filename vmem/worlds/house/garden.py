"""What stands under the open sky: benches, a fountain, trees, columns, flowers."""

from __future__ import annotations

import math

import numpy as np

from vmem.worlds.house.scene import Material
from vmem.worlds.house.spot import BLACK, STONE, TERRACOTTA, Spot
from vmem.worlds.house.textures import Pattern


def bench(spot: Spot, wood: Material) -> None:
    """A garden bench."""
    for k in range(3):
        spot.box((-0.8, 0.8), (0.42, 0.46), (0.08 + 0.15 * k, 0.2 + 0.15 * k), wood)
    for up in (0.6, 0.78):
        spot.box((-0.8, 0.8), (up, up + 0.11), (0.03, 0.07), wood)
    for across in (-0.7, 0.7):
        spot.box((across - 0.04, across + 0.04), (0, 0.42), (0.06, 0.48), BLACK)
        spot.box((across - 0.04, across + 0.04), (0.42, 0.9), (0.0, 0.06), BLACK)


def fountain(spot: Spot, glaze: Material) -> None:
    """A round basin with a bowl on a stem."""
    water = Material(Pattern.WATER, ("#2f7f93", "#7fc4cc", "#ffffff"), 0.5)
    for radius, up in ((1.15, (0.0, 0.12)), (1.0, (0.12, 0.42)), (1.07, (0.42, 0.48))):
        spot.cylinder(0, 0, radius, up, glaze if radius == 1.0 else STONE)
    spot.cylinder(0, 0, 0.92, (0.4, 0.485), water)
    spot.cylinder(0, 0, 0.11, (0.48, 1.05), STONE)
    spot.ellipsoid(0, 1.08, 0, (0.48, 0.12, 0.48), STONE)
    spot.cylinder(0, 0, 0.42, (1.1, 1.185), water)
    spot.ellipsoid(0, 1.28, 0, (0.1, 0.16, 0.1), STONE)


def tree(spot: Spot, leaves: Material, height: float, seed: int) -> None:
    """A trunk and a crown of leaf balls."""
    bark = Material(Pattern.WOOD, ("#4a3826", "#6b5238", "#4a3826"), 0.3)
    spot.cylinder(0, 0, 0.05 * height**0.7, (0, height * 0.75), bark)
    rng = np.random.default_rng(seed)
    size = 0.26 * height
    spot.ellipsoid(0, height * 0.85, 0, (size * 1.1, size * 0.85, size * 1.1), leaves)
    for k in range(6):
        angle = k * 2.4
        reach = size * rng.uniform(0.5, 0.8)
        ball = size * rng.uniform(0.5, 0.75)
        up = height * rng.uniform(0.68, 1.0)
        across, out = reach * math.cos(angle), reach * math.sin(angle)
        spot.ellipsoid(across, up, out, (ball, ball * 0.8, ball), leaves)


def column(spot: Spot, height: float, stone: Material) -> None:
    """A round column with base and capital."""
    spot.box((-0.22, 0.22), (0, 0.14), (-0.22, 0.22), stone)
    spot.cylinder(0, 0, 0.14, (0.14, height - 0.16), stone)
    spot.cylinder(0, 0, 0.18, (height - 0.16, height - 0.1), stone)
    spot.box((-0.22, 0.22), (height - 0.1, height), (-0.22, 0.22), stone)


def planter(spot: Spot, width: float, seed: int) -> None:
    """A trough of flowers."""
    colors = (("#35602a", "#4f7d38", "#d8486a"), ("#35602a", "#5b8a3f", "#e8c23a"))[seed % 2]
    flowers = Material(Pattern.LEAVES, colors, 0.16, seed)
    spot.box((-width / 2, width / 2), (0, 0.4), (-0.2, 0.2), TERRACOTTA)
    count = max(2, round(width / 0.4))
    for k in range(count):
        across = -width / 2 + (k + 0.5) * width / count
        half = (0.62 * width / count, 0.2 + 0.03 * (k % 3), 0.24)
        spot.ellipsoid(across, 0.46, 0.0, half, flowers)
