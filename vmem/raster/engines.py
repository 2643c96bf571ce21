"""The engines that draw, by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Int32

from vmem.cameras import Camera
from vmem.errors import VMemError
from vmem.raster import cpu
from vmem.raster.blocks import Blocks
from vmem.raster.gpu import engine as gpu
from vmem.types import Surfels

NEAR = 0.02
"""Scene units in front of the camera where drawing begins."""


Engine = Callable[[Surfels, Blocks, Camera, float], Int32[np.ndarray, "H W"]]
"""(surfels, their blocks, camera, near) -> index of the nearest front-facing disk that a
pixel's ray meets beyond ``near``, -1 where none; of equal depths the lowest index."""


ENGINES: dict[str, Engine] = {"cpu": cpu.index_map, "gpu": gpu.index_map}


class RasterError(VMemError, ValueError):
    """An engine that does not exist here, or blocks of other surfels."""
