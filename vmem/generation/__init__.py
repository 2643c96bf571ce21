"""Generators make frames from retrieved views."""

from vmem.generation.base import Context, Generator, Prepares

__all__ = ["Context", "Generator", "Prepares"]
