"""The world's kernels: first hits of rays, and the colour of what they hit.

All in one file: numba keeps compiled code until the file of a kernel changes, also where that
kernel has taken in others.

Names: (ox, oy, oz) origin and (dx, dy, dz) direction of a ray, (nx, ny, nz) unit normal, t distance
in lengths of the direction, (u, v) position on a face in periods of its material.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from vmem.worlds.world import SKY_DEPTH

_FLAGS = {"contract", "arcp", "nsz", "reassoc"}
"""Infinities and NaN keep their meaning."""
_kernel = njit(nogil=True, error_model="numpy", fastmath=_FLAGS)
_entry_point = njit(cache=True, nogil=True, error_model="numpy", fastmath=_FLAGS)

_NEAR = 1e-4
"""Surfaces nearer than this are not seen."""
_SUN = (2.6, 2.3, 1.85)
_LAMP = (1.75, 1.45, 1.05)
_LAMP_INSET = 1.5
"""Metres between the walls and the area of a ceiling that shines."""
_HAZE = 70.0
"""Metres over which most of a surface outdoors takes the colour of the horizon."""
_CONTRAST = 0.12
"""Neighbouring pixels that differ by more (of 1) are smoothed."""
_ROTATED_GRID = ((0.375, 0.125), (0.875, 0.375), (0.125, 0.625), (0.625, 0.875))
"""Four places in a pixel of which no two share a row or a column."""


# Rays


@_kernel
def _entry(node, ox, oy, oz, ix, iy, iz, limit):
    """(t, axis) where a ray with inverse direction i enters the bounds of a node; t is -inf within
    them, and inf where the ray misses them or meets them beyond ``limit``."""
    a, b = (node.low[0] - ox) * ix, (node.high[0] - ox) * ix
    enter, leave, axis = min(a, b), max(a, b), 0
    a, b = (node.low[1] - oy) * iy, (node.high[1] - oy) * iy
    if min(a, b) > enter:
        enter, axis = min(a, b), 1
    leave = min(leave, max(a, b))
    a, b = (node.low[2] - oz) * iz, (node.high[2] - oz) * iz
    if min(a, b) > enter:
        enter, axis = min(a, b), 2
    leave = min(leave, max(a, b))
    if enter > leave or leave <= 0.0 or enter >= limit:
        return math.inf, axis
    return (enter if enter >= _NEAR else -math.inf), axis


@_kernel
def _first_hit(boxes, tree, ox, oy, oz, dx, dy, dz, shadow):
    """(t, box, face) of the first box that a ray enters; box is -1 for none. For a ``shadow`` any
    box will do, if it casts one."""
    ix = 1.0 / dx if abs(dx) > 1e-30 else 1e30
    iy = 1.0 / dy if abs(dy) > 1e-30 else 1e30
    iz = 1.0 / dz if abs(dz) > 1e-30 else 1e30
    best, box, hit_axis = math.inf, -1, 0
    at = 0
    while at < len(tree):
        t, axis = _entry(tree[at], ox, oy, oz, ix, iy, iz, best)
        if t == math.inf:
            at = tree[at].skip
            continue
        item = tree[at].box
        if item >= 0 and t > 0.0 and not (shadow and not boxes[item].casts):
            best, box, hit_axis = t, item, axis
            if shadow:
                break
        at += 1
    along = dx if hit_axis == 0 else (dy if hit_axis == 1 else dz)
    return best, box, 2 * hit_axis + (1 if along < 0.0 else 0)


@_entry_point
def clearance(boxes, points, distance):
    """Write the distance of each of points (N, 3) to the nearest box, 0 within one."""
    for n in range(len(points)):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        nearest = math.inf
        for i in range(len(boxes)):
            low, high = boxes[i].low, boxes[i].high
            a = max(low[0] - x, x - high[0], 0.0)
            b = max(low[1] - y, y - high[1], 0.0)
            c = max(low[2] - z, z - high[2], 0.0)
            nearest = min(nearest, a * a + b * b + c * c)
        distance[n] = math.sqrt(nearest)


# Patterns. Details finer than a pixel, which is ``blur`` wide, fade into their mean, so that
# distant brickwork turns into a colour and not into noise.


@_kernel
def _hash(i, j, seed):
    """A number in [0, 1) for a cell of an integer grid."""
    n = (i * 374761393 + j * 668265263 + seed * 1274126177) & 0xFFFFFFFF
    n = ((n ^ (n >> 13)) * 1274126177) & 0xFFFFFFFF
    n = n ^ (n >> 16)
    return (n & 0xFFFFFF) / 16777216.0


@_kernel
def _fade(blur):
    """How much of a detail of size 1 is left in a pixel."""
    return min(1.0, max(0.0, (1.0 - blur) / 0.75))


@_kernel
def _noise(x, y, seed, blur):
    """Four octaves of value noise in [-0.5, 0.5); octaves finer than a pixel are left out."""
    total, weight = 0.0, 0.55
    for octave in range(4):
        keep = _fade(blur)
        if keep == 0.0:
            break
        i, j = math.floor(x), math.floor(y)
        u, v = x - i, y - j
        u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
        s = seed + octave
        top = _hash(i, j, s) * (1 - u) + _hash(i + 1, j, s) * u
        bottom = _hash(i, j + 1, s) * (1 - u) + _hash(i + 1, j + 1, s) * u
        total += weight * keep * (top * (1 - v) + bottom * v - 0.5)
        x, y, blur, weight = 2.17 * x, 2.17 * y, 2.17 * blur, 0.5 * weight
    return total


@_kernel
def _line(x, half_width, blur):
    """Share of a pixel covered by the lines around all integers."""
    off, blur = abs(x - math.floor(x + 0.5)), max(blur, 1e-6)
    return max(0.0, min(off + blur / 2, half_width) - max(off - blur / 2, -half_width)) / blur


@_kernel
def _pattern(m, u, v, blur, seed):
    """(mix of A and B, share of C, brightness) of a material at (u, v); see materials.Pattern."""
    width, height = m.cell[0], m.cell[1]
    b = v / height + 0.5
    j = math.floor(b)
    a = u / width + (m.bond * (j % 2) if m.bond >= 0.0 else 3.7 * _hash(j, 3, seed))
    i = math.floor(a)
    sharp = _fade(blur / min(width, height))
    tone = _hash(i, j, seed)
    mix = m.checker * ((i + j) % 2 - 0.5) + m.tone * (tone - 0.5)
    if m.motif > 0.0:
        # The lozenge covers half of its cell: |x| + |y| < 1/2 of a unit square.
        edge = 0.5 - abs(a - i - 0.5) - abs(b - j - 0.5)
        mix += m.motif * min(0.5, max(-0.5, edge / max(blur, 0.02)))
    across, along = m.scale[0], m.scale[1]
    shift = 31.0 * tone if m.tone > 0.0 else 0.0
    grain = _noise(u * across + shift, v * along, seed + 5, blur * max(across, along))
    third = 0.0
    if m.joint > 0.0:
        upright = _line(a, m.joint / width, blur / width)
        level = _line(b, m.joint / height, blur / height)
        third = upright + level - upright * level
    if m.accent > 0.0 and _hash(i, j, seed + 1) < m.accent:
        third = max(third, 0.85 * sharp)
    return 0.5 + sharp * mix + m.grain * grain, third, 1.0 + m.shade * grain


@_kernel
def _surface(box, m, face, x, y, z, footprint, metre):
    """Linear r, g, b of a point of a face; ``footprint`` is the size of a pixel there."""
    if face < 2:
        u, v = z, y
    elif face < 4:
        u, v = x, z
    else:
        u, v = x, y
    if m.turned:
        u, v = v, u
    period = m.size * metre
    b, c, gain = _pattern(m, u / period, v / period, footprint / period, box.seed[face])
    b, c, gain = min(1.0, max(0.0, b)), min(1.0, max(0.0, c)), max(0.0, gain)
    p, a, b = m.palette, gain * (1 - b) * (1 - c), gain * b * (1 - c)
    c *= gain
    return (
        a * p[0, 0] + b * p[1, 0] + c * p[2, 0],
        a * p[0, 1] + b * p[1, 1] + c * p[2, 1],
        a * p[0, 2] + b * p[1, 2] + c * p[2, 2],
    )


# Light: Lambert's law for the sun and for shining ceilings, and ambient light that is darker in
# corners (Evans, "Fast approximations for global illumination on dynamic scenes", 2006).


@_kernel
def _freedom(distance, setting, x, y, z):
    """Distance to the nearest box, interpolated in the grid; beyond the grid that of its border."""
    low, cell = setting.grid_low, setting.grid_cell
    a = min(max((x - low[0]) / cell, 0.0), distance.shape[0] - 1.001)
    b = min(max((y - low[1]) / cell, 0.0), distance.shape[1] - 1.001)
    c = min(max((z - low[2]) / cell, 0.0), distance.shape[2] - 1.001)
    i, j, k = int(a), int(b), int(c)
    u, v, w = a - i, b - j, c - k
    total = 0.0
    for n in range(8):
        e, f, g = n >> 2, (n >> 1) & 1, n & 1
        weight = (u if e else 1 - u) * (v if f else 1 - v) * (w if g else 1 - w)
        total += weight * distance[i + e, j + f, k + g]
    return total


@_kernel
def _openness(distance, setting, x, y, z, nx, ny, nz):
    """Share of the ambient light that reaches a surface: how free it is at two distances."""
    dark = 0.0
    for reach in (0.25 * setting.metre, 0.55 * setting.metre):
        free = _freedom(distance, setting, x + nx * reach, y + ny * reach, z + nz * reach)
        dark += 1.0 - min(1.0, free / reach)
    return 1.0 - 0.42 * dark


@_kernel
def _ceiling(region, x, y, z, nx, ny, nz, metre):
    """Light from the nearest point of the area of a region's ceiling that shines."""
    inset = _LAMP_INSET * metre
    wide = max(0.0, 0.5 * (region.high[0] - region.low[0]) - inset)
    deep = max(0.0, 0.5 * (region.high[2] - region.low[2]) - inset)
    cx, cz = 0.5 * (region.low[0] + region.high[0]), 0.5 * (region.low[2] + region.high[2])
    ax = min(max(x, cx - wide), cx + wide) - x
    ay = region.low[1] + 0.5 * metre - y
    az = min(max(z, cz - deep), cz + deep) - z
    square = ax * ax + ay * ay + az * az
    along = max(0.0, nx * ax + ny * ay + nz * az)
    return along / math.sqrt(square + 1e-9) / (0.35 + square / (metre * metre))


