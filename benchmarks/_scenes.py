"""Scenes for the surfel benchmarks: a furnished house of four rooms, the same on every machine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from vmem.cameras import Camera, Cameras, pixel_rays, rotation_x, rotation_y
from vmem.geometry.alignment.predicted import Predicted
from vmem.memory import MemorySnapshot, ViewMemory
from vmem.raster import Blocks, rasterize
from vmem.types import StepRecord, Surfels, View

HW = (288, 512)
K = np.array([[400.0, 0, 256], [0, 400, 144], [0, 0, 1]])
TILE = 16
"""Surfels along the side of a tile, as association appends them."""
ROOMS = [(x, z) for x in (-3.1, 3.1) for z in (-2.6, 2.6)]
"""Centres of the rooms, each 6 x 2.8 x 5, y down."""
NOTHING = np.zeros((1, 1), np.float32)


def house(n: int, seed: int = 0) -> Surfels:
    """About ``n`` surfels on walls and furniture, tile by tile, every normal toward the rooms.

    Radii are 0.9 of the spacing, give or take a quarter; positions and normals are a little noisy.
    """
    rng = np.random.default_rng(seed)
    faces = []
    for x, z in ROOMS:
        faces += _box((x, 0, z), (6, 2.8, 5), inward=True)
        for _ in range(9):
            size = rng.uniform(0.3, 1.3, 3)
            at = (x + rng.uniform(-2.3, 2.3), 1.4 - size[1] / 2, z + rng.uniform(-1.8, 1.8))
            faces += _box(at, size, inward=False)
    area = sum(4 * np.linalg.norm(u) * np.linalg.norm(v) for _, u, v, _ in faces)
    spacing = math.sqrt(area / n)
    position, normal = [], []
    for origin, u, v, facing in faces:
        grid = _tiled(*(max(1, round(2 * float(np.linalg.norm(e)) / spacing)) for e in (u, v)))
        position.append(origin + grid[:, :1] * u + grid[:, 1:] * v)
        normal.append(np.broadcast_to(facing, (len(grid), 3)))
    at = np.concatenate(position)
    at += rng.normal(size=at.shape) * 0.004 * min(1, math.sqrt(50_000 / n))
    toward = np.concatenate(normal) + rng.normal(size=at.shape) * 0.06
    toward /= np.linalg.norm(toward, axis=1, keepdims=True)
    return Surfels(
        at.astype(np.float32),
        np.ascontiguousarray(toward, np.float32),
        (0.9 * spacing * rng.uniform(0.8, 1.25, len(at))).astype(np.float32),
        rng.integers(0, 256, (len(at), 3), np.uint8),
    )


def _box(centre, size, *, inward: bool):
    """Six faces as (centre, half side u, half side v, normal)."""
    centre, half = np.asarray(centre, float), np.asarray(size, float) / 2
    for axis in range(3):
        for side in (-1.0, 1.0):
            u, v, out = np.zeros(3), np.zeros(3), np.zeros(3)
            u[(axis + 1) % 3], v[(axis + 2) % 3] = half[(axis + 1) % 3], half[(axis + 2) % 3]
            out[axis] = side
            yield centre + half * out, u, v, -out if inward else out


def _tiled(rows: int, columns: int) -> np.ndarray:
    """(rows * columns, 2) cell centres in [-1, 1], tile by tile."""
    i, j = (part.ravel() for part in np.indices((rows, columns)))
    order = np.lexsort((j % TILE, i % TILE, j // TILE, i // TILE))
    return np.stack([(2 * i + 1) / rows - 1, (2 * j + 1) / columns - 1], axis=1)[order]


def look(yaw: float, pitch: float, at: tuple[float, float, float]) -> Camera:
    """A camera of 512 x 288."""
    c2w = np.eye(4)
    c2w[:3, :3] = rotation_y(yaw) @ rotation_x(-pitch)
    c2w[:3, 3] = at
    return Camera(c2w, K, HW)


def cameras(n: int = 5) -> list[Camera]:
    """Cameras that look about in one room."""
    turns = range(n)
    return [
        look(0.7 + 1.3 * i, 0.12, (-3.1 + 0.5 * math.cos(i), -0.2, -2.6 + 0.5 * math.sin(i)))
        for i in turns
    ]


def stroll(n: int) -> list[Camera]:
    """``n`` cameras on a walk around all rooms, turning as it goes."""
    walk = []
    for i in range(n):
        x, z = ROOMS[i * len(ROOMS) // n]
        turn = 2 * math.pi * i * len(ROOMS) / n
        at = (x + 1.2 * math.sin(turn), -0.1, z + math.cos(turn))
        walk.append(look(turn + 0.3 * math.sin(5 * turn), 0.1, at))
    return walk


def milliseconds(*calls: Callable[[], object], times: int = 15) -> tuple[float, float]:
    """Median over ``times`` rounds of the mean over ``calls``: (wall ms, process CPU ms).

    CPU time counts all threads of this process and does not depend on what else runs.
    """
    for call in calls:
        call()
    wall, cpu = [], []
    for _ in range(times):
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        for call in calls:
            call()
        wall.append(time.perf_counter() - wall_start)
        cpu.append(time.process_time() - cpu_start)
    return tuple(1e3 * float(np.median(side)) / len(calls) for side in (wall, cpu))  # pyright: ignore


def alternately(*calls: Callable[[], object], times: int = 15) -> tuple[tuple[float, float], ...]:
    """Median over ``times`` rounds, of each of ``calls`` in turn: (wall ms, process CPU ms)."""
    for call in calls:
        call()
    spent = np.empty((len(calls), 2, times))
    for i in range(times):
        for side, call in enumerate(calls):
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            spent[side, :, i] = time.perf_counter() - wall, time.process_time() - cpu
    return tuple((1e3 * wall, 1e3 * cpu) for wall, cpu in np.median(spent, axis=-1).tolist())


def view_of(camera: Camera, step: int = 0) -> View:
    """A view of which only the camera matters."""
    return View(np.zeros((1, 1, 3), np.uint8), camera, step, NOTHING, NOTHING)


def memory_of(surfels: Surfels, walk: list[Camera], side: int = 256) -> MemorySnapshot:
    """A memory of ``surfels``, each linked to the views of ``walk`` that see it at ``side`` px."""
    blocks = Blocks.of(surfels)
    size = (side * HW[0] // HW[1], side)
    seen = [
        np.unique(rasterize(surfels, camera.resized(size), "cpu", blocks).index) for camera in walk
    ]
    seen = [one[one >= 0].astype(np.int32) for one in seen]
    memory = ViewMemory()
    memory.append(
        StepRecord(
            tuple(view_of(camera) for camera in walk),
            surfels,
            np.concatenate(seen),
            np.repeat(np.arange(len(walk), dtype=np.int32), [len(one) for one in seen]),
            None,
        )
    )
    return memory.snapshot()


def beside(camera: Camera) -> Camera:
    """A little to the right of another camera."""
    c2w = camera.c2w.copy()
    c2w[:3, 3] += 0.05 * c2w[:3, 0]
    return camera.moved_to(c2w)


def spoilt(cameras: Cameras, depth: np.ndarray, rng: np.random.Generator) -> Predicted:
    """Depth (T, H, W) at half its scale, with noise and a fifth of outliers."""
    depth = np.where(depth > 0, depth, 5) / 2 * np.exp(0.02 * rng.normal(size=depth.shape))
    depth *= np.where(rng.uniform(size=depth.shape) < 0.2, 2.5, 1)
    rays = np.stack([pixel_rays(camera) for camera in cameras])
    points = (rays * depth[..., None]).astype(np.float32)
    return Predicted(points, np.full(depth.shape, 8, np.float32))


def stored(walk: list[Camera], depths: list[np.ndarray]) -> tuple[View, ...]:
    """Black views of known depth."""
    rgb, sure = np.zeros((*HW, 3), np.uint8), np.ones(HW, np.float32)
    return tuple(
        View(rgb, camera, 0, depth, sure) for camera, depth in zip(walk, depths, strict=True)
    )
