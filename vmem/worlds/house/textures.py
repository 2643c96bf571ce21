"""Procedural surfaces: where a pattern shows which of a material's three colours.

Every pattern is a function of the position on the surface in periods (u, v), of the position on
the face (p, q) in [-1, 1], and of ``blur``, the size of a pixel in periods: details finer than a
pixel fade into their mean, so that distant brickwork turns into a colour and not into noise. It
returns ``(b, c, gain)``: the surface is ``mix(mix(A, B, b), C, c) * gain`` of the colours A, B, C.
"""

from __future__ import annotations

import math
from enum import IntEnum

from vmem.worlds.house.kernels import compiled


class Pattern(IntEnum):
    """Names of the patterns, in the order of the dispatch below."""

    PLASTER = 0
    PLANKS = 1
    BASKET = 2
    BRICKS = 3
    CHECKER = 4
    FLAGSTONES = 5
    STRIPES = 6
    DAMASK = 7
    WOOD = 8
    FABRIC = 9
    RUG = 10
    PAINTING = 11
    BOOKS = 12
    LEAVES = 13
    PANELS = 14
    ROOF = 15
    WATER = 16
    MOSAIC = 17


# --- noise and anti-aliased edges ------------------------------------------------------------


@compiled
def cell_hash(ix, iy, seed):
    """A number in [0, 1) for a cell of an integer grid."""
    n = (ix * 374761393 + iy * 668265263 + seed * 1274126177) & 0xFFFFFFFF
    n = ((n ^ (n >> 13)) * 1274126177) & 0xFFFFFFFF
    n = n ^ (n >> 16)
    return (n & 0xFFFFFF) / 16777216.0


@compiled
def value_noise(x, y, seed):
    """Smooth noise in [0, 1) with features of size 1."""
    ix, iy = math.floor(x), math.floor(y)
    u, v = x - ix, y - iy
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    top = cell_hash(ix, iy, seed) * (1 - u) + cell_hash(ix + 1, iy, seed) * u
    bottom = cell_hash(ix, iy + 1, seed) * (1 - u) + cell_hash(ix + 1, iy + 1, seed) * u
    return top * (1 - v) + bottom * v


@compiled
def fade(blur):
    """How much of a detail of size 1 is left in a pixel of size ``blur``."""
    return min(1.0, max(0.0, (1.0 - blur) / 0.75))


@compiled
def cloud(x, y, seed, blur):
    """Four octaves of value noise in [0, 1), mean 0.5; octaves finer than a pixel are left out."""
    total, weight, scale = 0.5, 0.5, 1.0
    for octave in range(4):
        keep = fade(blur * scale)
        if keep == 0.0:
            break
        total += weight * keep * (value_noise(x * scale, y * scale, seed + octave) - 0.5)
        weight *= 0.5
        scale *= 2.17
    return total


@compiled
def band(distance, half_width, blur):
    """Share of a pixel of width ``blur`` covered by a line at a distance from its middle."""
    blur = max(blur, 1e-6)
    first = max(distance - blur / 2, -half_width)
    last = min(distance + blur / 2, half_width)
    return max(0.0, last - first) / blur


@compiled
def to_seam(x):
    """Distance to the nearest integer."""
    return abs(x - math.floor(x + 0.5))


@compiled
def joints(x, y, half_width, blur):
    """Share of a pixel covered by the lines between unit cells."""
    across = band(to_seam(x), half_width, blur)
    along = band(to_seam(y), half_width, blur)
    return across + along - across * along


# --- building materials ----------------------------------------------------------------------


@compiled
def _plaster(u, v, blur, seed):
    gain = 1.0 + 0.16 * (cloud(u, v, seed, blur) - 0.5)
    gain += 0.10 * (cloud(u * 14, v * 14, seed + 7, blur * 14) - 0.5)
    return 0.0, 0.0, gain


@compiled
def _planks(u, v, blur, seed):
    """Boards one period wide and seven long, with staggered ends."""
    row = math.floor(v)
    along = u / 7 + 3.7 * cell_hash(row, 3, seed)
    board = math.floor(along)
    tone = cell_hash(row, board, seed)
    grain = cloud(u * 0.7 + 31 * tone, v * 5, seed + 1, blur * 5)
    gap = band(to_seam(v), 0.025, blur) + band(to_seam(along) * 7, 0.02, blur)
    return 0.75 * tone + 0.6 * (grain - 0.5), 0.0, 1.0 - 0.65 * min(1.0, gap)


