"""Furniture, pictures, lamps and house plants, each a few convex solids at a ``Spot``."""

from __future__ import annotations

import math

import numpy as np

from vmem.worlds.house.records import Vec3
from vmem.worlds.house.scene import Material, plain
from vmem.worlds.house.spot import BLACK, BRASS, CREAM, GLOW, LINEN, STONE, Finish, Spot
from vmem.worlds.house.textures import Pattern

# --- seats and tables ------------------------------------------------------------------------


def sofa(spot: Spot, finish: Finish, width: float = 2.0) -> None:
    """Seat, back, arms, cushions."""
    w = width / 2
    spot.box((-w, w), (0.08, 0.42), (0.05, 0.88), finish.fabric)
    spot.box((-w, w), (0.42, 0.82), (0.05, 0.28), finish.fabric)
    for side in (-1, 1):
        arm = (side * w - 0.09, side * w + 0.09)
        spot.box(arm, (0.08, 0.6), (0.05, 0.9), finish.fabric)
        spot.ellipsoid(side * (w - 0.38), 0.6, 0.36, (0.22, 0.19, 0.1), finish.accent)
    for side in (-1, 1):
        half = sorted((side * 0.012, side * (w - 0.1)))
        spot.box((half[0], half[1]), (0.42, 0.5), (0.26, 0.86), finish.fabric)


def armchair(spot: Spot, finish: Finish) -> None:
    """A sofa for one in the accent colour."""
    spot.box((-0.36, 0.36), (0.12, 0.44), (0.05, 0.78), finish.accent)
    spot.box((-0.36, 0.36), (0.44, 0.92), (0.05, 0.22), finish.accent)
    for side in (-1, 1):
        spot.box((side * 0.38 - 0.07, side * 0.38 + 0.07), (0.12, 0.6), (0.05, 0.78), finish.accent)
    spot.ellipsoid(0, 0.58, 0.3, (0.2, 0.17, 0.09), finish.fabric)


def table(spot: Spot, wood: Material, width: float, depth: float, height: float) -> None:
    """A top on four legs, centred on the spot."""
    w, d = width / 2, depth / 2
    spot.box((-w, w), (height - 0.05, height), (-d, d), wood)
    for side in (-1, 1):
        for end in (-1, 1):
            across, out = side * (w - 0.07), end * (d - 0.07)
            leg = 0.035
            up = (0.0, height - 0.05)
            spot.box((across - leg, across + leg), up, (out - leg, out + leg), wood)


def chair(spot: Spot, finish: Finish) -> None:
    """A dining chair centred on the spot, its back at the far side."""
    spot.box((-0.21, 0.21), (0.42, 0.47), (-0.21, 0.21), finish.accent)
    for side in (-1, 1):
        for end in (-1, 1):
            across, out = side * 0.18, end * 0.18
            top = 0.92 if end < 0 else 0.42
            spot.box(
                (across - 0.02, across + 0.02), (0, top), (out - 0.02, out + 0.02), finish.wood
            )
    spot.box((-0.2, 0.2), (0.66, 0.9), (-0.2, -0.17), finish.wood)


def vase(spot: Spot, up: float, material: Material, flowers: Material | None = None) -> None:
    """A vase on something ``up`` high, with or without a bunch."""
    spot.ellipsoid(0, up + 0.11, 0, (0.08, 0.12, 0.08), material)
    spot.cylinder(0, 0, 0.035, (up + 0.18, up + 0.27), material)
    if flowers is not None:
        for k in range(5):
            angle = k * 2.4
            across, out = 0.09 * math.cos(angle), 0.09 * math.sin(angle)
            height = up + 0.38 + 0.03 * (k % 3)
            spot.ellipsoid(across, height, out, (0.07, 0.06, 0.07), flowers)


def dining_set(spot: Spot, finish: Finish, flowers: Material) -> None:
    """A table for four with a vase."""
    table(spot, finish.wood, 1.6, 0.9, 0.76)
    for side in (-1, 1):
        for place in (-0.4, 0.4):
            chair(spot.at(place, side * 0.62, math.pi if side > 0 else 0.0), finish)
    vase(spot.at(0.15, 0.0), 0.76, finish.paint, flowers)
    spot.cylinder(-0.35, 0.1, 0.13, (0.76, 0.79), CREAM)
    spot.ellipsoid(-0.35, 0.83, 0.1, (0.05, 0.05, 0.05), plain("#c8402f"))
    spot.ellipsoid(-0.29, 0.83, 0.14, (0.05, 0.05, 0.05), plain("#d9a520"))


