"""What evaluations of the network may leave out, and which of a run do.

Two parts of an evaluation can be left out: the side of guidance without the context, outside an
interval of noise levels, and the inner levels of the network, whose features an evaluation before
has left (`vmem.generation.diffusion.network.unet.DeepFeatures`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from vmem.errors import VMemError


class ShortcutError(VMemError, ValueError):
    """Shortcuts that contradict themselves."""


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of the network, by what is computed."""

    sides: Literal[1, 2]
    """Sides of guidance: both, or that with the context alone."""
    shallow: bool
    """Without the inner levels."""


@dataclass(frozen=True)
class Shortcuts:
    """Which evaluations leave something out; by default none does.

    Source of the interval: Kynkaanniemi et al. 2024, "Applying guidance in a limited interval
    improves sample and distribution quality in diffusion models".
    """

    guided: tuple[float, float] = (0.0, math.inf)
    """Lowest and highest noise level at which both sides of guidance are evaluated."""
    shallow: tuple[int, ...] = ()
    """Which evaluations of a run, from 0, leave out the inner levels of the network."""
    outer: int = 1
    """Levels of the network, from the full resolution on, that a shallow evaluation computes."""

    def __post_init__(self) -> None:
        low, high = self.guided
        if not 0 <= low <= high:
            raise ShortcutError(f"guidance needs 0 <= lowest <= highest level, got {low} to {high}")
        if self.outer < 1 or any(position < 1 for position in self.shallow):
            raise ShortcutError(
                "a shallow evaluation needs one before it and computes at least one level, got "
                f"evaluations {self.shallow} of {self.outer} levels"
            )

    @property
    def one_sided(self) -> bool:
        """Whether there are noise levels at which one side of guidance is enough."""
        return self.guided != (0.0, math.inf)

    def evaluation(self, position: int, sigma: float, sides_kept: int) -> Evaluation:
        """What is computed at a noise level by the evaluation at ``position`` of a run, from 0.

        sides_kept: sides of guidance of which there are features; where those of a side are
        missing, the evaluation is whole.
        """
        low, high = self.guided
        sides = 2 if low <= sigma <= high else 1
        return Evaluation(sides, position in self.shallow and sides_kept >= sides)

    def plan(self, sigmas: Iterable[float] | Tensor) -> list[Evaluation]:
        """All evaluations of a run down ``sigmas`` (n + 1,): none at the last, where it ends."""
        made: list[Evaluation] = []
        kept = 0
        for position, sigma in enumerate(list(map(float, sigmas))[:-1]):
            made.append(self.evaluation(position, sigma, kept))
            kept = made[-1].sides
        return made


EXACT = Shortcuts()
"""Every evaluation is whole, as published."""
