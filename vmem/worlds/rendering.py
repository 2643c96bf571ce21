"""A world seen by a camera: colour, exact depth and normals.

One ray through the middle of every pixel gives depth and normal. Colours are averaged over four
more rays where neighbouring pixels differ.
"""

from __future__ import annotations

import numpy as np

from vmem.cameras import Camera
from vmem.kernels.parallel import read_only, run_sliced, thread_count
from vmem.worlds.raycast import smooth_rows, trace_rows
from vmem.worlds.world import World, WorldRender

_BANDS_A_THREAD = 8
"""Rows are dealt out in more pieces than threads, since they are not equally hard."""


def render(world: World, camera: Camera, *, shadows: bool = True) -> WorldRender:
    """What ``camera`` sees of the world. Deterministic; same pixels for any number of threads.

    Without shadows the sun shines outdoors only: faster, for tests that look at depth.
    """
    h, w = camera.hw
    shown, normal = np.zeros((h, w, 3), np.float32), np.zeros((h, w, 3), np.float32)
    rgb = np.zeros((h, w, 3), np.uint8)
    depth, hit = np.zeros((h, w), np.float32), np.zeros((h, w), np.bool_)
    c2w, K = read_only(camera.c2w, camera.K)
    scene = (
        world.boxes,
        world.tree,
        world.materials,
        world.regions,
        world.setting,
        world.distance,
    )
    bands = thread_count() * _BANDS_A_THREAD

    def trace(_part: int, start: int, stop: int) -> None:
        trace_rows(scene, c2w, K, shadows, start, stop, shown, depth, normal, hit)

    def smooth(_part: int, start: int, stop: int) -> None:
        smooth_rows(scene, c2w, K, shadows, start, stop, shown, rgb)

    run_sliced(trace, h, bands)
    run_sliced(smooth, h, bands)
    return WorldRender(rgb, depth, normal, hit)
