"""The procedural world seen exactly: a small ray caster for its colour, depth and normals.

One ray through the centre of every pixel gives depth and normal. Colours come from soft ambient
light, darkened in corners by a baked distance field (Evans, "Fast approximations for global
illumination on dynamic scenes", 2006), from point lights and the sun with true shadows, and are
averaged over four rays where neighbouring pixels differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vmem.cameras import Camera
from vmem.generation.world_scene import OCCLUSION_REACH, Shape, World
from vmem.generation.world_textures import Pattern, cloud, compiled, pattern_at
from vmem.parallel import run_sliced, thread_count
from vmem.views import F32, U8

SKY_DEPTH = 100.0
"""z-depth in scene units given to pixels that see the sky; everything solid is nearer."""

_NEAR = 1e-4
_DIM = 0.003
"""Lamp light too faint to ask whether anything stands in its way."""
_BANDS_A_THREAD = 8
"""Rows are dealt out in more pieces than threads, since they are not equally hard."""
_ROTATED_GRID = ((0.375, 0.125), (0.875, 0.375), (0.125, 0.625), (0.625, 0.875))
"""Four places in a pixel of which no two share a row or a column."""
_CONTRAST = 0.1
"""Neighbouring pixels that differ by more (of 1) are smoothed."""


@dataclass(frozen=True, eq=False)
class WorldRender:
    """rgb (H, W, 3) u8 · depth (H, W) f32 z-depth in scene units, SKY_DEPTH in the sky · normal
    (H, W, 3) f32 unit, world frame, facing the camera (in the sky: towards it) · hit (H, W) bool,
    False in the sky."""

    rgb: U8
    depth: F32
    normal: F32
    hit: NDArray[np.bool_]


def render(world: World, camera: Camera, *, shadows: bool = True) -> WorldRender:
    """What ``camera`` sees of the world. Deterministic; same pixels for any number of threads.

    Without shadows the lamps shine through walls: faster, for tests that look at depth only.
    """
    h, w = camera.hw
    shown = np.zeros((h, w, 3), np.float32)
    rgb = np.zeros((h, w, 3), np.uint8)
    depth = np.zeros((h, w), np.float32)
    normal = np.zeros((h, w, 3), np.float32)
    hit = np.zeros((h, w), np.bool_)
    c2w = np.ascontiguousarray(camera.c2w, np.float64)
    K = np.ascontiguousarray(camera.K, np.float64)
    scene = (
        world.solids,
        world.tree,
        world.materials,
        world.regions,
        world.lamps,
        world.setting,
        world.distance,
    )
    bands = thread_count() * _BANDS_A_THREAD

    def look(_part: int, start: int, stop: int) -> None:
        _look(scene, c2w, K, shadows, start, stop, shown, depth, normal, hit)

    def smooth(_part: int, start: int, stop: int) -> None:
        _smooth(scene, c2w, K, shadows, start, stop, shown, rgb)

    run_sliced(look, h, bands)
    run_sliced(smooth, h, bands)
    return WorldRender(rgb, depth, normal, hit)


# --- rays and solids -------------------------------------------------------------------------


@compiled
def _cross_box(hx, hy, hz, ox, oy, oz, dx, dy, dz):
    """Entry and face of a ray into a box around 0; (inf, 0) for a miss or a start inside."""
    enter, leave, face = -math.inf, math.inf, 0
    for axis in range(3):
        if axis == 0:
            o, d, h = ox, dx, hx
        elif axis == 1:
            o, d, h = oy, dy, hy
        else:
            o, d, h = oz, dz, hz
        if d == 0.0:
            if abs(o) > h:
                return math.inf, 0
            continue
        side = 1.0 if d < 0 else -1.0
        first, last = (side * h - o) / d, (-side * h - o) / d
        if first > enter:
            enter = first
            face = 2 * axis + (1 if d < 0 else 0)
        leave = min(leave, last)
    if enter > leave or enter < _NEAR:
        return math.inf, 0
    return enter, face


@compiled
def _cross_ellipsoid(hx, hy, hz, ox, oy, oz, dx, dy, dz):
    ex, ey, ez = ox / hx, oy / hy, oz / hz
    fx, fy, fz = dx / hx, dy / hy, dz / hz
    a = fx * fx + fy * fy + fz * fz
    b = ex * fx + ey * fy + ez * fz
    c = ex * ex + ey * ey + ez * ez - 1.0
    disc = b * b - a * c
    if disc < 0:
        return math.inf, 0
    t = (-b - math.sqrt(disc)) / a
    return (t, 0) if t >= _NEAR else (math.inf, 0)


@compiled
def _cross_cylinder(radius, hy, ox, oy, oz, dx, dy, dz):
    a = dx * dx + dz * dz
    b = ox * dx + oz * dz
    c = ox * ox + oz * oz - radius * radius
    disc = b * b - a * c
    if disc < 0:
        return math.inf, 0
    if a > 1e-12:
        t = (-b - math.sqrt(disc)) / a
        if t >= _NEAR and abs(oy + t * dy) <= hy:
            return t, 0
    if dy == 0.0:
        return math.inf, 0
    t = ((hy if dy < 0 else -hy) - oy) / dy
    x, z = ox + t * dx, oz + t * dz
    if t < _NEAR or x * x + z * z > radius * radius:
        return math.inf, 0
    return t, 3 if dy < 0 else 2


@compiled
def _cross(solid, ox, oy, oz, dx, dy, dz):
    """Where a ray enters a solid: (distance in lengths of its direction, face)."""
    cosine, sine = solid.cosine, solid.sine
    px, py, pz = ox - solid.center[0], oy - solid.center[1], oz - solid.center[2]
    lx, lz = cosine * px - sine * pz, sine * px + cosine * pz
    rx, rz = cosine * dx - sine * dz, sine * dx + cosine * dz
    hx, hy, hz = solid.half[0], solid.half[1], solid.half[2]
    if solid.shape == Shape.BOX:
        return _cross_box(hx, hy, hz, lx, py, lz, rx, dy, rz)
    if solid.shape == Shape.CYLINDER:
        return _cross_cylinder(hx, hy, lx, py, lz, rx, dy, rz)
    return _cross_ellipsoid(hx, hy, hz, lx, py, lz, rx, dy, rz)


@compiled
def _misses(node, ox, oy, oz, ix, iy, iz, limit):
    """Whether a ray with inverse direction i passes by a node before ``limit``."""
    a, b = (node.low[0] - ox) * ix, (node.high[0] - ox) * ix
    enter, leave = min(a, b), max(a, b)
    a, b = (node.low[1] - oy) * iy, (node.high[1] - oy) * iy
    enter, leave = max(enter, min(a, b)), min(leave, max(a, b))
    a, b = (node.low[2] - oz) * iz, (node.high[2] - oz) * iz
    enter, leave = max(enter, min(a, b)), min(leave, max(a, b))
    return not (enter <= leave and leave > 0.0 and enter < limit)


@compiled
def _inverse(d):
    return 1.0 / d if abs(d) > 1e-30 else 1e30


@compiled
def _nearest(solids, tree, ox, oy, oz, dx, dy, dz):
    """(t, solid, face) of the first solid along a ray; solid is -1 for none."""
    ix, iy, iz = _inverse(dx), _inverse(dy), _inverse(dz)
    best, solid, face = math.inf, -1, 0
    at = 0
    while at < len(tree):
        node = tree[at]
        if _misses(node, ox, oy, oz, ix, iy, iz, best):
            at = node.skip
            continue
        if node.item >= 0:
            t, side = _cross(solids[node.item], ox, oy, oz, dx, dy, dz)
            if t < best:
                best, solid, face = t, node.item, side
        at += 1
    return best, solid, face


@compiled
def _blocked(solids, tree, ox, oy, oz, dx, dy, dz, limit):
    """Whether anything that casts shadows lies on a ray before ``limit``."""
    ix, iy, iz = _inverse(dx), _inverse(dy), _inverse(dz)
    at = 0
    while at < len(tree):
        node = tree[at]
        if _misses(node, ox, oy, oz, ix, iy, iz, limit):
            at = node.skip
            continue
        if node.item >= 0 and solids[node.item].casts:
            t, _ = _cross(solids[node.item], ox, oy, oz, dx, dy, dz)
            if t < limit:
                return True
        at += 1
    return False


@compiled
def _normal(solid, face, x, y, z):
    """Outward unit normal of a solid at a point of its surface."""
    cosine, sine = solid.cosine, solid.sine
    nx, ny, nz = 0.0, 0.0, 0.0
    if solid.shape == Shape.BOX or face >= 2:
        sign = 1.0 if face % 2 == 1 else -1.0
        if face < 2:
            nx = sign
        elif face < 4:
            ny = sign
        else:
            nz = sign
    else:
        px, py, pz = x - solid.center[0], y - solid.center[1], z - solid.center[2]
        hx, hy, hz = solid.half[0], solid.half[1], solid.half[2]
        nx, nz = (cosine * px - sine * pz) / (hx * hx), (sine * px + cosine * pz) / (hz * hz)
        if solid.shape == Shape.ELLIPSOID:
            ny = py / (hy * hy)
        length = math.sqrt(nx * nx + ny * ny + nz * nz)
        nx, ny, nz = nx / length, ny / length, nz / length
    return cosine * nx + sine * nz, ny, -sine * nx + cosine * nz


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
        # Slanted projection: no poles at which a pattern would converge.
        half_u, half_v = hx, hy
        u, v, p, q = lx + 0.6 * lz, py + 0.4 * (lx - lz), lx / hx, py / hy

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
            seen = 0.0 if _blocked(solids, tree, x, y, z, sx, sy, sz, math.inf) else 1.0
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
        if power < _DIM or (shadows and _blocked(solids, tree, x, y, z, lx, ly, lz, 1.0)):
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


# --- pixels ----------------------------------------------------------------------------------


@compiled
def _ray(c2w, K, x, y):
    """World direction through image position (x, y) in pixels, of camera-frame z = 1."""
    a, b = (x - K[0, 2]) / K[0, 0], (y - K[1, 2]) / K[1, 1]
    return (
        c2w[0, 0] * a + c2w[0, 1] * b + c2w[0, 2],
        c2w[1, 0] * a + c2w[1, 1] * b + c2w[1, 2],
        c2w[2, 0] * a + c2w[2, 1] * b + c2w[2, 2],
    )


@compiled
def _color(scene, shadows, pixel, origin, direction, t, index, face):
    """Display colour of what a ray met, and the normal there."""
    solids, tree, materials, regions, lamps, setting, distance = scene
    dx, dy, dz = direction
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    if index < 0:
        nx, ny, nz = -dx / length, -dy / length, -dz / length
        red, green, blue = _sky(setting, -nx, -ny, -nz, pixel)
        return _display(red), _display(green), _display(blue), nx, ny, nz
    x, y, z = origin[0] + t * dx, origin[1] + t * dy, origin[2] + t * dz
    nx, ny, nz = _normal(solids[index], face, x, y, z)
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


@compiled
def _look(scene, c2w, K, shadows, start, stop, shown, depth, normal, hit):
    """One ray a pixel for rows start..stop."""
    origin = (c2w[0, 3], c2w[1, 3], c2w[2, 3])
    pixel = 1.0 / K[0, 0]
    for y in range(start, stop):
        for x in range(depth.shape[1]):
            direction = _ray(c2w, K, x + 0.5, y + 0.5)
            t, solid, face = _nearest(scene[0], scene[1], *origin, *direction)
            red, green, blue, nx, ny, nz = _color(
                scene, shadows, pixel, origin, direction, t, solid, face
            )
            shown[y, x, 0], shown[y, x, 1], shown[y, x, 2] = red, green, blue
            normal[y, x, 0], normal[y, x, 1], normal[y, x, 2] = nx, ny, nz
            hit[y, x] = solid >= 0
            depth[y, x] = t if solid >= 0 else SKY_DEPTH


@compiled
def _contrast(shown, y, x):
    """Largest difference of a channel between a pixel and its four neighbours."""
    largest = 0.0
    for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        b = min(max(y + dy, 0), shown.shape[0] - 1)
        a = min(max(x + dx, 0), shown.shape[1] - 1)
        for channel in range(3):
            largest = max(largest, abs(shown[y, x, channel] - shown[b, a, channel]))
    return largest


@compiled
def _smooth(scene, c2w, K, shadows, start, stop, shown, rgb):
    """The final colours of rows start..stop: four more rays where neighbours differ."""
    origin = (c2w[0, 3], c2w[1, 3], c2w[2, 3])
    pixel = 0.5 / K[0, 0]
    for y in range(start, stop):
        for x in range(rgb.shape[1]):
            red, green, blue = shown[y, x, 0], shown[y, x, 1], shown[y, x, 2]
            if _contrast(shown, y, x) > _CONTRAST:
                total = (0.0, 0.0, 0.0)
                for across, down in _ROTATED_GRID:
                    direction = _ray(c2w, K, x + across, y + down)
                    t, solid, face = _nearest(scene[0], scene[1], *origin, *direction)
                    color = _color(scene, shadows, pixel, origin, direction, t, solid, face)
                    total = (total[0] + color[0], total[1] + color[1], total[2] + color[2])
                red, green, blue = total[0] / 4, total[1] / 4, total[2] / 4
            rgb[y, x, 0] = np.uint8(255.0 * red + 0.5)
            rgb[y, x, 1] = np.uint8(255.0 * green + 0.5)
            rgb[y, x, 2] = np.uint8(255.0 * blue + 0.5)
