"""Which engine ``auto`` means on this machine, and why.

The GPU draws only where it is real hardware and agrees with the CPU on a fixed scene: drivers that
get depth or rounding wrong exist, and the CPU is faster than any GPU that it has to imitate.
"""

from __future__ import annotations

import logging
import math
import os
from threading import Lock

import numpy as np

from vmem.cameras import Camera, default_K, rotation_y
from vmem.raster import cpu
from vmem.raster.blocks import Blocks
from vmem.raster.engines import NEAR
from vmem.raster.gpu import engine as gpu
from vmem.types import Surfels

log = logging.getLogger(__name__)

TOLERATED = 1e-3
"""Share of the self-test's pixels on which a GPU may differ: ties that float32 decides."""
OVERRIDE = "VMEM_RASTERIZER"
"""Environment variable that decides instead: ``cpu``, for drivers that take the process down, or
``gpu``."""

_lock = Lock()
_chosen: tuple[str, str] | None = None


def choose_engine() -> tuple[str, str]:
    """``("gpu" or "cpu", the reason)``, decided once in a process and logged then.

    The first call loads drivers and may compile kernels: keep it off the UI thread.
    """
    global _chosen
    with _lock:
        if _chosen is None:
            _chosen = _decide()
            log.info("rasterizer: %s (%s)", *_chosen)
        return _chosen


def give_up_gpu(reason: str) -> None:
    """Let ``auto`` mean the CPU from now on: the GPU failed at work."""
    global _chosen
    with _lock:
        if _chosen is None or _chosen[0] != "cpu":
            _chosen = ("cpu", f"gpu given up: {reason}")
            log.warning("rasterizer: %s (%s)", *_chosen)


def disagreement(engine: gpu.GpuEngine) -> float:
    """Share of the pixels of a fixed scene that ``engine`` draws otherwise than the CPU does."""
    surfels, cameras = self_test_scene()
    blocks = Blocks.of(surfels)
    differ = [
        (
            engine.index_map(surfels, camera, NEAR) != cpu.index_map(surfels, blocks, camera, NEAR)
        ).mean()
        for camera in cameras
    ]
    return float(np.mean(differ))


def self_test_scene() -> tuple[Surfels, list[Camera]]:
    """Disks of many sizes at all slants all around, and cameras of odd sizes among them."""
    rng = np.random.default_rng(0)
    n = 6000
    normal = rng.normal(size=(n, 3))
    surfels = Surfels(
        rng.uniform(-2, 2, (n, 3)).astype(np.float32),
        (normal / np.linalg.norm(normal, axis=1, keepdims=True)).astype(np.float32),
        np.exp(rng.uniform(math.log(0.01), math.log(0.15), n)).astype(np.float32),
        np.zeros((n, 3), np.uint8),
    )
    cameras = []
    for turn, hw in enumerate([(96, 128), (81, 67), (64, 200)]):
        c2w = np.eye(4)
        c2w[:3, :3] = rotation_y(2.1 * turn)
        K = default_K(hw, 1.2)
        K[:2, 2] += (5, -3)
        cameras.append(Camera(c2w, K, hw))
    return surfels, cameras


def _decide() -> tuple[str, str]:
    wanted = os.environ.get(OVERRIDE, "")
    if wanted in ("cpu", "gpu"):
        return wanted, f"as {OVERRIDE} says"
    if wanted:
        log.warning("%s=%s means nothing: use cpu or gpu", OVERRIDE, wanted)
    try:
        info = gpu.request_adapter().info
        if info["adapter_type"] == "CPU":
            return "cpu", f"gpu refused: {info['device']} is a software adapter"
        engine = gpu.shared_engine()
        share = disagreement(engine)
    except gpu.GpuUnavailable as error:
        return "cpu", f"gpu refused: {error}"
    except Exception as error:  # drivers fail in ways of their own; there is always the CPU
        log.exception("while trying the GPU")
        return "cpu", f"gpu refused: {type(error).__name__}: {error}"
    if not share <= TOLERATED:
        return "cpu", (
            f"gpu refused: {engine.adapter} draws {share:.2%} of the self-test otherwise than the "
            f"cpu, more than {TOLERATED:.2%}"
        )
    return "gpu", f"{engine.adapter} passed the self-test"
