"""What a saved walk says of itself: its origin, its line in a list, its steps; and errors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmem.errors import VMemError


class StoreError(VMemError, OSError):
    """A file of a walk that cannot be read or written; one line says why and what to do."""


class WalkHeld(StoreError):
    """Somebody else writes this walk; the message says who."""


@dataclass(frozen=True)
class Origin:
    """What made a walk: enough to make its backend again."""

    backend: str
    """A name of vmem.backends.registry."""
    label: str
    """The backend as it describes itself."""
    geometry: str | None
    """Name of the geometry, or None for the backend's own."""
    seed: int
    """Fixes everything that is invented."""
    size: int
    """Side of the frames in pixels."""
    config: dict[str, Any]
    """The session's settings as plain JSON values."""
    networks: dict[str, Any] | None
    """Settings of the networks that the result depends on, or None."""
    photo: str
    """The photo's name, "" for a scene."""
    versions: dict[str, str]
    """Versions of the packages that the result depends on."""


@dataclass(frozen=True)
class Summary:
    """A walk as a list of walks shows it."""

    path: Path
    """Its file."""
    title: str
    """The name that the user gave the walk, or ""."""
    photo: str
    """The photo's name, "" for a scene."""
    backend: str
    """Name of the backend."""
    steps: int
    """Steps in all branches, without the photo."""
    views: int
    """Views in all branches."""
    created: float
    """Unix seconds."""
    changed: float
    """Unix seconds of the last step, move of the head or rename."""
    size: int
    """Bytes on disk."""
    thumbnail: bytes
    """The first view as a small PNG; b"" while there is none."""
    held_by: str
    """Who writes it, as in "process 123 on host", or ""."""


@dataclass(frozen=True)
class NodeRow:
    """A step in the tree of a saved walk, without its content."""

    id: int
    """Its number in order of making, 0 for the photo."""
    parent: int | None
    """The step that it follows; None for the photo."""
    label: str
    """What the history calls it."""
    name: str
    """Name that a user gave it, or ""."""
    recent: int | None
    """The child that redo leads to."""
    n_views: int
    """Views that it added."""
    n_surfels: int
    """Surfels that it added."""
    n_links: int
    """Links that it added."""
    made: float
    """Unix seconds."""