def coffee_table(spot: Spot, finish: Finish) -> None:
    """Low, with books and a bowl."""
    table(spot, finish.wood, 1.0, 0.6, 0.4)
    spot.at(-0.2, 0.05, 0.3).box((-0.13, 0.13), (0.4, 0.44), (-0.09, 0.09), finish.accent)
    spot.at(-0.2, 0.05, -0.1).box((-0.11, 0.11), (0.44, 0.47), (-0.08, 0.08), finish.paint)
    spot.ellipsoid(0.25, 0.44, -0.05, (0.13, 0.05, 0.13), finish.paint)


def desk(spot: Spot, finish: Finish) -> None:
    """A desk against a wall with a lamp, a globe, and a chair before it."""
    table(spot.at(0, 0.36), finish.wood, 1.4, 0.68, 0.75)
    spot.box((0.3, 0.66), (0.12, 0.7), (0.06, 0.62), finish.wood)
    spot.cylinder(-0.5, 0.25, 0.09, (0.75, 0.77), BRASS)
    spot.cylinder(-0.5, 0.25, 0.012, (0.77, 1.1), BRASS)
    spot.cylinder(-0.5, 0.25, 0.11, (1.1, 1.26), GLOW)
    spot.light(-0.5, 1.18, 0.25, (0.5, 0.38, 0.22), 2.2)
    ocean = Material(Pattern.LEAVES, ("#2f6fa8", "#3f86b8", "#7a9a4a"), 0.3)
    spot.cylinder(0.45, 0.25, 0.07, (0.75, 0.78), finish.wood)
    spot.ellipsoid(0.45, 0.94, 0.25, (0.15, 0.15, 0.15), ocean)
    spot.box((-0.2, 0.12), (0.75, 0.765), (0.28, 0.5), CREAM)
    chair(spot.at(-0.05, 0.86, math.pi), finish)


# --- against the wall ------------------------------------------------------------------------


def bookcase(spot: Spot, finish: Finish, width: float, seed: int) -> None:
    """Shelves full of books, with a gap here and there for a vase."""
    w, height, depth = width / 2, 2.05, 0.3
    colors = (("#7a2f26", "#24435c", "#c9a24a"), ("#3d5a3a", "#8a4b2a", "#d8c9a4"))[seed % 2]
    for side in (-1, 1):
        edge = sorted((side * w, side * (w - 0.035)))
        spot.box((edge[0], edge[1]), (0, height), (0, depth), finish.wood)
    spot.box((-w, w), (0, height), (0, 0.02), finish.wood)
    rng = np.random.default_rng(seed)
    levels = [0.06, 0.46, 0.84, 1.2, 1.6, 2.0]
    for level in levels:
        spot.box((-w, w), (level, level + 0.035), (0, depth), finish.wood)
    for shelf, level in enumerate(levels[:-1]):
        books = Material(Pattern.BOOKS, colors, 0.045, seed * 11 + shelf)
        top = level + 0.035 + (levels[shelf + 1] - level) * 0.78
        end = w - 0.04 - (0.35 if rng.random() < 0.45 and width > 0.9 else 0.0)
        flat = (books, books, finish.wood, finish.wood, books, books)
        spot.box((-w + 0.04, end), (level + 0.035, top), (0.03, depth - 0.05), flat)
        if end < w - 0.1:
            spot.ellipsoid(w - 0.2, level + 0.12, 0.15, (0.075, 0.1, 0.075), finish.paint)


def sideboard(spot: Spot, finish: Finish, flowers: Material) -> None:
    """A low cupboard with doors, a vase and a lamp."""
    doors = Material(Pattern.PANELS, (*finish.paint.colors[:2], finish.paint.colors[2]), 1.0)
    six = (finish.wood, finish.wood, finish.wood, finish.wood, finish.wood, doors)
    spot.box((-0.8, 0.8), (0.1, 0.8), (0.0, 0.42), six)
    spot.box((-0.83, 0.83), (0.8, 0.84), (0.0, 0.45), finish.wood)
    spot.box((-0.7, 0.7), (0.0, 0.1), (0.05, 0.36), BLACK)
    vase(spot.at(-0.45, 0.22), 0.84, finish.accent, flowers)
    spot.cylinder(0.5, 0.22, 0.07, (0.84, 1.05), finish.paint)
    spot.cylinder(0.5, 0.22, 0.15, (1.07, 1.29), GLOW)
    spot.light(0.5, 1.18, 0.25, (0.55, 0.42, 0.24), 2.4)


