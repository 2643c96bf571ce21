"""The browser's own camera: behind the ghost, at the ghost's place, or left alone."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np
import viser
import viser.transforms as vtf

from viewer.settings import ViewFrom
from vmem.arrays import F64
from vmem.cameras import Camera, invert_pose

BEHIND = np.array([0.0, -0.27, -0.5])
AHEAD = np.array([0.0, 0.1, 0.7])
"""Where the browser's camera is and looks, in the ghost's frame, when it follows from behind."""
ECHO_TIME = 0.3
"""Seconds after moving the camera ourselves in which reports of its place are ignored."""
REMEMBERED = 32
"""Places that we moved the camera from and to, by which late reports are known."""
SAME_PLACE = 1e-4
"""Scene units within which a report is of such a place."""
UP = np.array([0.0, -1.0, 0.0])


class CameraRig:
    """Moves the browser's camera with the ghost and reports when the user drags it.

    ``on_dragged`` gets a pose (4, 4), on viser's event loop, while the camera is at the ghost's.
    """

    def __init__(self, client: viser.ClientHandle, on_dragged: Callable[[F64], None]) -> None:
        self._client = client
        self._on_dragged = on_dragged
        self._view_from: ViewFrom = "behind"
        self._moved_at = 0.0
        self._places: deque[tuple[F64, F64]] = deque(maxlen=REMEMBERED)
        client.camera.on_update(self._updated)

    def view_from(self, view_from: ViewFrom, ghost: Camera) -> None:
        """Go to where ``view_from`` has the camera for a ghost, and follow the ghost from there."""
        self._view_from = view_from
        if view_from == "eyes":
            self.look_through(ghost)
        elif view_from == "behind":
            self._look(_to_world(ghost, BEHIND), _to_world(ghost, AHEAD))

    def follow(self, before: Camera, after: Camera) -> None:
        """Move as the ghost did, keeping the user's own angle on it."""
        if self._view_from == "eyes":
            self.look_through(after)
        elif self._view_from == "behind":
            motion = after.c2w @ invert_pose(before.c2w)
            position, look_at = self._place()
            self._look(_moved(motion, position), _moved(motion, look_at))

    def look_through(self, camera: Camera) -> None:
        """Go to a camera and look as it does."""
        self._look(_to_world(camera, np.zeros(3)), _to_world(camera, np.array([0, 0, 1.0])))

    def look_over(self, camera: Camera) -> None:
        """Look from behind a camera at what it sees."""
        self._look(_to_world(camera, BEHIND), _to_world(camera, AHEAD))

    def _place(self) -> tuple[F64, F64]:
        """Where the camera is and looks: as the browser says, unless what it says is where we had
        the camera before. Its reports come late, and moving on from one would lose a move."""
        camera = self._client.camera
        said = np.asarray(camera.position)
        if any(np.allclose(said, position, atol=SAME_PLACE) for position, _ in self._places):
            return self._places[-1]
        return said, np.asarray(camera.look_at)

    def _look(self, position: F64, look_at: F64) -> None:
        self._moved_at = time.monotonic()
        camera = self._client.camera
        self._places.append((np.array(camera.position), np.array(camera.look_at)))
        self._places.append((np.asarray(position), np.asarray(look_at)))
        with self._client.atomic():
            camera.position = position
            camera.look_at = look_at
            camera.up_direction = UP

    async def _updated(self, camera: viser.CameraHandle) -> None:
        if self._view_from != "eyes" or time.monotonic() - self._moved_at < ECHO_TIME:
            return
        pose = np.eye(4)
        pose[:3, :3] = vtf.SO3(camera.wxyz).as_matrix()
        pose[:3, 3] = camera.position
        self._on_dragged(pose)


def _to_world(camera: Camera, point: F64) -> F64:
    return camera.c2w[:3, :3] @ point + camera.position


def _moved(motion: F64, point: F64) -> F64:
    return motion[:3, :3] @ np.asarray(point) + motion[:3, 3]
