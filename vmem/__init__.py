"""VMem: surfel-indexed view memory, the engine behind the viewer.

Importing the package costs nothing; the public names load their modules when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from vmem.kernel_cache import ensure_kernel_cache

ensure_kernel_cache()

__version__ = "0.1.0"

_HOME = {
    "Camera": "vmem.cameras",
    "Cameras": "vmem.cameras",
    "MemorySnapshot": "vmem.memory",
    "Retrieval": "vmem.retrieval",
    "Session": "vmem.session",
    "SessionConfig": "vmem.session",
    "Surfels": "vmem.surfels",
    "View": "vmem.views",
    "ViewMemory": "vmem.memory",
    "create_backend": "vmem.backends",
    "load_photo": "vmem.photos",
    "rasterize": "vmem.raster",
}

__all__ = [*_HOME, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vmem' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
