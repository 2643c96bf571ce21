"""The ghost camera: where the next frames will go, and the path it flew there."""

from __future__ import annotations

import math

import numpy as np

from vmem.arrays import F64
from vmem.cameras import MOVES, Camera, apply_move, pose_distance, rotation_angle

MAX_FLIGHT_STEPS = 40
"""A flight longer than this many steps is generated with longer strides."""


class Ghost:
    """A camera that moves freely and remembers its path since the last view."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.step_size = 0.1
        self.turn_angle = math.radians(4)
        self._trail: list[F64] = [camera.c2w]

    def reset(self, camera: Camera) -> None:
        """Go to ``camera`` and begin a new trail there."""
        self.camera = camera
        self._trail = [camera.c2w]

    def place(self, c2w: F64) -> None:
        """Go to a pose (4, 4); the path there counts as flown."""
        self.camera = self.camera.moved_to(c2w)
        self._trail.append(self.camera.c2w)

    def move(self, word: str, amount: float = 1.0) -> None:
        """Apply a move word, ``amount`` times."""
        self.place(
            apply_move(
                self.camera.c2w,
                MOVES[word],
                amount=amount,
                step_size=self.step_size,
                turn_angle=self.turn_angle,
            )
        )

    @property
    def start(self) -> F64:
        """Pose (4, 4) where the trail began."""
        return self._trail[0]

    @property
    def away(self) -> bool:
        """True if the ghost is elsewhere than where its trail began."""
        return float(pose_distance(self._trail[0], self.camera.c2w)) > 1e-4

    def waypoints(self) -> list[F64]:
        """Poses (4, 4) along the trail, about one move apart, ending at the ghost: a step each."""
        strides = [
            max(
                float(np.linalg.norm(b[:3, 3] - a[:3, 3])) / self.step_size,
                float(rotation_angle(a[:3, :3], b[:3, :3])) / self.turn_angle,
            )
            for a, b in zip(self._trail[:-1], self._trail[1:], strict=True)
        ]
        total = sum(strides)
        stride = max(1.0, total / MAX_FLIGHT_STEPS)
        points: list[F64] = []
        walked, due = 0.0, stride
        for length, pose in zip(strides, self._trail[1:], strict=True):
            walked += length
            if walked >= due - 1e-9:
                points.append(pose)
                due = walked + stride
        if not points:
            return [self.camera.c2w] if self.away else []
        since_last = walked - (due - stride)
        if since_last > 0.25 * stride:
            points.append(self.camera.c2w)
        else:
            # Too little for a step of its own: the last step goes further instead.
            points[-1] = self.camera.c2w
        return points