@compiled
def _basket(u, v, blur, seed):
    """Parquet of squares, each of four strips, turned by turns."""
    iu, iv = math.floor(u), math.floor(v)
    across, along = (u, v) if (iu + iv) % 2 else (v, u)
    strip = math.floor(across * 4)
    tone = cell_hash(iu * 8 + strip, iv * 8 + strip, seed)
    grain = cloud(across * 22, along * 3, seed + 1, blur * 22)
    gap = band(to_seam(across * 4), 0.04, blur * 4) + band(to_seam(along), 0.01, blur)
    return 0.7 * tone * fade(blur * 4) + 0.5 * (grain - 0.5) + 0.15, 0.0, 1.0 - 0.5 * min(1.0, gap)


@compiled
def _bricks(u, v, blur, seed):
    """Running bond; C is the mortar."""
    rows = v * 3.2
    row = math.floor(rows)
    shifted = u + 0.5 * (row % 2)
    tone = cell_hash(math.floor(shifted), row, seed)
    grain = cloud(u * 9, v * 9, seed + 1, blur * 9)
    upright = band(to_seam(shifted), 0.022, blur)
    level = band(to_seam(rows), 0.07, blur * 3.2)
    mortar = upright + level - upright * level
    return 0.9 * tone + 0.5 * (grain - 0.5), mortar, 1.0 + 0.35 * (grain - 0.5)


@compiled
def _checker(u, v, blur, seed):
    """Square tiles in two colours; C is the grout."""
    iu, iv = math.floor(u), math.floor(v)
    sharp = fade(blur)
    tone = cell_hash(iu, iv, seed)
    vein = cloud(u * 1.7 + 9 * tone, v * 1.7, seed + 1, blur * 1.7)
    dark = 0.5 + sharp * ((iu + iv) % 2 - 0.5)
    return dark, 0.8 * joints(u, v, 0.018, blur), 0.93 + 0.14 * tone * sharp + 0.3 * (vein - 0.5)


@compiled
def _flagstones(u, v, blur, seed):
    """Irregular paving: the cells of scattered points; C fills the joints."""
    iu, iv = math.floor(u), math.floor(v)
    nearest, second, tone = 9.0, 9.0, 0.0
    for a in range(iu - 1, iu + 2):
        for b in range(iv - 1, iv + 2):
            x = a + 0.5 + 0.8 * (cell_hash(a, b, seed) - 0.5)
            y = b + 0.5 + 0.8 * (cell_hash(a, b, seed + 1) - 0.5)
            d = math.hypot(u - x, v - y)
            if d < nearest:
                nearest, second, tone = d, nearest, cell_hash(a, b, seed + 2)
            elif d < second:
                second = d
    joint = band((second - nearest) / 2, 0.035, blur)
    grain = cloud(u * 5, v * 5, seed + 3, blur * 5)
    return 0.5 + fade(blur) * (tone - 0.5), joint, 1.0 + 0.5 * (grain - 0.5)


@compiled
def _panels(p, q, fine):
    """A panelled door or wainscot: two rows of two fields with bevelled edges."""
    fields_p = abs(abs(p) - 0.45) - 0.32
    fields_q = abs(abs(q - 0.06) - 0.46) - 0.37
    edge = max(fields_p, fields_q)
    rim = band(edge, 0.035, fine)
    lit = 1.0 if (q > 0.06) == (abs(q - 0.06) > 0.46) else -1.0
    inside = 1.0 if edge < 0 else 0.0
    return 0.35 * inside, 0.0, 1.0 + rim * 0.28 * lit


@compiled
def _roof(u, v, blur, seed):
    """Rows of clay tiles."""
    row = math.floor(v * 2)
    tone = cell_hash(math.floor(u * 2), row, seed)
    wave = math.sin(u * 4 * math.pi) * fade(blur * 2)
    shade = v * 2 - row
    return tone, 0.0, 0.85 + 0.2 * wave + 0.2 * (shade - 0.5) * fade(blur * 2)


# --- textiles and wallpaper ------------------------------------------------------------------


@compiled
def _stripes(u, v, blur, seed):
    """Wide stripes of A and B with thin lines of C between."""
    wide = band(to_seam(u), 0.25, blur)
    thin = band(abs(to_seam(u) - 0.25), 0.018, blur)
    weave = cloud(u * 6, v * 2, seed, blur * 6)
    return wide, thin, 1.0 + 0.08 * (weave - 0.5)


