"""Named pairs of a generator and a geometry, and the choice among them."""

from vmem.backends.registry import Backend, create_backend, resolve

__all__ = ["Backend", "create_backend", "resolve"]
