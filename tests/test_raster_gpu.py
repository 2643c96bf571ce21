"""The gpu engine against the ray caster and the CPU; on software Vulkan where there is no GPU."""

from __future__ import annotations

import builtins
import logging
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from test_raster import CAMERA, SLACK, TOWARD, cast, disks, random_camera, random_surfels

from vmem.cameras import Camera, default_K
from vmem.doctor import report
from vmem.memory import StepRecord, ViewMemory
from vmem.raster import SurfelBuffers, choice, gpu, gpu_adapter, gpu_buffers, rasterize
from vmem.raster.blocks import BLOCK
from vmem.raster.gpu import GpuEngine, GpuUnavailable
from vmem.raster.rasterize import NEAR
from vmem.surfels import Surfels

DIFFERENT = 1e-3
"""Share of pixels that rims and ties may decide otherwise than the oracle or the CPU."""


def no_adapter() -> str | None:
    """Why there is nothing to draw with, or None."""
    try:
        gpu.request_adapter()
    except GpuUnavailable as error:
        return str(error)
    return None


WHY_NOT = no_adapter()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=f"no gpu engine: {WHY_NOT}")


@pytest.fixture(scope="module")
def engine() -> GpuEngine:
    return GpuEngine.create()


def assert_index_as_cast(engine: GpuEngine, surfels: Surfels, camera: Camera) -> np.ndarray:
    """Every pixel shows a disk that its ray meets, and none that is met lies before it."""
    index = engine.index_map(surfels, camera, NEAR)
    assert index.shape == camera.hw
    assert index.dtype == np.int32
    assert index.min() >= -1
    assert index.max() < max(1, len(surfels))
    some = index >= 0
    rows, columns = np.nonzero(some)
    may_hit, depth = cast(surfels, camera, SLACK)
    must_hit, _ = cast(surfels, camera, -SLACK)
    surely_nearest = np.where(must_hit, depth, np.inf).min(axis=0, initial=np.inf)
    wrong = ~some & np.isfinite(surely_nearest)
    wrong[some] |= ~may_hit[index[some], rows, columns]
    wrong[some] |= depth[index[some], rows, columns] > surely_nearest[some] * (1 + SLACK)
    assert wrong.sum() <= max(1, DIFFERENT * wrong.size)
    return index


def share_unlike_cpu(engine: GpuEngine, surfels: Surfels, camera: Camera) -> float:
    expected = rasterize(surfels, camera, "cpu").index
    return float((engine.index_map(surfels, camera, NEAR) != expected).mean())


def room(n: int, rng: np.random.Generator) -> Surfels:
    """Disks that tile the inside of a box around the origin, facing it."""
    side = math.sqrt(24 / n)
    wall = rng.uniform(-1, 1, (n, 3))
    axis, sign = rng.integers(0, 3, n), rng.choice([-1.0, 1.0], n)
    wall[np.arange(n), axis] = sign + rng.normal(size=n) * 0.01
    normal = rng.normal(size=(n, 3)) * 0.1
    normal[np.arange(n), axis] -= sign
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    radius = 0.9 * side * rng.uniform(0.8, 1.25, n)
    return Surfels(
        wall.astype(np.float32),
        normal.astype(np.float32),
        radius.astype(np.float32),
        rng.integers(0, 256, (n, 3), np.uint8),
    )


# --- against the ray caster ------------------------------------------------------------------


@given(st.integers(0, 2**31), st.integers(0, 120), st.sampled_from([0.5, 2.0, 6.0]))
def test_random_scenes(engine, seed, n, spread):
    rng = np.random.default_rng(seed)
    assert_index_as_cast(engine, random_surfels(rng, n, spread, 1.0), random_camera(rng))


@given(st.integers(0, 2**31))
def test_disks_so_large_that_the_camera_stands_among_them(engine, seed):
    rng = np.random.default_rng(seed)
    assert_index_as_cast(engine, random_surfels(rng, 12, 0.8, 20.0), random_camera(rng))


