"""Surfels drawn exactly: which disk a pixel sees, how far it is, and how slanted."""

from vmem.raster.blocks import Blocks
from vmem.raster.draw import rasterize
from vmem.raster.engines import NEAR, RasterError
from vmem.types import SurfelBuffers, overlaid

__all__ = ["NEAR", "Blocks", "RasterError", "SurfelBuffers", "overlaid", "rasterize"]
