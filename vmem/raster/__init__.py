"""Surfels drawn exactly: which disk a pixel sees, how far it is, and how slanted."""

from vmem.raster.blocks import Blocks
from vmem.raster.rasterize import rasterize
from vmem.types.buffers import SurfelBuffers, overlaid

__all__ = ["Blocks", "SurfelBuffers", "overlaid", "rasterize"]
