"""Moves: words, how they are read, and what they do to a pose."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from vmem.cameras.poses import rotation_x, rotation_y
from vmem.errors import VMemError

STEP_SIZE = 0.1
"""Scene units that one translating move covers."""


TURN_ANGLE = math.radians(4.0)
"""Radians that one turning move covers."""


MAX_COUNT = 1000
"""Largest repeat count a move word may carry: beyond it, it is surely a slip."""


@dataclass(frozen=True)
class Move:
    """One elementary motion: camera-frame translation in steps, yaw and pitch in turns."""

    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    yaw: float = 0.0
    pitch: float = 0.0


MOVES: dict[str, Move] = {
    "w": Move((0, 0, 1)),
    "s": Move((0, 0, -1)),
    "a": Move(yaw=-1),
    "d": Move(yaw=1),
    "q": Move((-1, 0, 0)),
    "e": Move((1, 0, 0)),
    "r": Move((0, -1, 0)),
    "f": Move((0, 1, 0)),
    "t": Move(pitch=1),
    "g": Move(pitch=-1),
}
"""Move words: w s forward/back, a d turn left/right, q e strafe, r f up/down, t g pitch up/down."""


MAX_PITCH = math.radians(85.0)


class MoveError(VMemError, ValueError):
    """A move word that cannot be read."""


def parse_moves(text: str) -> list[str]:
    """Split ``"w*3 a d"`` into single words ``["w", "w", "w", "a", "d"]``.

    Raises MoveError on an unknown word, a count below 1 or above MAX_COUNT, no word at all, or what
    is no text.
    """
    if not isinstance(text, str):
        raise MoveError(f"moves are one text, such as 'w*2 a d'; got {text!r}")
    words: list[str] = []
    for token in text.split():
        match = re.fullmatch(r"([A-Za-z]+)(?:\*(-?\d+))?", token)
        if match is None or match[1].lower() not in MOVES:
            known = " ".join(MOVES)
            raise MoveError(f"unknown move {token!r}: use {known}, each with an optional *count")
        count = int((match[2] or "1")[:9])  # Python refuses to read thousands of digits
        if not 1 <= count <= MAX_COUNT:
            raise MoveError(f"count of move {token!r} must be between 1 and {MAX_COUNT}")
        words += [match[1].lower()] * count
    if not words:
        raise MoveError("no moves given: give words such as 'w*2 a d'")
    return words


def apply_move(
    c2w: Float64[np.ndarray, "4 4"],
    move: Move,
    *,
    amount: float = 1.0,
    step_size: float = STEP_SIZE,
    turn_angle: float = TURN_ANGLE,
) -> Float64[np.ndarray, "4 4"]:
    """Pose after ``amount`` times ``move``.

    Translation follows the camera's own axes before turning; yaw turns about the world's vertical
    through the camera (the reference's left-multiplied Ry); pitch stops short of the poles.
    """
    out = c2w.copy()
    out[:3, 3] += c2w[:3, :3] @ (np.asarray(move.translation) * step_size * amount)
    if move.yaw:
        out[:3, :3] = rotation_y(move.yaw * turn_angle * amount) @ out[:3, :3]
    if move.pitch:
        now = math.asin(float(np.clip(-out[1, 2], -1, 1)))
        goal = float(np.clip(now + move.pitch * turn_angle * amount, -MAX_PITCH, MAX_PITCH))
        out[:3, :3] = out[:3, :3] @ rotation_x(goal - now)
    return out