@compiled
def _damask(u, v, blur, seed):
    """A wallpaper of blossoms on a diamond lattice; C is the heart of each."""
    iv = math.floor(v)
    x = u + 0.5 * (iv % 2)
    x, y = x - math.floor(x) - 0.5, v - iv - 0.5
    angle, radius = math.atan2(y, x), math.hypot(x, y)
    petals = 0.30 + 0.11 * math.cos(6 * angle)
    leaf = min(1.0, max(0.0, (petals - radius) / max(blur, 0.03) + 0.5))
    heart = min(1.0, max(0.0, (0.1 - radius) / max(blur, 0.03) + 0.5))
    sharp = fade(blur * 1.5)
    shade = cloud(u * 0.6, v * 0.6, seed, blur)
    return 0.28 + sharp * (leaf - 0.28), heart * sharp, 1.0 + 0.1 * (shade - 0.5)


@compiled
def _wood(u, v, blur, seed):
    """Grain along v."""
    warp = cloud(u * 1.5, v * 0.6, seed, blur)
    grain = cloud(u * 16 + 5 * warp, v * 0.9, seed + 1, blur * 16)
    ring = 0.5 + 0.5 * math.sin(18 * (u + 0.5 * warp) * math.pi) * fade(blur * 9)
    return 0.45 * ring + 0.9 * (grain - 0.25), 0.0, 1.0


@compiled
def _fabric(u, v, blur, seed):
    """A coarse weave."""
    keep = fade(blur * 40)
    weave = math.sin(u * 80 * math.pi) * math.sin(v * 80 * math.pi) * keep
    fold = cloud(u * 2.5, v * 2.5, seed, blur * 2.5)
    return 0.5 * fold, 0.0, 1.0 + 0.1 * weave + 0.25 * (fold - 0.5)


@compiled
def _rug(p, q, u, v, fine, blur, seed):
    """Borders round a field of lozenges with a medallion."""
    edge = max(abs(p), abs(q))
    border = band(edge - 0.86, 0.07, fine)
    piping = band(abs(edge - 0.86) - 0.085, 0.014, fine)
    teeth = 1.0 if to_seam(u * 5) + to_seam(v * 5) < 0.5 else 0.0
    diamond = abs(p) + abs(q) * 0.9
    rings = band(to_seam(diamond * 3.0) - 0.1, 0.13, fine * 3)
    scatter = 1.0 if cell_hash(int(u * 9), int(v * 9), seed) > 0.82 else 0.0
    if edge > 0.78:
        rings = scatter = 0.0
    b = max(border * (0.55 + 0.45 * teeth * fade(blur * 5)), rings)
    c = max(piping, scatter * 0.6 * fade(blur * 9) * (1.0 - rings))
    c = max(c, band(diamond, 0.2, fine) * (1.0 - 0.5 * rings))
    pile = cloud(u * 20, v * 20, seed + 4, blur * 20)
    return b, c, 1.0 + 0.3 * (pile - 0.5)


# --- things ----------------------------------------------------------------------------------


@compiled
def _painting(p, q, fine, seed):
    """A landscape, a still life of blocks, or a target of rings, by seed."""
    kind = seed % 3
    brush = cloud(p * 9, q * 9, seed, fine * 9) - 0.5
    if kind == 0:
        ridge = 0.1 + 0.9 * (cloud(p * 1.5 + 7, 0.0, seed + 1, fine) - 0.5)
        near = 0.5 + 0.6 * (cloud(p * 2.5, 3.0, seed + 2, fine) - 0.5)
        sun = band(math.hypot(p - 0.35, q + 0.45), 0.2, fine)
        sky = 0.35 * (q + 1)
        if q > near:
            return 1.0, 0.0, 0.45 + 0.6 * brush
        if q > ridge:
            return 0.85, 0.1, 0.8 + 0.6 * brush
        return sky, sun, 1.1 + 0.4 * brush
    if kind == 1:
        column = math.floor((p + 1) * 2.2 + 0.6 * cell_hash(int((q + 1) * 2), 0, seed))
        row = math.floor((q + 1) * 2.2 + 0.6 * cell_hash(column, 1, seed))
        tone = cell_hash(column, row, seed + 5)
        b = 1.0 if tone > 0.45 else 0.0
        c = 1.0 if tone > 0.78 else 0.0
        return b, c, 0.75 + 0.5 * cell_hash(column, row, seed + 6) + 0.35 * brush
    radius = math.hypot(p + 0.15 * math.sin(seed), q) * 3.2 + 0.5 * brush
    ring = int(radius)
    return 1.0 * (ring % 2), 1.0 if ring % 3 == 2 else 0.0, 1.0 + 0.4 * brush


