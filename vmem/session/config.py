"""What a walk is made with."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from vmem.errors import VMemError
from vmem.retrieval import STRATEGIES
from vmem.types import DEFAULT_STRATEGY, AssociationConfig


class ConfigError(VMemError, ValueError):
    """A setting outside what makes sense."""


@dataclass(frozen=True)
class SessionConfig:
    """What a walk is made with. Raises ConfigError for a setting that cannot be."""

    seed: int = 0
    """Fixes everything that is random or invented."""
    context_views: int = 4
    """K: how many retrieved views the generator sees, fewer where a network has no room for so many
    beside the targets."""
    target_views: int = 4
    """Frames that one step makes on its way to the target."""
    strategy: str = DEFAULT_STRATEGY
    """Retrieval strategy; see vmem.retrieval.strategies.coverage."""
    sampler: str | None = None
    """Sampler of a backend that has several; None for the backend's default."""
    association: AssociationConfig = field(default_factory=AssociationConfig)
    """How new views enter memory."""
    refuse: bool = True
    """Whether a step into a surface, or to frames that show nothing, is refused (StepRefused)."""

    def __post_init__(self) -> None:
        check_whole("seed", self.seed, 0, 2**32 - 1)
        check_whole("k (context_views)", self.context_views, 1, 64)
        check_whole("target_views", self.target_views, 1, 64)
        if self.strategy not in tuple(STRATEGIES):
            raise ConfigError(
                f"unknown strategy {self.strategy!r}: use one of {', '.join(STRATEGIES)}"
            )
        if not isinstance(self.sampler, str | None):
            raise ConfigError(f"sampler must be a name or None, got {self.sampler!r}")
        if not isinstance(self.refuse, bool):
            raise ConfigError(f"refuse must be True or False, got {self.refuse!r}")
        if not isinstance(self.association, AssociationConfig):
            raise ConfigError(f"association must be an AssociationConfig, got {self.association!r}")


def check_whole(name: str, value: object, low: int, high: float = math.inf) -> None:
    """ConfigError unless ``value`` is a whole number from ``low`` to ``high``."""
    if not isinstance(value, int | np.integer) or not low <= value <= high:
        limits = f"between {low} and {high}" if high < math.inf else f"of at least {low}"
        raise ConfigError(f"{name} must be a whole number {limits}, got {value!r}")