def fireplace(spot: Spot, finish: Finish) -> None:
    """A brick hearth with a mantel, embers, and a picture's worth of chimney breast."""
    brick = Material(Pattern.BRICKS, ("#8d4a36", "#a8614a", "#c9bda8"), 0.22, 3)
    for side in (-1, 1):
        edge = sorted((side * 0.75, side * 0.42))
        spot.box((edge[0], edge[1]), (0, 1.05), (0, 0.38), brick)
    spot.box((-0.42, 0.42), (0.75, 1.05), (0, 0.38), brick)
    spot.box((-0.42, 0.42), (0, 0.75), (0, 0.03), BLACK)
    spot.box((-0.86, 0.86), (1.05, 1.12), (0, 0.46), finish.wood)
    spot.box((-0.6, 0.6), (1.12, 2.7), (0, 0.24), finish.paint)
    spot.box((-0.85, 0.85), (0, 0.03), (0, 0.8), STONE)
    for k, across in enumerate((-0.16, 0.0, 0.15)):
        spot.ellipsoid(across, 0.1, 0.2, (0.13, 0.07, 0.09), BLACK if k == 1 else finish.wood)
        spot.ellipsoid(across * 0.7, 0.2, 0.17, (0.06, 0.11, 0.05), plain("#ff8a2a", emission=1.8))
    spot.light(0, 0.45, 0.5, (0.9, 0.42, 0.14), 2.6)
    vase(spot.at(-0.6, 0.3), 1.12, finish.accent)
    spot.cylinder(0.55, 0.33, 0.03, (1.12, 1.36), CREAM)
    spot.cylinder(0.66, 0.33, 0.03, (1.12, 1.28), CREAM)


def wardrobe(spot: Spot, finish: Finish) -> None:
    """Two panelled doors."""
    doors = Material(Pattern.PANELS, finish.wood.colors, 1.0)
    for side in (-1, 1):
        edge = sorted((side * 0.01, side * 0.6))
        six = (finish.wood, finish.wood, finish.wood, finish.wood, finish.wood, doors)
        spot.box((edge[0], edge[1]), (0.08, 2.0), (0, 0.58), six)
        spot.ellipsoid(side * 0.07, 1.0, 0.6, (0.02, 0.04, 0.02), BRASS)
    spot.box((-0.64, 0.64), (2.0, 2.1), (0, 0.62), finish.wood)
    spot.box((-0.58, 0.58), (0, 0.08), (0.03, 0.54), BLACK)


def bed(spot: Spot, finish: Finish) -> None:
    """A double bed with a blanket, pillows, night tables and a lamp."""
    spot.box((-0.85, 0.85), (0.3, 1.1), (0, 0.07), finish.wood)
    spot.box((-0.82, 0.82), (0.12, 0.34), (0.05, 2.05), finish.wood)
    spot.box((-0.79, 0.79), (0.34, 0.54), (0.07, 2.0), LINEN)
    spot.box((-0.83, 0.83), (0.3, 0.58), (0.75, 2.03), finish.fabric)
    spot.box((-0.835, 0.835), (0.32, 0.59), (1.35, 1.75), finish.accent)
    for side in (-1, 1):
        spot.ellipsoid(side * 0.4, 0.62, 0.34, (0.33, 0.11, 0.22), LINEN)
        stand = spot.at(side * 1.15, 0.22)
        stand.box((-0.2, 0.2), (0.05, 0.5), (-0.2, 0.2), finish.wood)
    lamp = spot.at(-1.15, 0.22)
    lamp.cylinder(0, 0, 0.05, (0.5, 0.72), finish.paint)
    lamp.cylinder(0, 0, 0.12, (0.74, 0.93), GLOW)
    lamp.light(0, 0.84, 0.1, (0.5, 0.38, 0.22), 2.2)


