"""Surfels drawn exactly: which disk a pixel sees, how far it is, and how slanted."""

from vmem.raster.blocks import Blocks
from vmem.raster.buffers import SurfelBuffers, overlaid
from vmem.raster.rasterize import rasterize

__all__ = ["Blocks", "SurfelBuffers", "overlaid", "rasterize"]
