"""Where a walk begins."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vmem.formats.photos import Photo


@dataclass(frozen=True)
class Source:
    """Where a walk begins: a photo as path or bytes, or None for a backend's own scene."""

    title: str
    photo: Path | bytes | None
    decoded: Photo | None = field(default=None, compare=False)
    """The photo at one size, where it has been decoded already."""
