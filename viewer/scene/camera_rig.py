"""The browser's own camera: behind the ghost, at its eyes, or left alone."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import viser
import viser.transforms as vtf

from vmem.arrays import F64
from vmem.cameras import Camera, invert_pose

BEHIND = np.array([0.0, -0.27, -0.5])
AHEAD = np.array([0.0, 0.1, 0.7])
"""Where the eye stands and looks, in the ghost's frame, when it follows from behind."""
ECHO_TIME = 0.3
"""Seconds after moving the camera ourselves in which its reports are old news."""
UP = np.array([0.0, -1.0, 0.0])


class CameraRig:
    """Moves the browser's camera with the ghost and reports when the user drags it.

    ``on_dragged`` gets a pose (4, 4), on viser's event loop, while the eye is the ghost's.
    """

    def __init__(self, client: viser.ClientHandle, on_dragged: Callable[[F64], None]) -> None:
        self._client = client
        self._on_dragged = on_dragged
        self._eye = "behind"
        self._moved_at = 0.0
        client.camera.on_update(self._updated)

    def set_eye(self, eye: str, ghost: Camera) -> None:
        """Take the place that ``eye`` means for a ghost camera."""
        self._eye = eye
        if eye == "eyes":
            self.stand_at(ghost)
        elif eye == "behind":
            self._look(_to_world(ghost, BEHIND), _to_world(ghost, AHEAD))

    def follow(self, before: Camera, after: Camera) -> None:
        """Move as the ghost did, keeping the user's own angle on it."""
        if self._eye == "eyes":
            self.stand_at(after)
        elif self._eye == "behind":
            motion = after.c2w @ invert_pose(before.c2w)
            camera = self._client.camera
            self._look(_moved(motion, camera.position), _moved(motion, camera.look_at))

    def stand_at(self, camera: Camera) -> None:
        """Look through a camera."""
        self._look(_to_world(camera, np.zeros(3)), _to_world(camera, np.array([0, 0, 1.0])))

    def look_over(self, camera: Camera) -> None:
        """Look from behind a camera at what it sees."""
        self._look(_to_world(camera, BEHIND), _to_world(camera, AHEAD))

    def _look(self, position: F64, look_at: F64) -> None:
        self._moved_at = time.monotonic()
        camera = self._client.camera
        with self._client.atomic():
            camera.position = position
            camera.look_at = look_at
            camera.up_direction = UP

    async def _updated(self, camera: viser.CameraHandle) -> None:
        if self._eye != "eyes" or time.monotonic() - self._moved_at < ECHO_TIME:
            return
        pose = np.eye(4)
        pose[:3, :3] = vtf.SO3(camera.wxyz).as_matrix()
        pose[:3, 3] = camera.position
        self._on_dragged(pose)


def _to_world(camera: Camera, point: F64) -> F64:
    return camera.c2w[:3, :3] @ point + camera.position


def _moved(motion: F64, point: F64) -> F64:
    return motion[:3, :3] @ np.asarray(point) + motion[:3, 3]
