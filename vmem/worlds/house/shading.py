"""The colour of a point of the procedural world: its surface, the light on it, or the sky.

Soft ambient light, darkened in corners by the distance grid (Evans, "Fast approximations for global
illumination on dynamic scenes", 2006); point lights and the sun with true shadows.
"""

from __future__ import annotations

import math

from vmem.worlds.house.distance import OCCLUSION_REACH
from vmem.worlds.house.kernels import compiled
from vmem.worlds.house.rays import is_blocked, surface_normal
from vmem.worlds.house.records import Shape
from vmem.worlds.house.textures import Pattern, cloud, pattern_at

_DIM = 0.003
"""Lamp light too faint to ask whether anything stands in its way."""


# --- surfaces --------------------------------------------------------------------------------


@compiled
def _surface(solid, materials, face, x, y, z, footprint, metre):
    """(position on the face in metres u, v, the same in [-1, 1], colour r, g, b, emission)."""
    cosine, sine = solid.cosine, solid.sine
    px, py, pz = x - solid.center[0], y - solid.center[1], z - solid.center[2]
    lx, lz = cosine * px - sine * pz, sine * px + cosine * pz
    hx, hy, hz = solid.half[0], solid.half[1], solid.half[2]
    if solid.shape == Shape.BOX or face >= 2:
        if solid.anchored:
            sx, sy, sz = x, y, z
        else:
            sx, sy, sz = lx, py, lz
        if face < 2:
            u, v, p, q, half_u, half_v = sz, sy, lz / hz, py / hy, hz, hy
        elif face < 4:
            u, v, p, q, half_u, half_v = sx, sz, lx / hx, lz / hz, hx, hz
        else:
            u, v, p, q, half_u, half_v = sx, sy, lx / hx, py / hy, hx, hy
    elif solid.shape == Shape.CYLINDER:
        angle = math.atan2(lx, lz)
        half_u, half_v = math.pi * hx, hy
        u, v, p, q = angle * hx, py, angle / math.pi, py / hy
    else:
        # Along the axis that the surface faces most: a seam hides in leaves, a pole would not.
        half_u, half_v, p, q = hx, hy, lx / hx, py / hy
        ax, ay, az = abs(lx) / (hx * hx), abs(py) / (hy * hy), abs(lz) / (hz * hz)
        if ax >= max(ay, az):
            u, v = lz, py
        elif ay >= az:
            u, v = lx, lz
        else:
            u, v = lx, py
    material = materials[solid.material[face]]
    # Grain runs along a board, rugs and pictures know no up.
    if material.turned or (material.pattern == Pattern.WOOD and half_u > half_v):
        u, v = v, u
    period = material.size * metre
    b, c, gain = pattern_at(
        material.pattern,
        u / period,
        v / period,
        p,
        q,
        footprint / period,
        footprint / min(half_u, half_v),
        material.seed,
    )
    b, c, gain = min(1.0, max(0.0, b)), min(1.0, max(0.0, c)), max(0.0, gain)
    palette = material.palette
    red = ((palette[0, 0] * (1 - b) + palette[1, 0] * b) * (1 - c) + palette[2, 0] * c) * gain
    green = ((palette[0, 1] * (1 - b) + palette[1, 1] * b) * (1 - c) + palette[2, 1] * c) * gain
    blue = ((palette[0, 2] * (1 - b) + palette[1, 2] * b) * (1 - c) + palette[2, 2] * c) * gain
    return red, green, blue, material.emission


# --- light -----------------------------------------------------------------------------------


