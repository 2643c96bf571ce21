"""The preview generator: warps retrieved views and continues the photo, without a model."""

from vmem.generation.preview.generator import PreviewGenerator

__all__ = ["PreviewGenerator"]
