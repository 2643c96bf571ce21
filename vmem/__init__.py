"""VMem: surfel-indexed view memory, the engine behind the viewer.

Importing the package costs nothing; the public names load their modules when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from vmem.kernels.cache import ensure_kernel_cache

ensure_kernel_cache()

__version__ = "0.1.0"

_HOME = {
    "Camera": "vmem.cameras.cameras",
    "Cameras": "vmem.cameras.cameras",
    "MemorySnapshot": "vmem.memory.view_memory",
    "Retrieval": "vmem.retrieval.answer",
    "Session": "vmem.session.session",
    "SessionConfig": "vmem.session.session",
    "Surfels": "vmem.types.surfels",
    "View": "vmem.types.views",
    "ViewMemory": "vmem.memory.view_memory",
    "create_backend": "vmem.backends.registry",
    "load_photo": "vmem.formats.photos",
    "rasterize": "vmem.raster",
}

__all__ = [*_HOME, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vmem' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