@compiled
def _freedom(distance, setting, x, y, z):
    """Distance to the nearest solid, interpolated in the grid; beyond it that of its border."""
    origin, cell = setting.grid_low, setting.grid_cell
    a = min(max((x - origin[0]) / cell, 0.0), distance.shape[0] - 1.001)
    b = min(max((y - origin[1]) / cell, 0.0), distance.shape[1] - 1.001)
    c = min(max((z - origin[2]) / cell, 0.0), distance.shape[2] - 1.001)
    i, j, k = int(a), int(b), int(c)
    u, v, w = a - i, b - j, c - k
    d = distance
    near = (d[i, j, k] * (1 - w) + d[i, j, k + 1] * w) * (1 - v)
    near += (d[i, j + 1, k] * (1 - w) + d[i, j + 1, k + 1] * w) * v
    far = (d[i + 1, j, k] * (1 - w) + d[i + 1, j, k + 1] * w) * (1 - v)
    far += (d[i + 1, j + 1, k] * (1 - w) + d[i + 1, j + 1, k + 1] * w) * v
    return near * (1 - u) + far * u


@compiled
def _openness(distance, setting, x, y, z, nx, ny, nz):
    """Ambient light let in, 1 on a free surface: how free it is at four distances above it."""
    dark, weight, total = 0.0, 1.0, 0.0
    for step in range(1, 5):
        reach = OCCLUSION_REACH * setting.metre * step / 4
        free = _freedom(distance, setting, x + nx * reach, y + ny * reach, z + nz * reach) / reach
        dark += weight * (1.0 - min(1.0, free))
        total += weight
        weight *= 0.8
    return 1.0 - 0.85 * dark / total


@compiled
def _surroundings(regions, metre, x, y, z):
    """Ambient light r, g, b and share of open sky around a point, blended between regions."""
    red, green, blue, sky, total = 0.0, 0.0, 0.0, 0.0, 1e-3
    red, green, blue, sky = 1e-3 * 0.75, 1e-3 * 0.85, 1e-3, 1e-3
    for i in range(len(regions)):
        region = regions[i]
        dx = max(region.low[0] - x, x - region.high[0], 0.0)
        dy = max(region.low[1] - y, y - region.high[1], 0.0)
        dz = max(region.low[2] - z, z - region.high[2], 0.0)
        closeness = 1.0 / (1.0 + (dx * dx + dy * dy + dz * dz) / (0.06 * metre) ** 2)
        weight = closeness * closeness
        red += weight * region.ambient[0]
        green += weight * region.ambient[1]
        blue += weight * region.ambient[2]
        sky += weight * region.open_sky
        total += weight
    return red / total, green / total, blue / total, sky / total


@compiled
def _light(solids, tree, regions, lamps, setting, distance, shadows, point, normal):
    """Light r, g, b that falls on a surface point."""
    x, y, z = point
    nx, ny, nz = normal
    metre = setting.metre
    off = 0.04 * metre
    red, green, blue, sky = _surroundings(regions, metre, x + nx * off, y + ny * off, z + nz * off)
    soft = _openness(distance, setting, x, y, z, nx, ny, nz) * (0.82 - 0.18 * ny)
    red, green, blue = red * soft, green * soft, blue * soft

    bias = 2e-4
    x, y, z = x + nx * bias, y + ny * bias, z + nz * bias
    sx, sy, sz = setting.sun[0], setting.sun[1], setting.sun[2]
    facing = nx * sx + ny * sy + nz * sz
    if facing > 0.0:
        if shadows:
            seen = 0.0 if is_blocked(solids, tree, x, y, z, sx, sy, sz, math.inf) else 1.0
        else:
            seen = sky
        red += setting.sun_color[0] * facing * seen
        green += setting.sun_color[1] * facing * seen
        blue += setting.sun_color[2] * facing * seen

    for i in range(len(lamps)):
        lamp = lamps[i]
        lx, ly, lz = lamp.position[0] - x, lamp.position[1] - y, lamp.position[2] - z
        square = lx * lx + ly * ly + lz * lz
        along = nx * lx + ny * ly + nz * lz
        if along <= 0.0 or square >= lamp.reach * lamp.reach:
            continue
        fall = (1.0 - square / (lamp.reach * lamp.reach)) ** 2
        power = along / math.sqrt(square) * fall / (0.35 + square / (metre * metre))
        if power < _DIM or (shadows and is_blocked(solids, tree, x, y, z, lx, ly, lz, 1.0)):
            continue
        red += lamp.color[0] * power
        green += lamp.color[1] * power
        blue += lamp.color[2] * power
    return red, green, blue


