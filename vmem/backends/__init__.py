"""Named pairs of a generator and a geometry, and the choice among them."""

from vmem.backends.backend import Backend, Recipe
from vmem.backends.geometry import GEOMETRIES
from vmem.backends.registry import (
    BACKENDS,
    NAMES,
    PHOTO_NAMES,
    create_backend,
    geometry_of,
    resolve,
)

__all__ = [
    "BACKENDS",
    "GEOMETRIES",
    "NAMES",
    "PHOTO_NAMES",
    "Backend",
    "Recipe",
    "create_backend",
    "geometry_of",
    "resolve",
]
