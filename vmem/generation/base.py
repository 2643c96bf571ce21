"""The contract of every generator: views in, frames out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from vmem.cameras import Cameras
from vmem.progress import CancelToken, OnProgress
from vmem.types import Frames, View


@dataclass(frozen=True, eq=False)
class Context:
    """All that a generator may know.

    views: the retrieved views, best first, at least one · anchor: the session's first view, the
    photo (it may also stand among ``views``) · step: number of the step being made, from 1.
    """

    views: tuple[View, ...]
    anchor: View
    step: int


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
    ) -> Frames:
        """Frames (T, H, W, 3) u8 for the T targets, at ``targets.hw``.

        ``seed`` is the session's; equal arguments give equal frames. Reports progress a frame or
        a denoising step, polls ``cancel`` as often; raises Cancelled.
        """
        ...