@_kernel
def _light(scene, shadows, x, y, z, nx, ny, nz):
    """Light r, g, b that falls on a surface point."""
    boxes, tree, _, regions, setting, distance = scene
    metre = setting.metre
    off = 0.04 * metre
    px, py, pz = x + nx * off, y + ny * off, z + nz * off
    # Regions are blended by closeness, so that light does not change abruptly in a doorway.
    total, red, green, blue, sky, lamp = 1e-3, 0.62e-3, 0.70e-3, 0.82e-3, 1e-3, 0.0
    for i in range(len(regions)):
        region = regions[i]
        ax = max(region.low[0] - px, px - region.high[0], 0.0)
        ay = max(region.low[1] - py, py - region.high[1], 0.0)
        az = max(region.low[2] - pz, pz - region.high[2], 0.0)
        square = (ax * ax + ay * ay + az * az) / (metre * metre)
        if square > 0.1:
            continue
        weight = 1.0 / (1.0 + 280.0 * square) ** 2
        total += weight
        red += weight * region.ambient[0]
        green += weight * region.ambient[1]
        blue += weight * region.ambient[2]
        sky += weight * region.open_sky
        if region.open_sky == 0.0:
            # What shines down comes back from the floor to the ceiling.
            shine = 0.2 if ny > 0.0 else _ceiling(region, x, y, z, nx, ny, nz, metre)
            lamp += weight * shine
    soft = _openness(distance, setting, x, y, z, nx, ny, nz) * (0.82 - 0.18 * ny) / total
    lamp /= total
    sun = max(0.0, nx * setting.sun[0] + ny * setting.sun[1] + nz * setting.sun[2])
    if not shadows:
        sun *= sky / total
    elif sun > 0.0:
        off = 2e-4
        px, py, pz, to = x + nx * off, y + ny * off, z + nz * off, setting.sun
        if _first_hit(boxes, tree, px, py, pz, to[0], to[1], to[2], True)[1] >= 0:
            sun = 0.0
    return (
        red * soft + lamp * _LAMP[0] + sun * _SUN[0],
        green * soft + lamp * _LAMP[1] + sun * _SUN[1],
        blue * soft + lamp * _LAMP[2] + sun * _SUN[2],
    )


