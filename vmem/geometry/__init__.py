"""Geometry estimators: depth and world points of frames whose cameras are known."""

from vmem.geometry.base import GeometryEstimator

__all__ = ["GeometryEstimator"]
