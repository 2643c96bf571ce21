"""VMem: surfel-indexed view memory, the engine behind the viewer.

    import vmem

    session = vmem.open("photo.jpg", backend="preview")
    for step in session.walk("a*3 d*3 w*2"):
        print(step.index, step.retrieval.order)

Importing the package loads nothing else of it, not even numpy: a public name loads its module when
it is first used. The names below are the public interface; docs/api.md describes them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vmem.kernels.cache import ensure_kernel_cache

if TYPE_CHECKING:  # what __getattr__ loads, for type checkers and editors
    from vmem.backends import Backend as Backend
    from vmem.backends import create_backend as create_backend
    from vmem.cameras import Camera as Camera
    from vmem.cameras import Cameras as Cameras
    from vmem.cameras import default_K as default_K
    from vmem.errors import VMemError as VMemError
    from vmem.formats.photos import load_photo as load_photo
    from vmem.generation import Context as Context
    from vmem.generation import Generator as Generator
    from vmem.geometry import GeometryEstimator as GeometryEstimator
    from vmem.memory import MemorySnapshot as MemorySnapshot
    from vmem.memory import ViewMemory as ViewMemory
    from vmem.memory import render as render
    from vmem.progress import Cancelled as Cancelled
    from vmem.progress import CancelToken as CancelToken
    from vmem.progress import Progress as Progress
    from vmem.raster import rasterize as rasterize
    from vmem.retrieval import ask as ask
    from vmem.retrieval import retrieve as retrieve
    from vmem.retrieval import strategies as strategies
    from vmem.session import Session as Session
    from vmem.session import SessionConfig as SessionConfig
    from vmem.session import Step as Step
    from vmem.session.opening import open_session as open  # noqa: F401
    from vmem.session.opening import resume_session as resume  # noqa: F401
    from vmem.types import Frames as Frames
    from vmem.types import PointMaps as PointMaps
    from vmem.types import Query as Query
    from vmem.types import Reason as Reason
    from vmem.types import Retrieval as Retrieval
    from vmem.types import StepRequest as StepRequest
    from vmem.types import SurfelBuffers as SurfelBuffers
    from vmem.types import Surfels as Surfels
    from vmem.types import View as View

ensure_kernel_cache()

__version__ = "0.1.0"

_HOME = {
    "Backend": "vmem.backends",
    "Camera": "vmem.cameras",
    "Cameras": "vmem.cameras",
    "CancelToken": "vmem.progress",
    "Cancelled": "vmem.progress",
    "Context": "vmem.generation",
    "Frames": "vmem.types",
    "Generator": "vmem.generation",
    "GeometryEstimator": "vmem.geometry",
    "MemorySnapshot": "vmem.memory",
    "PointMaps": "vmem.types",
    "Progress": "vmem.progress",
    "Query": "vmem.types",
    "Reason": "vmem.types",
    "Retrieval": "vmem.types",
    "Session": "vmem.session",
    "SessionConfig": "vmem.session",
    "Step": "vmem.session",
    "StepRequest": "vmem.types",
    "SurfelBuffers": "vmem.types",
    "Surfels": "vmem.types",
    "VMemError": "vmem.errors",
    "View": "vmem.types",
    "ViewMemory": "vmem.memory",
    "ask": "vmem.retrieval",
    "create_backend": "vmem.backends",
    "default_K": "vmem.cameras",
    "load_photo": "vmem.formats.photos",
    "open": "vmem.session.opening:open_session",
    "rasterize": "vmem.raster",
    "resume": "vmem.session.opening:resume_session",
    "render": "vmem.memory.snapshot:render",
    "retrieve": "vmem.retrieval",
    "strategies": "vmem.retrieval",
}
"""Public name -> module that defines it, with its name there where that differs."""

__all__ = [*_HOME, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vmem' has no attribute {name!r}")
    module, _, its_name = _HOME[name].partition(":")
    value = getattr(import_module(module), its_name or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
