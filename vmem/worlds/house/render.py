"""The procedural world seen by a camera: exact colour, depth and normals.

One ray through the centre of every pixel gives depth and normal; colours are averaged over four
more rays where neighbouring pixels differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vmem.arrays import F32, U8
from vmem.cameras import Camera
from vmem.kernels.parallel import run_sliced, thread_count
from vmem.worlds.house.kernels import compiled, entry_point, source_digest
from vmem.worlds.house.rays import nearest_solid
from vmem.worlds.house.scene import World
from vmem.worlds.house.shading import color_at

SKY_DEPTH = 100.0
"""z-depth in scene units given to pixels that see the sky; everything solid is nearer."""

_BANDS_A_THREAD = 8
"""Rows are dealt out in more pieces than threads, since they are not equally hard."""
_ROTATED_GRID = ((0.375, 0.125), (0.875, 0.375), (0.125, 0.625), (0.625, 0.875))
"""Four places in a pixel of which no two share a row or a column."""
_CONTRAST = 0.12
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
def _look_rows(scene, c2w, K, shadows, start, stop, shown, depth, normal, hit):
    """One ray a pixel for rows start..stop."""
    origin = (c2w[0, 3], c2w[1, 3], c2w[2, 3])
    pixel = 1.0 / K[0, 0]
    for y in range(start, stop):
        for x in range(depth.shape[1]):
            direction = _ray(c2w, K, x + 0.5, y + 0.5)
            t, solid, face = nearest_solid(scene[0], scene[1], *origin, *direction)
            red, green, blue, nx, ny, nz = color_at(
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
def _smooth_rows(scene, c2w, K, shadows, start, stop, shown, rgb):
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
                    t, solid, face = nearest_solid(scene[0], scene[1], *origin, *direction)
                    color = color_at(scene, shadows, pixel, origin, direction, t, solid, face)
                    total = (total[0] + color[0], total[1] + color[1], total[2] + color[2])
                red, green, blue = total[0] / 4, total[1] / 4, total[2] / 4
            rgb[y, x, 0] = np.uint8(255.0 * red + 0.5)
            rgb[y, x, 1] = np.uint8(255.0 * green + 0.5)
            rgb[y, x, 2] = np.uint8(255.0 * blue + 0.5)


def _entry_points(digest: int):
    """The two kernels above, to be compiled anew whenever a file of this package changes."""

    @entry_point
    def look(scene, c2w, K, shadows, start, stop, shown, depth, normal, hit):
        _ = digest
        _look_rows(scene, c2w, K, shadows, start, stop, shown, depth, normal, hit)

    @entry_point
    def smooth(scene, c2w, K, shadows, start, stop, shown, rgb):
        _ = digest
        _smooth_rows(scene, c2w, K, shadows, start, stop, shown, rgb)

    return look, smooth


_look, _smooth = _entry_points(source_digest())
