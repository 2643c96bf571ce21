"""Why a view was chosen for a query or left out: a value, with its English beside it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class ReasonKind(Enum):
    """All reasons that there are; the value is the English, with the numbers to fill in."""

    CHOSEN = "chosen"
    CHOSEN_ADDS = "chosen: adds {percent:.0f} % of the visible surface"
    CHOSEN_AGAIN = "chosen: a second look at surface already covered"
    CHOSEN_OLDER = "chosen: as good as view {view}, and older"
    CHOSEN_NEAREST = "chosen: nearest pose"
    CHOSEN_NEWEST = "chosen: newest"
    CHOSEN_FRUSTUM = "chosen: its frustum holds {percent:.0f} % of the target's"
    CHOSEN_AWAY = "chosen: {distance:.2f} rad away"
    CHOSEN_ONLY = "chosen: the only view"
    PINNED = "pinned"
    PINNED_ADDS = "pinned: adds {percent:.0f} % of the visible surface"
    PINNED_AGAIN = "pinned: a second look at surface already covered"
    PINNED_BEYOND_K = "pinned, but beyond K"
    BANNED = "banned"
    BEYOND_K = "beyond K"
    NO_VISIBLE_SURFEL = "no visible surfel"
    ADDS_NOTHING = "adds nothing that chosen views lack"
    SUPPRESSED = "suppressed: {distance:.2f} rad from view {view}"
    FRUSTUM_MISSES = "its frustum misses the target's"
    SAW_TOO_LITTLE = "saw too little of it to be a candidate"
    CANDIDATE = "a candidate, but {distance:.2f} rad away"
    OTHER = "{text}"
    """A strategy's own words."""


@dataclass(frozen=True)
class Reason:
    """Why one view was chosen or left out. ``str(reason)`` is its English."""

    kind: ReasonKind
    """What decided."""
    view: int | None = None
    """The other view that the reason names."""
    distance: float | None = None
    """Pose distance to that view, or to the target where none is named, in radians."""
    share: float | None = None
    """Of the visible surface or of the target's frustum, in [0, 1]."""
    text: str = ""
    """The words of ReasonKind.OTHER."""

    def __str__(self) -> str:
        share = 0.0 if self.share is None else self.share
        return self.kind.value.format(
            view=self.view, distance=self.distance, percent=100 * share, text=self.text
        )

    @property
    def is_chosen(self) -> bool:
        """Whether the strategy chose the view by itself."""
        return self.kind.name.startswith("CHOSEN")

    @property
    def is_pinned(self) -> bool:
        """Whether the view was chosen because the user pinned it."""
        return self.kind in (ReasonKind.PINNED, ReasonKind.PINNED_ADDS, ReasonKind.PINNED_AGAIN)

    def to_json(self) -> dict[str, Any]:
        """The kind by name and what is known beside it; `from_json` reads it back."""
        known = {name: getattr(self, name) for name in ("view", "distance", "share")}
        row: dict[str, Any] = {k: v for k, v in known.items() if v is not None}
        return {"kind": self.kind.name} | row | ({"text": self.text} if self.text else {})

    @staticmethod
    def from_json(row: dict[str, Any]) -> Reason:
        """The reason that `to_json` wrote; KeyError or TypeError for anything else."""
        rest = {name: value for name, value in row.items() if name != "kind"}
        return Reason(ReasonKind[row["kind"]], **rest)
