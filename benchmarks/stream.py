"""What the server-rendered stream costs: a furnished room of 200 k surfels at 1280 × 720.

Measured on the server: drawing and encoding as `viewer.scene.stream` does them, from an eye that
turns on the spot; what wire and browser add is not in it.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Any

import numpy as np
import viser

from benchmarks._metrics import Metric, Row, measured
from viewer.scene.stream import QUALITY_MOVING, draw, eye_camera
from vmem.cameras import rotation_y
from vmem.memory import MemorySnapshot
from vmem.memory.spawn import RADIUS_SCALE
from vmem.types import Surfels

SURFELS = 200_000
HW = (720, 1280)
FRAMES = 40
WARM_UP = 3

ROOM = ((0.0, 0.0, 0.0), (3.0, 1.4, 2.5), -1)
FURNITURE = (
    ((1.6, 1.0, 1.2), (0.8, 0.4, 0.5), 1),
    ((-1.8, 0.9, 1.4), (0.5, 0.5, 0.5), 1),
    ((-1.2, 0.6, -1.5), (0.4, 0.8, 0.3), 1),
    ((1.0, 1.1, -1.4), (0.9, 0.3, 0.4), 1),
)
"""Boxes: centre, half extents, +1 for normals outward, -1 inward."""

METRICS = (
    Metric("stream.200k.fps", "1/s", "higher"),
    Metric("stream.200k.draw_ms", "ms"),
    Metric("stream.200k.encode_ms", "ms"),
    Metric("stream.200k.kB", "kB", tolerance=0.05),
)


def run() -> Iterator[Row]:
    """Rows of output."""
    surfels = furnished_room(SURFELS)
    with redirect_stdout(io.StringIO()):
        server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    try:
        times, size = _frames(surfels, server.scene)
    finally:
        with redirect_stdout(io.StringIO()):
            server.stop()
    draws, encodes = 1e3 * np.median(times, axis=0)
    yield measured("stream.200k.fps", 1 / np.median(times.sum(axis=1)))
    yield measured("stream.200k.draw_ms", draws)
    yield measured("stream.200k.encode_ms", encodes)
    yield measured("stream.200k.kB", size / 1e3)


def _frames(surfels: Surfels, scene: viser.SceneApi) -> tuple[np.ndarray, float]:
    """Seconds (FRAMES, 2) for drawing and for encoding, and the mean bytes of a picture."""
    sent: list[Any] = []
    interface: Any = scene._websock_interface
    interface.queue_message = sent.append
    memory = replace(MemorySnapshot.empty(), surfels=surfels)
    times = []
    for frame in range(WARM_UP + FRAMES):
        c2w = np.eye(4)
        c2w[:3, :3] = rotation_y(2 * np.pi * frame / FRAMES)
        began = time.perf_counter()
        picture = draw(memory, surfels.color, eye_camera(1.05, c2w, HW))
        drawn = time.perf_counter()
        scene.set_background_image(
            picture.color, format="jpeg", jpeg_quality=QUALITY_MOVING, depth=picture.depth
        )
        times.append((drawn - began, time.perf_counter() - drawn))
    del interface.queue_message
    size = np.mean([len(message.rgb_data) + len(message.depth_data) for message in sent])
    return np.array(times[WARM_UP:]), float(size)


def furnished_room(n: int) -> Surfels:
    """About ``n`` surfels on the faces of a room and four boxes, evenly."""
    boxes = (ROOM, *FURNITURE)
    area = sum(8 * (x * y + y * z + z * x) for _, (x, y, z), _ in boxes)
    spacing = (area / n) ** 0.5
    faces = [
        _face(np.array(centre), np.array(half), axis, side, outward, spacing)
        for centre, half, outward in boxes
        for axis in range(3)
        for side in (-1, 1)
    ]
    position, normal = (
        np.concatenate(part).astype(np.float32) for part in zip(*faces, strict=True)
    )
    radius = np.full(len(position), RADIUS_SCALE * spacing, np.float32)
    pattern = 90 + 60 * np.sin(5 * position) + 40 * np.sin(40 * position[:, [1, 2, 0]])
    return Surfels(position, normal, radius, pattern.clip(0, 255).astype(np.uint8))


def _face(centre, half, axis: int, side: int, outward: int, spacing: float):
    """Positions and normals (n, 3) of one face of a box."""
    across = [i for i in range(3) if i != axis]
    steps = [np.arange(-half[i] + spacing / 2, half[i], spacing) for i in across]
    grid = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 2)
    position = np.empty((len(grid), 3))
    position[:, across] = grid
    position[:, axis] = side * half[axis]
    normal = np.zeros_like(position)
    normal[:, axis] = side * outward
    return position + centre, normal
