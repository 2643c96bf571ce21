"""What a walk is made with."""

from __future__ import annotations

from dataclasses import dataclass, field

from vmem.errors import VMemError
from vmem.retrieval import STRATEGIES
from vmem.types import DEFAULT_STRATEGY, AssociationConfig


class ConfigError(VMemError, ValueError):
    """A setting outside what makes sense."""


@dataclass(frozen=True)
class SessionConfig:
    """What a walk is made with."""

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

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("seed", self.seed, 0, 2**32 - 1),
            ("context_views", self.context_views, 1, 64),
            ("target_views", self.target_views, 1, 64),
        ):
            if not low <= value <= high:
                raise ConfigError(f"{name} must be between {low} and {high}, got {value}")
        if self.strategy not in STRATEGIES:
            raise ConfigError(
                f"unknown strategy {self.strategy!r}: use one of {', '.join(STRATEGIES)}"
            )
