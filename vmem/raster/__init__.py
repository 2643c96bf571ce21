"""Surfels drawn exactly: which disk a pixel sees, how far it is, and how slanted."""

from vmem.raster.buffers import SurfelBuffers
from vmem.raster.rasterize import rasterize

__all__ = ["SurfelBuffers", "rasterize"]
