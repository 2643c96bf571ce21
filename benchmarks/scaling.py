"""What render, retrieval, association and a commit cost as the memory grows to 10 M surfels."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks._metrics import Metric, Row, measured
from benchmarks._scenes import (
    HW,
    cameras,
    house,
    look,
    memory_of,
    milliseconds,
    stroll,
)
from vmem.cameras import Cameras, unproject
from vmem.memory import MemorySnapshot, associate
from vmem.memory.links import extended as extended_links
from vmem.raster import Blocks, rasterize
from vmem.raster.blocks import extended as extended_blocks
from vmem.retrieval import retrieve
from vmem.types import AssociationConfig

SIZES = {"10k": 10**4, "100k": 10**5, "1m": 10**6, "3m": 3 * 10**6, "10m": 10**7}
VIEWS = 300
STEP_SURFELS, STEP_LINKS = 8_000, 80_000
"""What a step of four views adds, or nearly so."""

METRICS = (
    Metric("scaling.*.*.ms", "ms"),
    Metric("scaling.*.*.cpu_ms", "ms"),
    Metric("scaling.memory.*.mb", "MiB"),
)


def run() -> Iterator[Row]:
    """CPU ms of all threads (``.cpu_ms``) beside wall ms (``.ms``), for each size."""
    for name, n in SIZES.items():
        memory = memory_of(house(n), stroll(VIEWS))
        surfels, blocks = memory.surfels, memory.blocks
        ask = [partial(retrieve, memory, Cameras.stack([camera])) for camera in cameras()]
        draw = [partial(rasterize, surfels, camera, "cpu", blocks) for camera in cameras()]
        calls = {"render": draw, "retrieve": ask, "associate": _associations(memory)}
        calls["commit_indices"] = [partial(_indices_of_a_step, memory)]
        for what, each in calls.items():
            wall, cpu = milliseconds(*each, times=7)
            yield measured(f"scaling.{what}.{name}.ms", wall)
            yield measured(f"scaling.{what}.{name}.cpu_ms", cpu)
        per_surfel = 31 + 8 + (blocks.sphere.nbytes + blocks.cone.nbytes) / len(surfels)
        held = per_surfel * len(surfels) + 10 * len(memory.link_surfel)
        yield measured(f"scaling.memory.{name}.mb", held / 2**20)


def _associations(memory: MemorySnapshot) -> list[partial]:
    rgb, sure = np.zeros((*HW, 3), np.uint8), np.ones(HW, np.float32)
    calls = []
    for turn in range(5):
        camera = look(0.7 + 1.3 * turn, 0.12, (-3.1, -0.2, -2.6))
        depth = rasterize(memory.surfels, camera, "cpu", memory.blocks).depth
        depth[depth == 0] = 5
        points = unproject(depth, camera)
        given = (memory.surfels, points, depth, sure, rgb, camera, AssociationConfig())
        calls.append(partial(associate, *given, blocks=memory.blocks))
    return calls


def _indices_of_a_step(memory: MemorySnapshot) -> None:
    """Blocks and link index grown by a step: what a commit costs beyond writing its own rows."""
    n = len(memory.surfels)
    shorter = Blocks(memory.blocks.sphere, memory.blocks.cone, n - STEP_SURFELS)
    extended_blocks(shorter, memory.surfels)
    surfel = np.arange(STEP_LINKS, dtype=np.int32) % n
    extended_links(memory.seen_by, n, VIEWS + 1, surfel, np.full_like(surfel, VIEWS))
