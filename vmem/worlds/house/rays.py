"""Rays against solids: the first one met, whether any stands in the way, the surface's normal."""

from __future__ import annotations

import math

from vmem.worlds.house.kernels import compiled
from vmem.worlds.house.records import Shape

_NEAR = 1e-4


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
def nearest_solid(solids, tree, ox, oy, oz, dx, dy, dz):
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
def is_blocked(solids, tree, ox, oy, oz, dx, dy, dz, limit):
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
def surface_normal(solid, face, x, y, z):
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
