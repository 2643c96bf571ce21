"""The contract of every generator: retrieved views and cameras in, frames out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from vmem.cameras import Cameras
from vmem.progress import CancelToken, OnProgress
from vmem.types import Frames, View


@dataclass(frozen=True, eq=False)
class Context:
    """All that a generator may know of the walk."""

    views: tuple[View, ...]
    """The retrieved views, best first, at least one."""
    anchor: View
    """The session's first view: the photo. It may be among ``views`` too."""
    step: int
    """Number of the step being made, from 1."""


class Generator(Protocol):
    """Makes new frames from retrieved views; stateless given its context."""

    def generate(
        self,
        context: Context,
        targets: Cameras,
        *,
        seed: int,
        on_progress: OnProgress,
        cancel: CancelToken,
        sampler: str | None = None,
    ) -> Frames:
        """Frames (T, H, W, 3) u8 for the T targets, at ``targets.hw``.

        seed: the session's; equal arguments give equal frames. sampler: by name, one of those that
        the generator offers, None for its own choice; generators without samplers ignore it.
        Reports progress a frame or a denoising step, polls ``cancel`` as often; raises Cancelled.
        """
        ...


@runtime_checkable
class Prepares(Protocol):
    """A generator that can begin work for a walk before its first step asks for it."""

    def prepare(self, anchor: View, *, seed: int) -> None:
        """Called once the walk's first view is in memory; returns at once.

        Changes no frame. An error of the work is raised by the step that needs it.
        """
        ...
