"""Which engine draws: what can be missing, what "auto" means, and what happens to a lost GPU."""

from __future__ import annotations

import builtins
import logging
import subprocess
import sys

import numpy as np
import pytest

from tests.raster.test_raster import CAMERA, TOWARD, disks, random_camera, random_surfels
from tests.support.gpu_engine import DIFFERENT, needs_engine
from vmem.cameras import Camera, default_K
from vmem.cli.doctor import report
from vmem.raster import NEAR, choice, rasterize
from vmem.raster.gpu import adapter as gpu_adapter
from vmem.raster.gpu import engine as gpu
from vmem.raster.gpu.engine import GpuEngine, GpuUnavailable
from vmem.types import Surfels

pytestmark = needs_engine


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
        "from vmem.raster.gpu.engine import GpuEngine; GpuEngine.create()"
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
