"""The camera of viser's scene: with the ghost, through a view, or where the user left it."""

from __future__ import annotations

import viser

from viewer.browser.throttle import Throttle
from viewer.page.backlog import Backlog
from viewer.scene.camera_rig import CameraRig
from viewer.scene.scene import SceneView
from viewer.settings import Settings
from vmem.cameras import Camera
from vmem.types import View

FOLLOW_TIME = 1 / 15
"""Seconds between moves of the scene with the walker."""
SLOW_SHARE = 3.0
"""Times of what the page took for the last move that pass before the next: on a slow machine the
walker's own picture goes first."""


class SceneCamera:
    """Called on its browser's thread only."""

    def __init__(
        self, handle: viser.ClientHandle, scene: SceneView, rig: CameraRig, settings: Settings
    ) -> None:
        self._handle, self._scene, self._rig, self._settings = handle, scene, rig, settings
        self.looks_away = False
        """Whether it has left the ghost for a view or a step."""
        self.seen = True
        """Whether the page shows the scene: else the ghost is followed once it does."""
        self._follow = Throttle(FOLLOW_TIME)
        self._shown: Camera | None = None
        self._ghost: Camera | None = None

    def follow(self, before: Camera, ghost: Camera, *, live: bool = False) -> None:
        """Show the ghost at another place and move with it; ``live``: as often as the page can."""
        self._shown = self._shown or before
        self._ghost = ghost
        self._follow.request(at_once=not live)
        if not live and self.seen:
            self._move()

    def settle(self, now: float, backlog: Backlog) -> float | None:
        """Move with the ghost if that is due and the page has drawn the last move; the seconds
        until there is more to do."""
        if not self.seen:
            return None
        if self._follow.take(now, self.hold(backlog)):
            self._move()
            backlog.mark()
        return self._follow.wait(now, 0.05)

    def hold(self, backlog: Backlog) -> float:
        """Seconds for which the scene is left alone: until the page has drawn what was sent, and on
        a slow machine some time for the walker's own picture."""
        return backlog.rest(SLOW_SHARE) if self.seen else 0.0

    def _move(self) -> None:
        before, ghost = self._shown, self._ghost
        self._shown = None
        self._follow.withdraw()
        if before is None or ghost is None:
            return
        with self._handle.atomic():
            self._scene.show_ghost(ghost)
            if self.looks_away:
                self.return_to(ghost)
            else:
                self._rig.follow(before, ghost)

    def look_through(self, view: View) -> None:
        """Move to a view and show its frame there."""
        self.looks_away = True
        self._scene.immerse(True)
        self._scene.show_screen(view)
        self._rig.look_through(view.camera)

    def look_over(self, camera: Camera) -> None:
        """Look from behind a camera at what it sees."""
        self.looks_away = True
        self._scene.immerse(False)
        self._rig.look_over(camera)

    def return_to(self, ghost: Camera) -> None:
        """Move to where the settings have it for a ghost."""
        self.looks_away = False
        self._rig.view_from(self._settings.view_from, ghost)
        self._scene.immerse(False)
        self._scene.immerse(self._settings.view_from == "eyes")
