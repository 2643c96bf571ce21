"""The one entry point: engines supply the index map, everything else follows from it."""

from __future__ import annotations

from vmem.cameras import Camera, Cameras
from vmem.errors import VMemError
from vmem.raster import cpu, gpu
from vmem.raster.buffers import SurfelBuffers, shade
from vmem.raster.choice import choose_engine, give_up_gpu
from vmem.surfels import Surfels

NEAR = 0.02
"""Scene units in front of the camera where drawing begins."""


ENGINES = ("auto", "cpu", "gpu")


class RasterError(VMemError, ValueError):
    """An engine that does not exist here."""


def rasterize(surfels: Surfels, camera: Camera, backend: str = "auto") -> SurfelBuffers:
    """Draw every disk into ``camera.hw`` buffers by exact ray-disk intersection.

    The nearest disk wins; disks seen from behind are culled; among equal depths the lowest index
    wins. No surfels, or none in sight: empty buffers. Raises CameraError for a camera that cannot
    be, RasterError for an unknown ``backend``, GpuUnavailable if ``backend`` is "gpu" and
    there is none; "auto" then means the CPU. Source: paper, section 3.2 (surfel rendering); the
    intersection is in docs/architecture.md.
    """
    if backend not in ENGINES:
        raise RasterError(f"unknown rasterizer {backend!r}: use one of {', '.join(ENGINES)}")
    Cameras(camera.c2w[None], camera.K[None], camera.hw).validated()
    name = choose_engine()[0] if backend == "auto" else backend
    if name == "gpu":
        try:
            return shade(gpu.index_map(surfels, None, camera, NEAR), surfels, camera)
        except gpu.GpuUnavailable as error:
            if backend == "gpu":
                raise
            give_up_gpu(str(error))
    return shade(cpu.index_map(surfels, camera, NEAR), surfels, camera)
