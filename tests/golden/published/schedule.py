"""How a trajectory is cut into generation steps, as published: some poses may get lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

NUM_FRAMES = 8
"""Frames that the network sees at once."""
TARGETS = 4
"""Targets of every step but the first, which has as many as fit beside the photo."""


@dataclass(frozen=True)
class PlannedStep:
    """One step of generation."""

    n_frames_before: int
    """Frames in memory before the step."""
    n_context: int
    """How many of them the network is given."""
    targets: tuple[int, ...]
    """Numbers of the poses to generate, the last one repeated to fill up."""
    stored: tuple[int, ...]
    """Numbers of the poses that memory keeps."""


def plan_steps(n_frames: int, length: int) -> Iterator[PlannedStep]:
    """Steps for ``length`` target poses from a memory of ``n_frames``.

    One or two poses at the end, or a whole trajectory so short, may get no step at all.
    """
    at = 0
    for _ in range((length + 1 - NUM_FRAMES) // TARGETS + 2):
        first = n_frames == 1
        size = NUM_FRAMES - 1 if first else TARGETS
        stored = tuple(range(at, min(at + size, length)))
        if not stored:
            return
        padding = (stored[-1],) * (size - len(stored))
        context = 1 if first else NUM_FRAMES - TARGETS
        yield PlannedStep(n_frames, context, stored + padding, stored)
        n_frames += len(stored)
        at += size


def frames_returned(n_frames: int) -> int:
    """How many frames a call hands back from a memory of ``n_frames``: all of a small one."""
    return TARGETS if n_frames > TARGETS + 1 else n_frames