@given(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5), st.floats(0.03, 2), st.floats(0.05, 5))
def test_one_disk_at_any_slant(engine, yaw, pitch, z, radius):
    normal = Rotation.from_euler("YX", [yaw, pitch]).apply(TOWARD)
    assert_index_as_cast(engine, disks(((0.02, -0.03, z), tuple(normal), radius)), CAMERA)


@pytest.mark.parametrize(
    "surfels",
    [
        pytest.param(disks(((0, 0.1, 0), (0, -1, 0), 5)), id="floor-under-the-camera"),
        pytest.param(disks(((0, 0.1, -0.5), (0, -1, -0.01), 3)), id="floor-centred-behind"),
        pytest.param(disks(((0.05, 0, 0), (-1, 0, 0), 2)), id="wall-beside-the-camera"),
        pytest.param(disks(((0, 0, NEAR), (-0.3, 0, -1), 1)), id="centre-on-the-near-plane"),
        pytest.param(disks(((0, 0, 0.5), (0, 1, -0.2), 1)), id="through-the-near-plane"),
        pytest.param(disks(((0, 0, 0.021), TOWARD, 9)), id="just-beyond-the-near-plane"),
        pytest.param(disks(((0, 0, 2), (0, 0, -1), 1e-3)), id="smaller-than-a-pixel-but-hit"),
    ],
)
def test_disks_about_the_near_plane(engine, surfels):
    index = assert_index_as_cast(engine, surfels, CAMERA)
    assert (index == 0).any()
    np.testing.assert_array_equal(index, rasterize(surfels, CAMERA, "cpu").index)


@pytest.mark.parametrize(
    "surfels",
    [
        pytest.param(Surfels.empty(), id="no-surfels"),
        pytest.param(disks(((0, 0, -2), (0, 0, 1), 1)), id="behind-the-camera"),
        pytest.param(disks(((0, 0, 2), (0, 0, 1), 1)), id="seen-from-its-back"),
        pytest.param(disks(((0, 0, 2), (1, 0, 0), 1)), id="edge-on"),
        pytest.param(disks(((0, 0, 0), (0, 1, 0), 1)), id="camera-in-its-plane"),
        pytest.param(disks(((0, 0, 0.01), TOWARD, 1)), id="before-the-near-plane"),
        pytest.param(disks(((9, 0, 2), TOWARD, 1)), id="beside-the-image"),
        pytest.param(disks(((0, 0, 2), TOWARD, 0.0)), id="no-radius"),
        pytest.param(disks(((0, 0, 2), TOWARD, -1.0)), id="negative-radius"),
        pytest.param(disks(((0, 0, 2), TOWARD, math.inf)), id="endless"),
        pytest.param(disks(((math.nan, 0, 2), TOWARD, 1.0)), id="nowhere"),
    ],
)
def test_disks_that_no_pixel_sees(engine, surfels):
    camera = CAMERA.resized((32, 40))
    assert (engine.index_map(surfels, camera, NEAR) == -1).all()
    colors = np.full((len(surfels), 3), 255, np.uint8)
    painted = engine.paint(surfels, colors, camera, NEAR, background=(18, 19, 23))
    np.testing.assert_array_equal(painted, np.broadcast_to([18, 19, 23], (32, 40, 3)))


@pytest.mark.parametrize("hw", [(1, 1), (1, 63), (63, 1), (3, 64), (5, 65), (64, 128), (37, 333)])
def test_images_of_any_size(engine, hw):
    rng = np.random.default_rng(sum(hw))
    surfels = random_surfels(rng, 400, 2.0, 1.0)
    camera = Camera(np.eye(4), default_K(hw, 1.4), hw)
    index = engine.index_map(surfels, camera, NEAR)
    expected = rasterize(surfels, camera, "cpu").index
    assert index.shape == hw
    assert (index != expected).sum() <= max(1, DIFFERENT * index.size)
    assert engine.paint(surfels, surfels.color, camera, NEAR).shape == (*hw, 3)


