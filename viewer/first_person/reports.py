"""What the page says: where its walker is, what it asks for, its size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from viewer.page.channel import fields_of
from vmem.arrays import F64

_LONGEST = 400
_FARTHEST = 1e6


@dataclass(frozen=True, eq=False)
class WalkerPose:
    """Where the walker is."""

    number: int
    """Number of the last pose that Python has set."""
    c2w: F64
    """(4, 4) of the walker's eye."""
    moving: bool
    """Whether he is on his way: from key down to key up."""


@dataclass(frozen=True)
class Asked:
    """A button of the page, or something in it that was clicked."""

    name: str
    """Name of a command, or of what else the page can ask for."""
    argument: str
    """What it is about; "" for most."""


@dataclass(frozen=True)
class PageSize:
    """What the page is shown on."""

    width: int
    height: int
    """CSS pixels left to picture and scene."""
    touch: bool
    """Whether it is used by touch."""


Report = WalkerPose | Asked | PageSize


def parse_report(message: str) -> Report | None:
    """A message of the page; None for what it would not send."""
    for length, parse in ((9, _pose), (4, _asked), (5, _size)):
        fields = fields_of(message, length, _LONGEST)
        if fields is not None:
            return parse(fields)
    return None


def _pose(fields: list) -> WalkerPose | None:
    kind, _, number, *place, moving = fields
    if kind != "pose" or not isinstance(moving, bool) or not _are_numbers([number, *place]):
        return None
    return WalkerPose(int(number), pose_of(np.array(place[:3]), place[3], place[4]), moving)


def _asked(fields: list) -> Asked | None:
    kind, _, name, argument = fields
    if kind != "ask" or not isinstance(name, str) or not isinstance(argument, str):
        return None
    return Asked(name, argument)


def _size(fields: list) -> PageSize | None:
    kind, _, width, height, touch = fields
    if kind != "size" or not isinstance(touch, bool) or not _are_numbers([width, height]):
        return None
    return PageSize(int(width), int(height), touch)


def _are_numbers(values: list) -> bool:
    return all(
        isinstance(x, int | float) and not isinstance(x, bool) and abs(x) <= _FARTHEST
        for x in values
    )


def yaw_pitch(c2w: F64) -> tuple[float, float]:
    """Radians to the right and down of a pose (4, 4), y down; roll is left out."""
    x, y, z = c2w[:3, 2]
    return float(np.arctan2(x, z)), float(np.arcsin(np.clip(y, -1, 1)))


def pose_of(position: F64, yaw: float, pitch: float) -> F64:
    """(4, 4) c2w of a walker."""
    (cy, sy), (cp, sp) = ((np.cos(angle), np.sin(angle)) for angle in (yaw, pitch))
    c2w = np.eye(4)
    c2w[:3, :3] = [[cy, -sy * sp, sy * cp], [0, cp, sp], [-sy, -cy * sp, cy * cp]]
    c2w[:3, 3] = position
    return c2w
