"""Which view is made next, from where the walker has been heard to be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from viewer.first_person.following import adds_something, ahead
from vmem.arrays import F64
from vmem.cameras import Camera, rotation_angle
from vmem.memory import MemorySnapshot
from vmem.session.refusal import refusal_of_pose

FORGOTTEN = 0.5
"""Seconds after which what was heard says nothing of where he goes."""
FARTHEST = 0.25
"""Scene units that are foretold at most."""
FARTHEST_TURN = np.radians(20)
"""Angle that is foretold at most."""
LATENCY_SHARE = 0.3
"""Share of the last view's latency in what is expected of the next."""


@dataclass(frozen=True, eq=False)
class _Heard:
    c2w: F64
    time: float


class Follower:
    """Hears the walker's poses; one at a time, tells the camera of a view worth making."""

    def __init__(self) -> None:
        self._heard: list[_Heard] = []
        self._refused: list[F64] = []
        self.moving = False
        self.latency = 0.2
        """Seconds from asking for a view to seeing it: where he will be by then is foretold."""

    def hear(self, c2w: F64, moving: bool, now: float) -> bool:
        """The walker is at a pose (4, 4) at ``now``, in seconds; whether a stretch begins."""
        begins = moving and not self.moving
        self.moving = moving
        if self._heard and now - self._heard[-1].time > FORGOTTEN:
            self._heard.clear()
        self._heard = [*self._heard[-2:], _Heard(c2w, now)]
        return begins

    def forget(self) -> None:
        """Python has moved the walker: what was heard before is of somewhere else."""
        self._heard.clear()
        self.moving = False

    def refuse(self, c2w: F64) -> None:
        """A view could not be made at a pose (4, 4): do not ask again from about there."""
        self._refused = [*self._refused[-31:], c2w]

    def took(self, seconds: float) -> None:
        """A view was seen so many seconds after it was asked for."""
        self.latency += LATENCY_SHARE * (seconds - self.latency)

    def next_view(self, memory: MemorySnapshot, camera: Camera, now: float) -> Camera | None:
        """The camera of a view worth making for who is at ``camera``; None if none is."""
        foretold = self._ahead(camera.c2w, now)
        candidates = [camera] if foretold is None else [camera.moved_to(foretold), camera]
        for candidate in candidates:
            if (
                not self._is_refused(candidate.c2w)
                and adds_something(memory, candidate)
                and refusal_of_pose(memory, candidate) is None
            ):
                return candidate
        return None

    def _ahead(self, c2w: F64, now: float) -> F64 | None:
        """(4, 4) where he will be when a view asked for now is seen; None if nobody can say."""
        if len(self._heard) < 2 or not self.moving or now - self._heard[-1].time > FORGOTTEN:
            return None
        first, last = self._heard[0], self._heard[-1]
        passed = max(last.time - first.time, 1e-3)
        velocity = (last.c2w[:3, 3] - first.c2w[:3, 3]) / passed
        turned = _yaw(last.c2w) - _yaw(first.c2w)
        rate = float(np.arctan2(np.sin(turned), np.cos(turned))) / passed
        seconds = min(
            self.latency + now - last.time,
            FARTHEST / max(float(np.linalg.norm(velocity)), 1e-9),
            FARTHEST_TURN / max(abs(rate), 1e-9),
        )
        return ahead(c2w, velocity, rate, seconds)

    def _is_refused(self, c2w: F64) -> bool:
        return any(
            np.linalg.norm(refused[:3, 3] - c2w[:3, 3]) < 0.05
            and rotation_angle(refused[:3, :3], c2w[:3, :3]) < np.radians(8)
            for refused in self._refused
        )


def _yaw(c2w: F64) -> float:
    """Radians to the right that a pose (4, 4) looks."""
    return float(np.arctan2(c2w[0, 2], c2w[2, 2]))