@_kernel
def _sky(setting, dx, dy, dz, blur):
    """Linear r, g, b of the sky along a unit direction: a gradient, clouds, a glow at the sun."""
    rise = max(0.0, -dy)
    up = 1.0 - (1.0 - rise) ** 3
    spread = 2.2 / (rise + 0.12)
    cover = _noise(dx * spread, dz * spread, setting.seed, blur * 9)
    white = min(1.0, max(0.0, cover * 5.0)) * min(1.0, rise * 8.0) * 0.8
    glow = 0.25 * max(0.0, dx * setting.sun[0] + dy * setting.sun[1] + dz * setting.sun[2]) ** 32
    low, high, clear = setting.horizon, setting.zenith, 1 - white
    white += glow
    return (
        (low[0] * (1 - up) + high[0] * up) * clear + white,
        (low[1] * (1 - up) + high[1] * up) * clear + white,
        (low[2] * (1 - up) + high[2] * up) * clear + white,
    )


@_kernel
def _display(value):
    """Linear light to display sRGB in [0, 1] along a filmic curve (Narkowicz's fit of ACES)."""
    value *= 0.82
    value = value * (2.51 * value + 0.03) / (value * (2.43 * value + 0.59) + 0.14)
    value = min(1.0, max(0.0, value))
    if value <= 0.0031308:
        return 12.92 * value
    return 1.055 * value ** (1 / 2.4) - 0.055