def test_principal_points_far_off_the_centre(engine):
    rng = np.random.default_rng(3)
    surfels = random_surfels(rng, 300, 3.0, 1.0)
    for cx, cy in [(-40, 10), (200, 90), (64, -70), (11.3, 71.9)]:
        K = np.array([[70.0, 0, cx], [0, 110.0, cy], [0, 0, 1]])
        assert share_unlike_cpu(engine, surfels, Camera(np.eye(4), K, (80, 128))) <= DIFFERENT


# --- which disk wins -------------------------------------------------------------------------


def test_the_nearer_disk_wins_whatever_the_order(engine):
    near, far = ((0, 0, 1), TOWARD, 0.3), ((0, 0, 2), TOWARD, 5)
    assert engine.index_map(disks(near, far), CAMERA, NEAR)[16, 20] == 0
    assert engine.index_map(disks(far, near), CAMERA, NEAR)[16, 20] == 1
    assert engine.index_map(disks(far, near), CAMERA, NEAR)[0, 0] == 0


def test_of_equal_disks_the_first_wins(engine, monkeypatch):
    monkeypatch.setattr(gpu_buffers, "CHUNK", 256)  # several draws, too
    rng = np.random.default_rng(0)
    once = random_surfels(rng, 200, 2.0, 1.0)
    fresh = GpuEngine.create()
    for _ in range(5):
        camera = random_camera(rng)
        expected = engine.index_map(once, camera, NEAR)
        twice = fresh.index_map(Surfels.concatenate([once] * 4), camera, NEAR)
        np.testing.assert_array_equal(twice, expected)


