"""How far it is to the nearest solid: exactly at a point, on a grid to darken corners softly."""

from __future__ import annotations

import math

import numpy as np

from vmem.arrays import F32, F64
from vmem.worlds.house.kernels import compiled, entry_point
from vmem.worlds.house.records import Records, Shape

OCCLUSION_REACH = 0.6
"""Metres beyond which nothing darkens a corner."""
CELL = 0.08
"""Metres between the points of the grid."""


@compiled
def solid_distance(solid, x, y, z):
    """Distance from a point to a SOLID record, 0 inside: exact for boxes and cylinders, and a bound
    from below for ellipsoids."""
    px, py, pz = x - solid.center[0], y - solid.center[1], z - solid.center[2]
    lx, lz = solid.cosine * px - solid.sine * pz, solid.sine * px + solid.cosine * pz
    hx, hy, hz = solid.half[0], solid.half[1], solid.half[2]
    if solid.shape == Shape.BOX:
        dx, dy, dz = max(abs(lx) - hx, 0.0), max(abs(py) - hy, 0.0), max(abs(lz) - hz, 0.0)
        return math.sqrt(dx * dx + dy * dy + dz * dz)
    if solid.shape == Shape.CYLINDER:
        radial = max(math.sqrt(lx * lx + lz * lz) - hx, 0.0)
        return math.hypot(radial, max(abs(py) - hy, 0.0))
    ratio = math.sqrt((lx / hx) ** 2 + (py / hy) ** 2 + (lz / hz) ** 2)
    return max(ratio - 1.0, 0.0) * min(hx, hy, hz)


@entry_point
def clearance(solids, x, y, z):
    """Distance from a point to the nearest of (P,) SOLID, as ``solid_distance`` measures it."""
    nearest = math.inf
    for i in range(len(solids)):
        nearest = min(nearest, solid_distance(solids[i], x, y, z))
    return nearest


@entry_point
def _lower_distance(solids, low, high, reach, setting, distance):
    """Lower the grid cells within ``reach`` of each solid to their distance from it."""
    origin, cell = setting.grid_low, setting.grid_cell
    first, last = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for i in range(len(solids)):
        for axis in range(3):
            start = (low[i, axis] - reach - origin[axis]) / cell
            stop = (high[i, axis] + reach - origin[axis]) / cell
            first[axis] = min(max(start, 0.0), distance.shape[axis])
            last[axis] = min(max(stop + 1.0, 0.0), distance.shape[axis])
        for a in range(first[0], last[0]):
            for b in range(first[1], last[1]):
                for c in range(first[2], last[2]):
                    x, y, z = origin[0] + a * cell, origin[1] + b * cell, origin[2] + c * cell
                    d = solid_distance(solids[i], x, y, z)
                    distance[a, b, c] = min(distance[a, b, c], d)


def bake_distance(solids: Records, low: F64, high: F64, regions: Records, setting: np.void) -> F32:
    """The grid (X, Y, Z) f32 over all regions with some margin, capped at OCCLUSION_REACH."""
    reach = OCCLUSION_REACH * setting["metre"]
    extent = regions["high"].max(axis=0) + reach - setting["grid_low"]
    counts = np.ceil(extent / setting["grid_cell"]).astype(int) + 1
    distance = np.full(counts, reach, np.float32)
    _lower_distance(solids, low, high, reach, setting, distance)
    return distance