def kitchen(spot: Spot, finish: Finish, width: float) -> None:
    """A counter with cupboards above and below, a tiled splashback, a stove and pots."""
    w = width / 2
    doors = Material(Pattern.PANELS, finish.paint.colors, 1.0)
    tiles = Material(Pattern.MOSAIC, ("#f3efe4", "#2f6f8f", "#c98a2f"), 0.16, 5)
    count = max(2, round(width / 0.6))
    step = width / count
    for k in range(count):
        left = -w + k * step
        unit = (left + 0.006, left + step - 0.006)
        six = (doors, doors, doors, doors, doors, doors)
        spot.box(unit, (0.1, 0.86), (0.0, 0.58), six)
        if k != count // 2:
            spot.box(unit, (1.5, 2.15), (0.0, 0.34), six)
    spot.box((-w, w), (0.0, 0.1), (0.0, 0.52), BLACK)
    spot.box((-w, w), (0.86, 0.9), (0.0, 0.62), finish.wood)
    spot.box((-w, w), (0.9, 1.5), (0.0, 0.012), tiles)
    stove = -w + (count // 2 + 0.5) * step
    spot.box((stove - 0.28, stove + 0.28), (0.9, 0.91), (0.06, 0.56), BLACK)
    spot.box((stove - 0.26, stove + 0.26), (1.62, 2.69), (0.0, 0.3), BRASS)
    spot.cylinder(stove - 0.12, 0.22, 0.1, (0.91, 1.07), plain("#b8452f"))
    spot.cylinder(stove + 0.14, 0.4, 0.08, (0.91, 1.0), plain("#7d8a92"))
    spot.ellipsoid(-w + 0.3, 0.97, 0.3, (0.16, 0.07, 0.16), CREAM)
    for k, color in enumerate(("#d9a520", "#c8402f", "#7aa03a")):
        spot.ellipsoid(-w + 0.22 + 0.09 * k, 1.03, 0.3, (0.05, 0.05, 0.05), plain(color))


def picture(spot: Spot, up: float, width: float, height: float, art: Material) -> None:
    """A framed painting hung with its middle ``up`` high."""
    w, h = width / 2, height / 2
    frame = BRASS if art.seed % 2 else BLACK
    spot.box((-w - 0.04, w + 0.04), (up - h - 0.04, up + h + 0.04), (0.0, 0.025), frame)
    spot.box((-w, w), (up - h, up + h), (0.0, 0.032), (frame,) * 4 + (art, art))


def curtains(spot: Spot, width: float, top: float, fabric: Material) -> None:
    """Both halves of a drawn-back pair, in folds, on a rod."""
    for side in (-1, 1):
        for fold in range(5):
            across = side * (width / 2 + 0.02 + 0.055 * fold)
            spot.cylinder(across, 0.09 + 0.018 * (fold % 2), 0.04, (0.04, top + 0.02), fabric)
    rod = width / 2 + 0.34
    spot.box((-rod, rod), (top + 0.02, top + 0.05), (0.08, 0.11), BRASS)


# --- anywhere --------------------------------------------------------------------------------


def rug(spot: Spot, width: float, depth: float, material: Material) -> None:
    """A rug, centred on the spot."""
    spot.box((-width / 2, width / 2), (0.0, 0.012), (-depth / 2, depth / 2), material)


def floor_lamp(spot: Spot) -> None:
    """A lamp with a drum shade."""
    spot.cylinder(0, 0, 0.15, (0, 0.03), BRASS)
    spot.cylinder(0, 0, 0.014, (0.03, 1.4), BRASS)
    spot.cylinder(0, 0, 0.2, (1.38, 1.68), GLOW)
    spot.light(0, 1.55, 0, (0.95, 0.72, 0.42), 3.6)


def pendant(spot: Spot, color: Vec3, ceiling: float) -> None:
    """A globe hung from the ceiling: the light of a room."""
    spot.cylinder(0, 0, 0.008, (ceiling - 0.5, ceiling), BLACK)
    spot.ellipsoid(0, ceiling - 0.6, 0, (0.15, 0.13, 0.15), GLOW)
    spot.light(0, ceiling - 0.6, 0, color, 6.5)


def plant(spot: Spot, pot: Material, seed: int, height: float = 1.2) -> None:
    """A pot with a bush of leaves."""
    leaves = Material(Pattern.LEAVES, ("#23451f", "#3f6b2c", "#8fb356"), 0.22, seed)
    spot.cylinder(0, 0, 0.17, (0, 0.32), pot)
    spot.cylinder(0, 0, 0.19, (0.28, 0.34), pot)
    spot.cylinder(0, 0, 0.02, (0.3, height * 0.7), plain("#5a4630"))
    rng = np.random.default_rng(seed)
    for k in range(7):
        angle = k * 2.4
        spread = 0.2 * rng.uniform(0.5, 1.0)
        up = height * (0.55 + 0.065 * k)
        half = (rng.uniform(0.13, 0.2), rng.uniform(0.08, 0.13), rng.uniform(0.13, 0.2))
        spot.ellipsoid(spread * math.cos(angle), up, spread * math.sin(angle), half, leaves)