def test_only_the_blocks_asked_for_are_drawn(engine):
    rng = np.random.default_rng(8)
    surfels = random_surfels(rng, 6 * BLOCK - 9, 3.0, 0.2)
    camera = random_camera(rng)
    blocks = np.array([5, 1, 3], np.int32)
    index = engine.index_map(surfels, camera, NEAR, visible=blocks)
    kept = np.flatnonzero(np.isin(np.arange(len(surfels)) // BLOCK, blocks))
    alone = engine.index_map(surfels[kept], camera, NEAR)
    np.testing.assert_array_equal(index, np.where(alone >= 0, kept[alone], -1))
    assert (index >= 0).any()
    none = np.zeros(0, np.int32)
    assert (engine.index_map(surfels, camera, NEAR, visible=none) == -1).all()


# --- many surfels, and memories that change ----------------------------------------------------


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


# --- pictures --------------------------------------------------------------------------------


def painted_on_cpu(drawn: SurfelBuffers, colors: np.ndarray, background) -> np.ndarray:
    image = np.empty((*drawn.index.shape, 3), np.uint8)
    image[:] = background
    seen = drawn.index >= 0
    shading = 0.6 + 0.4 * drawn.cosine[seen][:, None]
    image[seen] = (colors[drawn.index[seen]] * shading).astype(np.uint8)
    return image


@pytest.mark.parametrize("n", [1, 2, 3, 259, 4000])
def test_pictures_are_those_of_the_cpu(engine, n):
    rng = np.random.default_rng(n)
    surfels = room(n, rng)
    hw = (97, 130)
    camera = Camera(np.eye(4), default_K(hw, 1.5), hw)
    expected = rasterize(surfels, camera, "cpu")
    same = engine.index_map(surfels, camera, NEAR) == expected.index
    assert same.mean() >= 1 - DIFFERENT
    for colors in (surfels.color, rng.integers(0, 256, (n, 3), np.uint8)):
        picture = engine.paint(surfels, colors, camera, NEAR, background=(18, 19, 23))
        assert picture.dtype == np.uint8
        by_cpu = painted_on_cpu(expected, colors, (18, 19, 23))
        assert np.abs(picture[same].astype(int) - by_cpu[same]).max() <= 1


def test_colours_of_other_surfels_are_refused(engine):
    with pytest.raises(ValueError, match=r"\(1, 3\)"):
        engine.paint(disks(((0, 0, 2), TOWARD, 1)), np.zeros((2, 3), np.uint8), CAMERA, NEAR)


# --- what can be missing -----------------------------------------------------------------------


def test_images_larger_than_the_gpu_can_draw_are_refused(engine):
    hw = (1, 1 << 20)
    with pytest.raises(GpuUnavailable, match="exceed"):
        engine.index_map(Surfels.empty(), Camera(np.eye(4), default_K(hw), hw), NEAR)


def test_a_lost_device_is_said(monkeypatch):
    engine = GpuEngine.create()
    surfels = disks(((0, 0, 2), TOWARD, 1))
    engine.index_map(surfels, CAMERA, NEAR)
    engine._device.destroy()
    with pytest.raises(GpuUnavailable, match="stopped drawing"):
        engine.index_map(surfels, CAMERA, NEAR)


@pytest.fixture
def undecided(monkeypatch):
    monkeypatch.setattr(choice, "_chosen", None)
    monkeypatch.delenv(choice.OVERRIDE, raising=False)


def test_without_the_package_the_reason_names_it(undecided, monkeypatch):
    real = builtins.__import__

    def without_wgpu(name, *args, **kwargs):
        if name.split(".")[0] == "wgpu":
            raise ImportError("No module named 'wgpu'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(gpu_adapter, "_wgpu", gpu_adapter._wgpu.__wrapped__)
    monkeypatch.setattr(builtins, "__import__", without_wgpu)
    name, why = choice.choose_engine()
    assert name == "cpu"
    assert "No module named 'wgpu'" in why
    assert "pip install" in why


def test_without_a_driver_the_reason_says_so(tmp_path):
    code = (
        "from vmem.raster.choice import choose_engine; print(*choose_engine(), sep='|');"
        "from vmem.raster.gpu import GpuEngine; GpuEngine.create()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"VK_DRIVER_FILES": str(tmp_path / "none"), "VK_ICD_FILENAMES": str(tmp_path / "none")}
        | {"PYTHONPATH": ":".join(sys.path), "WGPUPY_WGPU_ADAPTER_NAME": "no such adapter"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("cpu|gpu refused: no Vulkan"), done.stdout + done.stderr
    assert "GpuUnavailable" in done.stderr.splitlines()[-1]


# --- what auto means ---------------------------------------------------------------------------


class Adapter:
    """An adapter that says what it is."""

    def __init__(self, kind: str) -> None:
        self.info = {"device": "TestGPU", "backend_type": "Vulkan", "adapter_type": kind}


def test_software_is_refused_and_the_reason_logged_once(undecided, monkeypatch, caplog):
    monkeypatch.setattr(gpu, "request_adapter", lambda: Adapter("CPU"))
    with caplog.at_level(logging.INFO, "vmem.raster.choice"):
        answers = {choice.choose_engine() for _ in range(3)}
    why = "gpu refused: TestGPU is a software adapter"
    assert answers == {("cpu", why)}
    assert [r.getMessage() for r in caplog.records] == [f"rasterizer: cpu ({why})"]


def test_hardware_that_agrees_is_taken(undecided, monkeypatch, engine):
    monkeypatch.setattr(gpu, "request_adapter", lambda: Adapter("DiscreteGPU"))
    monkeypatch.setattr(gpu, "shared_engine", lambda: engine)
    name, why = choice.choose_engine()
    assert name == "gpu"
    assert why == f"{engine.adapter} passed the self-test"


def broken_everywhere(index: np.ndarray) -> np.ndarray:
    return np.zeros_like(index)


def broken_a_pixel_off(index: np.ndarray) -> np.ndarray:
    return np.roll(index, 1, axis=1)


def broken_in_two_per_mille(index: np.ndarray) -> np.ndarray:
    out = index.copy()
    out.flat[::500] += 1
    return out


@pytest.mark.parametrize("fault", [broken_everywhere, broken_a_pixel_off, broken_in_two_per_mille])
def test_hardware_that_disagrees_is_refused(undecided, monkeypatch, engine, fault):
    draw = engine.index_map
    monkeypatch.setattr(gpu, "request_adapter", lambda: Adapter("DiscreteGPU"))
    monkeypatch.setattr(gpu, "shared_engine", lambda: engine)
    monkeypatch.setattr(engine, "index_map", lambda *args: fault(draw(*args)))
    name, why = choice.choose_engine()
    assert name == "cpu"
    assert "self-test" in why


@pytest.mark.parametrize("error", [KeyError("adapter_type"), MemoryError("out of it")])
def test_drivers_that_fail_in_ways_of_their_own_leave_the_cpu(undecided, monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(gpu, "request_adapter", lambda: Adapter("DiscreteGPU"))
    monkeypatch.setattr(gpu, "shared_engine", fail)
    name, why = choice.choose_engine()
    assert name == "cpu"
    assert why == f"gpu refused: {type(error).__name__}: {error}"
    surfels = disks(((0, 0, 2), TOWARD, 1))
    assert rasterize(surfels, CAMERA).index[16, 20] == 0


def test_doctor_shows_the_reason(undecided, monkeypatch):
    monkeypatch.setattr(gpu, "request_adapter", lambda: Adapter("CPU"))
    assert "auto     means cpu here (gpu refused: TestGPU is a software adapter)" in report()


def test_an_override_that_means_nothing_is_said(undecided, monkeypatch, caplog):
    monkeypatch.setenv(choice.OVERRIDE, "GPU!")
    monkeypatch.setattr(gpu, "request_adapter", lambda: Adapter("CPU"))
    with caplog.at_level(logging.WARNING, "vmem.raster.choice"):
        assert choice.choose_engine()[0] == "cpu"
    assert "VMEM_RASTERIZER=GPU! means nothing" in caplog.text


def test_the_self_test_looks_at_something(engine):
    surfels, cameras = choice.self_test_scene()
    for camera in cameras:
        index = rasterize(surfels, camera, "cpu").index
        assert (index >= 0).mean() > 0.3
        assert len(np.unique(index)) > 100
    assert choice.disagreement(engine) <= choice.TOLERATED / 2


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_the_environment_decides(undecided, monkeypatch, name):
    monkeypatch.setenv(choice.OVERRIDE, name)
    assert choice.choose_engine()[0] == name


def test_rasterize_draws_by_gpu(undecided, monkeypatch, engine):
    monkeypatch.setattr(gpu, "shared_engine", lambda: engine)
    rng = np.random.default_rng(7)
    surfels, camera = random_surfels(rng, 200, 2.0, 1.0), random_camera(rng)
    by_cpu = rasterize(surfels, camera, "cpu")
    monkeypatch.setenv(choice.OVERRIDE, "gpu")
    for backend in ("gpu", "auto"):
        drawn = rasterize(surfels, camera, backend)
        same = drawn.index == by_cpu.index
        assert same.mean() >= 1 - DIFFERENT
        np.testing.assert_array_equal(drawn.depth[same], by_cpu.depth[same])


def test_a_gpu_that_fails_at_work_is_given_up(undecided, monkeypatch, caplog):
    monkeypatch.setenv(choice.OVERRIDE, "gpu")

    def fail():
        raise GpuUnavailable("the GPU stopped drawing: lost")

    monkeypatch.setattr(gpu, "shared_engine", fail)
    surfels = disks(((0, 0, 2), TOWARD, 1))
    with pytest.raises(GpuUnavailable, match="lost"):
        rasterize(surfels, CAMERA, "gpu")
    with caplog.at_level(logging.WARNING, "vmem.raster.choice"):
        for _ in range(2):
            assert rasterize(surfels, CAMERA).index[16, 20] == 0
    assert len(caplog.records) == 1
    assert choice.choose_engine() == ("cpu", "gpu given up: the GPU stopped drawing: lost")