@compiled
def _sky(setting, dx, dy, dz, blur):
    """Linear r, g, b of the sky along a unit direction: gradient, clouds, sun glow, two ridges."""
    rise = max(0.0, -dy)
    up = 1.0 - (1.0 - rise) ** 3
    cover = cloud(2.2 * dx / (rise + 0.12), 2.2 * dz / (rise + 0.12), setting.sky_seed, blur * 9)
    white = min(1.0, max(0.0, (cover - 0.52) * 5.0)) * min(1.0, rise * 8.0) * 0.8
    glow = 0.25 * max(0.0, dx * setting.sun[0] + dy * setting.sun[1] + dz * setting.sun[2]) ** 32
    # The ridges follow the direction on the ground, so that they close without a seam.
    flat = max(1e-9, math.hypot(dx, dz))
    ax, az = dx / flat, dz / flat
    far = 0.05 + 0.16 * cloud(2 * ax + 20, 2 * az, setting.sky_seed + 3, 0.0)
    near = 0.02 + 0.12 * cloud(3 * ax, 3 * az + 50, setting.sky_seed + 4, 0.0)
    hill = 0.75 if -dy < near else (0.35 if -dy < far else 0.0)
    if hill > 0.0:
        up, white, glow = 0.0, 0.0, 0.0
    red = _sky_channel(setting, 0, up, white, glow, hill)
    green = _sky_channel(setting, 1, up, white, glow, hill)
    blue = _sky_channel(setting, 2, up, white, glow, hill)
    return red, green, blue


@compiled
def _sky_channel(setting, channel, up, white, glow, hill):
    air = setting.horizon[channel] * (1 - up) + setting.zenith[channel] * up
    return (air * (1 - white) + white + glow) * (1 - hill) + setting.hills[channel] * hill


@compiled
def _display(value):
    """Linear light to display sRGB in [0, 1] along a filmic curve (Narkowicz's fit of ACES)."""
    value *= 0.82
    value = value * (2.51 * value + 0.03) / (value * (2.43 * value + 0.59) + 0.14)
    value = min(1.0, max(0.0, value))
    if value <= 0.0031308:
        return 12.92 * value
    return 1.055 * value ** (1 / 2.4) - 0.055


@compiled
def color_at(scene, shadows, pixel, origin, direction, t, index, face):
    """Display colour of what a ray met, and the normal there."""
    solids, tree, materials, regions, lamps, setting, distance = scene
    dx, dy, dz = direction
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    if index < 0:
        nx, ny, nz = -dx / length, -dy / length, -dz / length
        red, green, blue = _sky(setting, -nx, -ny, -nz, pixel)
        return _display(red), _display(green), _display(blue), nx, ny, nz
    x, y, z = origin[0] + t * dx, origin[1] + t * dy, origin[2] + t * dz
    nx, ny, nz = surface_normal(solids[index], face, x, y, z)
    cosine = abs(nx * dx + ny * dy + nz * dz) / length
    # Between the short and the long side of the pixel's stretched image on the surface.
    footprint = t * pixel / max(cosine, 0.02) ** 0.7
    red, green, blue, emission = _surface(
        solids[index], materials, face, x, y, z, footprint, setting.metre
    )
    light = (emission, emission, emission)
    if emission == 0.0:
        light = _light(
            solids, tree, regions, lamps, setting, distance, shadows, (x, y, z), (nx, ny, nz)
        )
    red, green, blue = red * light[0], green * light[1], blue * light[2]
    return _display(red), _display(green), _display(blue), nx, ny, nz