@_kernel
def _shade(scene, shadows, pixel, ox, oy, oz, dx, dy, dz, t, index, face):
    """Display colour of what a ray met, and the normal there; ``pixel`` is the angle of a pixel."""
    boxes, _, materials, _, setting, _ = scene
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    if index < 0:
        nx, ny, nz = -dx / length, -dy / length, -dz / length
        red, green, blue = _sky(setting, -nx, -ny, -nz, pixel)
        return _display(red), _display(green), _display(blue), nx, ny, nz
    box, axis, sign = boxes[index], face // 2, 1.0 if face % 2 else -1.0
    nx, ny, nz = sign * (axis == 0), sign * (axis == 1), sign * (axis == 2)
    x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
    cosine = abs(nx * dx + ny * dy + nz * dz) / length
    # Between the short and the long side of the pixel's stretched image on the surface.
    footprint = t * pixel / max(cosine, 0.02) ** 0.7
    material = materials[box.material[face]]
    red, green, blue = _surface(box, material, face, x, y, z, footprint, setting.metre)
    glow = material.emission
    light = (glow, glow, glow)
    if glow == 0.0:
        light = _light(scene, shadows, x, y, z, nx, ny, nz)
    haze = 1.0 - math.exp(-max(0.0, t * length / setting.metre - 12.0) / _HAZE)
    air, clear = setting.horizon, 1.0 - haze
    red = _display(red * light[0] * clear + air[0] * haze)
    green = _display(green * light[1] * clear + air[1] * haze)
    blue = _display(blue * light[2] * clear + air[2] * haze)
    return red, green, blue, nx, ny, nz


# Images


@_kernel
def _look(scene, c2w, K, shadows, x, y, pixel):
    """(r, g, b, nx, ny, nz, t, box) of the ray through image position (x, y) in pixels; its
    direction has camera-frame z = 1, so that t is z-depth."""
    a, b = (x - K[0, 2]) / K[0, 0], (y - K[1, 2]) / K[1, 1]
    dx = c2w[0, 0] * a + c2w[0, 1] * b + c2w[0, 2]
    dy = c2w[1, 0] * a + c2w[1, 1] * b + c2w[1, 2]
    dz = c2w[2, 0] * a + c2w[2, 1] * b + c2w[2, 2]
    ox, oy, oz = c2w[0, 3], c2w[1, 3], c2w[2, 3]
    t, box, face = _first_hit(scene[0], scene[1], ox, oy, oz, dx, dy, dz, False)
    color = _shade(scene, shadows, pixel, ox, oy, oz, dx, dy, dz, t, box, face)
    return (*color, t, box)


@_entry_point
def trace_rows(scene, c2w, K, shadows, start, stop, shown, depth, normal, hit):
    """One ray through the middle of every pixel of rows start..stop."""
    for y in range(start, stop):
        for x in range(depth.shape[1]):
            red, green, blue, nx, ny, nz, t, box = _look(
                scene, c2w, K, shadows, x + 0.5, y + 0.5, 1.0 / K[0, 0]
            )
            shown[y, x, 0], shown[y, x, 1], shown[y, x, 2] = red, green, blue
            normal[y, x, 0], normal[y, x, 1], normal[y, x, 2] = nx, ny, nz
            hit[y, x] = box >= 0
            depth[y, x] = t if box >= 0 else SKY_DEPTH


@_kernel
def _contrast(shown, y, x):
    """Largest difference of a channel between a pixel and its four neighbours."""
    largest = 0.0
    for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        b = min(max(y + dy, 0), shown.shape[0] - 1)
        a = min(max(x + dx, 0), shown.shape[1] - 1)
        for channel in range(3):
            largest = max(largest, abs(shown[y, x, channel] - shown[b, a, channel]))
    return largest


@_entry_point
def smooth_rows(scene, c2w, K, shadows, start, stop, shown, rgb):
    """The final colours of rows start..stop: the mean of four more rays where neighbours differ."""
    for y in range(start, stop):
        for x in range(rgb.shape[1]):
            red, green, blue = shown[y, x, 0], shown[y, x, 1], shown[y, x, 2]
            if _contrast(shown, y, x) > _CONTRAST:
                red, green, blue = 0.0, 0.0, 0.0
                for across, down in _ROTATED_GRID:
                    color = _look(scene, c2w, K, shadows, x + across, y + down, 0.5 / K[0, 0])
                    red, green, blue = red + color[0], green + color[1], blue + color[2]
                red, green, blue = red / 4, green / 4, blue / 4
            rgb[y, x, 0] = np.uint8(255.0 * red + 0.5)
            rgb[y, x, 1] = np.uint8(255.0 * green + 0.5)
            rgb[y, x, 2] = np.uint8(255.0 * blue + 0.5)