@compiled
def _books(u, q, blur, seed):
    """Spines of many widths, heights and colours; dark above them."""
    spine = u + 0.35 * math.sin(u * 2.3 + seed)
    book = math.floor(spine)
    tone, tall = cell_hash(book, 1, seed), cell_hash(book, 2, seed)
    seam = band(to_seam(spine), 0.07, blur)
    label = 0.0
    if cell_hash(book, 3, seed) > 0.4:
        label = band(abs(q - 0.1 - 0.4 * tall), 0.05, 0.02)
    gain = 0.55 + 0.75 * cell_hash(book, 4, seed)
    if q < -0.85 + 0.6 * tall:
        return 0.0, 0.0, 0.12
    b = 1.0 if tone > 0.4 else 0.0
    c = 1.0 if tone > 0.75 else 0.0
    return b, max(c, label), gain * (1.0 - 0.7 * seam)


@compiled
def _leaves(u, v, blur, seed):
    """Foliage or grass: three greens in tufts."""
    large = cloud(u * 1.3, v * 1.3, seed, blur * 1.3)
    small = cloud(u * 6, v * 6, seed + 3, blur * 6)
    light = min(1.0, max(0.0, 3.0 * (small - 0.5)))
    return min(1.0, max(0.0, 2.2 * large - 0.6)), 0.6 * light, 0.75 + 1.1 * (small - 0.3)


@compiled
def _water(u, v, blur, seed):
    ripple = math.sin(9 * math.hypot(u, v) + 4 * cloud(u * 3, v * 3, seed, blur * 3))
    return 0.5 + 0.35 * ripple, 0.0, 1.0


@compiled
def _mosaic(u, v, blur, seed):
    """Glazed tiles with a star of arcs; C outlines it."""
    iu, iv = math.floor(u), math.floor(v)
    x, y = abs(u - iu - 0.5), abs(v - iv - 0.5)
    arc = math.hypot(0.5 - x, 0.5 - y)
    star = min(1.0, max(0.0, (arc - 0.36) / max(blur, 0.02) + 0.5))
    heart = min(1.0, max(0.0, (0.14 - math.hypot(x, y)) / max(blur, 0.02) + 0.5))
    sharp = fade(blur * 1.5)
    outline = band(abs(arc - 0.36), 0.03, blur) + joints(u, v, 0.015, blur)
    b = 0.6 + sharp * (star * (1 - heart) - 0.6)
    return b, min(1.0, outline), 0.94 + 0.12 * cell_hash(iu, iv, seed)


@compiled
def pattern_at(pattern, u, v, p, q, blur, fine, seed):
    """``(b, c, gain)`` of a pattern; ``fine`` is the size of a pixel in units of p and q."""
    if pattern == Pattern.PLASTER:
        return _plaster(u, v, blur, seed)
    if pattern == Pattern.PLANKS:
        return _planks(u, v, blur, seed)
    if pattern == Pattern.BASKET:
        return _basket(u, v, blur, seed)
    if pattern == Pattern.BRICKS:
        return _bricks(u, v, blur, seed)
    if pattern == Pattern.CHECKER:
        return _checker(u, v, blur, seed)
    if pattern == Pattern.FLAGSTONES:
        return _flagstones(u, v, blur, seed)
    if pattern == Pattern.STRIPES:
        return _stripes(u, v, blur, seed)
    if pattern == Pattern.DAMASK:
        return _damask(u, v, blur, seed)
    if pattern == Pattern.WOOD:
        return _wood(u, v, blur, seed)
    if pattern == Pattern.FABRIC:
        return _fabric(u, v, blur, seed)
    if pattern == Pattern.RUG:
        return _rug(p, q, u, v, fine, blur, seed)
    if pattern == Pattern.PAINTING:
        return _painting(p, q, fine, seed)
    if pattern == Pattern.BOOKS:
        return _books(u, q, blur, seed)
    if pattern == Pattern.LEAVES:
        return _leaves(u, v, blur, seed)
    if pattern == Pattern.PANELS:
        return _panels(p, q, fine)
    if pattern == Pattern.ROOF:
        return _roof(u, v, blur, seed)
    if pattern == Pattern.WATER:
        return _water(u, v, blur, seed)
    return _mosaic(u, v, blur, seed)
