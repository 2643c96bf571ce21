"""Geometry estimators say where things are."""

from vmem.geometry.base import GeometryEstimator

__all__ = ["GeometryEstimator"]
