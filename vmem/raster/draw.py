"""The one entry point: engines supply the index map, everything else follows from it."""

from __future__ import annotations

from vmem.cameras import Camera
from vmem.raster.blocks import Blocks
from vmem.raster.choice import choose_engine, give_up_gpu
from vmem.raster.engines import ENGINES, NEAR, RasterError
from vmem.raster.gpu import engine as gpu
from vmem.raster.shade import shade
from vmem.types import SurfelBuffers, Surfels


def resolve_engine(backend: str) -> str:
    """The name in ENGINES that ``backend`` stands for here; RasterError if there is none.

    "auto" is decided on first use: see vmem/raster/choice.py.
    """
    name = choose_engine()[0] if backend == "auto" else backend
    if name not in ENGINES:
        known = ", ".join(["auto", *ENGINES])
        raise RasterError(f"unknown rasterizer {backend!r}: use one of {known}")
    return name


def rasterize(
    surfels: Surfels, camera: Camera, backend: str = "auto", blocks: Blocks | None = None
) -> SurfelBuffers:
    """Draw every disk into ``camera.hw`` buffers by exact ray-disk intersection.

    The nearest disk wins; disks seen from behind are culled; among equal depths the lowest index
    wins. ``blocks`` are those of ``surfels``, if the caller keeps them (MemorySnapshot does); else
    they are made here, at a cost that grows with all surfels. No surfels, or none in sight: empty
    buffers; a radius of 0 leaves a surfel out. Raises CameraError for a camera that cannot be,
    SurfelError for surfels that are no disks (with ``blocks``, as a memory keeps them, nobody looks
    again: what is not finite is then not drawn), RasterError for what are no Surfels or no Camera,
    an unknown ``backend`` or blocks of another number of surfels, GpuUnavailable if "gpu" is asked
    for by name and cannot draw.
    Source: paper, section 3.2 (surfel rendering); the intersection is in docs/architecture.md.
    """
    if not (isinstance(surfels, Surfels) and isinstance(camera, Camera)):
        got = f"{type(surfels).__name__} and {type(camera).__name__}"
        raise RasterError(f"rasterize draws vmem.Surfels for a vmem.Camera, got {got}")
    name = resolve_engine(backend)
    if blocks is None:
        blocks = Blocks.of(surfels.validated(gaps=True))
    elif blocks.n_surfels != len(surfels):
        raise RasterError(
            f"these blocks bound {blocks.n_surfels} surfels, but {len(surfels)} are to be drawn"
        )
    try:
        index = ENGINES[name](surfels, blocks, camera, NEAR)
    except gpu.GpuUnavailable as error:
        if backend == "gpu":
            raise
        give_up_gpu(str(error))
        index = ENGINES["cpu"](surfels, blocks, camera, NEAR)
    return shade(index, surfels, camera)
