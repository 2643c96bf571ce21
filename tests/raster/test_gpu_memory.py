"""The gpu engine over memories: many surfels, rows that come and go, many threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.raster.test_raster import CAMERA, random_camera, random_surfels
from tests.support.gpu_engine import DIFFERENT, needs_engine, room, share_unlike_cpu
from vmem.cameras import Camera, default_K
from vmem.memory import ViewMemory
from vmem.raster import NEAR
from vmem.raster.gpu import buffers as gpu_buffers
from vmem.raster.gpu.engine import GpuEngine
from vmem.types import StepRecord, Surfels

pytestmark = needs_engine


def test_fifty_thousand_surfels_as_on_the_cpu(engine):
    surfels = room(50_000, np.random.default_rng(1))
    hw = (288, 512)
    for turn in range(3):
        c2w = np.eye(4)
        c2w[:3, :3] = Rotation.from_euler("YX", [turn * 1.9, 0.2]).as_matrix()
        c2w[:3, 3] = (0.1 * turn, 0.05, -0.2)
        assert share_unlike_cpu(engine, surfels, Camera(c2w, default_K(hw, 1.2), hw)) <= DIFFERENT


def record(surfels: Surfels) -> StepRecord:
    none = np.zeros(0, np.int32)
    return StepRecord((), surfels, none, none, None)


@pytest.mark.parametrize("chunk", [256, 1024, 1 << 18])
def test_what_the_memory_holds_is_what_is_drawn(monkeypatch, chunk):
    monkeypatch.setattr(gpu_buffers, "CHUNK", chunk)
    engine = GpuEngine.create()
    rng = np.random.default_rng(5)
    memory = ViewMemory()
    camera = random_camera(rng)
    memory.append(record(random_surfels(rng, 300, 2.0, 1.0)))
    earlier = []
    for round_ in range(12):
        memory.append(record(random_surfels(rng, int(rng.integers(1, 900)), 2.0, 1.0)))
        earlier.append(memory.snapshot().surfels)
        assert share_unlike_cpu(engine, earlier[-1], camera) <= DIFFERENT
        if round_ % 2:
            memory.truncate(len(memory.snapshot().steps) - 2)
        if round_ % 3 == 1:  # the truncated memory is seen, or not seen, before it grows anew
            assert share_unlike_cpu(engine, memory.snapshot().surfels, camera) <= DIFFERENT
    for surfels in earlier:  # old snapshots, in any order
        assert share_unlike_cpu(engine, surfels, camera) <= DIFFERENT


def test_only_new_rows_are_sent(engine, monkeypatch):
    sent = []
    update = gpu_buffers.SurfelStore.update

    def counted(self, surfels):
        sent.append(update(self, surfels))
        return sent[-1]

    monkeypatch.setattr(gpu_buffers.SurfelStore, "update", counted)
    rng = np.random.default_rng(9)
    memory = ViewMemory()
    memory.append(record(random_surfels(rng, 700, 2.0, 1.0)))
    first = memory.snapshot().surfels
    memory.append(record(random_surfels(rng, 200, 2.0, 1.0)))
    second = memory.snapshot().surfels
    memory.truncate(0)
    memory.append(record(random_surfels(rng, 50, 2.0, 1.0)))
    third = memory.snapshot().surfels
    for surfels in (first, first, second, first, second, third, Surfels.concatenate([third])):
        engine.index_map(surfels, CAMERA, NEAR)
    assert sent == [700, 0, 200, 0, 0, 50, 0]


def test_arrays_changed_in_place_are_seen(engine):
    rng = np.random.default_rng(2)
    surfels = random_surfels(rng, 500, 2.0, 1.0)
    for array in (surfels.position, surfels.normal, surfels.radius):
        assert share_unlike_cpu(engine, surfels, CAMERA) <= DIFFERENT
        array[100:300] = array[100:300][::-1].copy()
    assert share_unlike_cpu(engine, surfels, CAMERA) <= DIFFERENT


def test_other_rows_of_the_same_buffer_are_told_apart(engine):
    memory = ViewMemory()
    memory.append(record(random_surfels(np.random.default_rng(4), 600, 2.0, 1.0)))
    surfels = memory.snapshot().surfels
    for view in (surfels, surfels[::2], surfels[100:], surfels[::-1], surfels):
        assert share_unlike_cpu(engine, view, CAMERA) <= DIFFERENT


def test_equal_beginnings_of_another_memory_do_not_hide_its_end(engine):
    # The new arrays first come with no more rows than are equal, then with all of theirs.
    rng = np.random.default_rng(6)
    old = random_surfels(rng, 400, 2.0, 1.0)
    new = Surfels.concatenate([old[:100], random_surfels(rng, 300, 2.0, 1.0)])
    for array in (new.position, new.normal, new.radius):
        array.flags.writeable = False
    for surfels in (old, new[:100], new):
        assert share_unlike_cpu(engine, surfels, CAMERA) <= DIFFERENT


def test_many_threads_may_draw_at_once(engine):
    rng = np.random.default_rng(1)
    memories = [random_surfels(rng, n, 2.0, 1.0) for n in (300, 50, 800, 20, 500)]
    jobs = [(memories[i % 5], random_camera(rng)) for i in range(40)]
    serial = [engine.index_map(*job, NEAR) for job in jobs]
    with ThreadPoolExecutor(8) as threads:
        parallel = list(threads.map(lambda job: engine.index_map(*job, NEAR), jobs))
    for got, expected in zip(parallel, serial, strict=True):
        np.testing.assert_array_equal(got, expected)
