"""The one entry point: engines supply the index map, everything else follows from it."""

from __future__ import annotations

from collections.abc import Callable

from vmem.cameras import Camera, Cameras
from vmem.errors import VMemError
from vmem.raster import cpu
from vmem.raster.blocks import Blocks
from vmem.raster.buffers import I32, SurfelBuffers
from vmem.raster.shade import shade
from vmem.surfels import Surfels

NEAR = 0.02
"""Scene units in front of the camera where drawing begins."""

Engine = Callable[[Surfels, Blocks, Camera, float], I32]
"""(surfels, their blocks, camera, near) -> (H, W) i32 index of the nearest front-facing disk that a
pixel's ray meets beyond ``near``, -1 where none; of equal depths the lowest index."""

ENGINES: dict[str, Engine] = {"cpu": cpu.index_map}


class RasterError(VMemError, ValueError):
    """An engine that does not exist here, or blocks of other surfels."""


def resolve_engine(backend: str) -> str:
    """The name in ENGINES that ``backend`` stands for here; RasterError if there is none."""
    name = "cpu" if backend == "auto" else backend
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
    buffers. Surfels that are no disks (not finite, radius not positive) are not drawn. Raises
    CameraError for a camera that cannot be, RasterError for an unknown ``backend`` or blocks of
    another number of surfels. Source: paper, section 3.2 (surfel rendering); the intersection is in
    docs/architecture.md.
    """
    engine = ENGINES[resolve_engine(backend)]
    Cameras(camera.c2w[None], camera.K[None], camera.hw).validated()
    if blocks is None:
        blocks = Blocks.of(surfels)
    elif blocks.n_surfels != len(surfels):
        raise RasterError(
            f"these blocks bound {blocks.n_surfels} surfels, but {len(surfels)} are to be drawn"
        )
    return shade(engine(surfels, blocks, camera, NEAR), surfels, camera)
