"""Where the content of a step is: in the memory while its branch is walked, else a copy; or a file.

A step's outline is what overviews need of it: its record without surfels and links, with views and
a retrieval that are read when they are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from vmem.arrays import I32
from vmem.memory import ViewMemory
from vmem.types import StepRecord, Surfels

Growth = tuple[Surfels, I32, I32]
"""Surfels of a step, and the surfel and the view of each of its links."""
NO_GROWTH: Growth = (Surfels.empty(), np.zeros(0, np.int32), np.zeros(0, np.int32))


class Content(Protocol):
    """The content of one step."""

    @property
    def outline(self) -> StepRecord:
        """Its record without surfels and links."""
        ...

    def record(self) -> StepRecord:
        """Its whole record, with the views and the retrieval of the outline."""
        ...

    def leave(self) -> None:
        """The memory is about to leave the step."""
        ...

    def enter(self) -> None:
        """The memory holds the step again."""
        ...


@dataclass(eq=False)
class Whole:
    """A record that is held as it is."""

    outline: StepRecord

    def record(self) -> StepRecord:
        """The record."""
        return self.outline

    def leave(self) -> None:
        """Nothing changes."""

    def enter(self) -> None:
        """Nothing changes."""


@dataclass(eq=False)
class InMemory:
    """A step whose surfels and links are read from the memory while it is part of it, so that they
    are not held twice, and from a copy while it is not."""

    outline: StepRecord
    memory: ViewMemory
    step: int
    """Its number on the way from the photo."""
    copy: Growth | None = None

    def record(self) -> StepRecord:
        """The record; any thread may ask."""
        while True:
            copy, memory = self.copy, self.memory.snapshot()
            if copy is not None:
                return grown(self.outline, copy)
            # The memory may have left the step between the two look-ups: then there is a copy.
            if self.step < len(memory.steps):
                last = memory.views[memory.steps[self.step].n_views - 1]
                if last is self.outline.views[-1]:
                    return grown(self.outline, memory.growth(self.step))

    def leave(self) -> None:
        """The memory is about to leave the step."""
        record = self.record()
        self.copy = (record.surfels, record.link_surfel, record.link_view)

    def enter(self) -> None:
        """The memory holds the step again."""
        self.copy = None


def outlined(record: StepRecord) -> StepRecord:
    """A record without surfels and links."""
    return grown(record, NO_GROWTH)


def grown(outline: StepRecord, growth: Growth) -> StepRecord:
    """An outline with its surfels and links."""
    surfels, link_surfel, link_view = growth
    return replace(outline, surfels=surfels, link_surfel=link_surfel, link_view=link_view)
