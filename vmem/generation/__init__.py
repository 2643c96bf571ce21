"""Generators make frames from retrieved views."""

from vmem.generation.base import Context, Generator

__all__ = ["Context", "Generator"]
