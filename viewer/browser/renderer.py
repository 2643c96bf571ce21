"""Who draws one browser's surfels: the page itself, or the server for it."""

from __future__ import annotations

from collections.abc import Callable

import viser

from viewer.browser.notifications import Notifications
from viewer.page.backlog import Backlog
from viewer.scene.scene import SceneView
from viewer.scene.stream import SurfelStream, why_no_stream
from viewer.settings import SceneOptions


class Renderer:
    """Starts and ends the server's stream of pictures. Called on its browser's thread only."""

    def __init__(
        self,
        handle: viser.ClientHandle,
        scene: SceneView,
        options: SceneOptions,
        *,
        backlog: Backlog,
        notifications: Notifications,
        is_busy: Callable[[], bool],
        post: Callable[..., None],
    ) -> None:
        """``is_busy()``: whether frames are being generated; ``post(call, ...)`` runs a call on the
        browser's thread."""
        self._handle = handle
        self._scene = scene
        self._options = options
        self._backlog = backlog
        self._notifications = notifications
        self._is_busy = is_busy
        self._post = post
        self._stream: SurfelStream | None = None
        self._told_why_none = False
        handle.camera.on_update(self._camera_moved)

    def choose(self, surfels: int) -> None:
        """Have browser or server draw so many surfels, as the options say."""
        wanted = self._options.server_draws(surfels, self._stream is not None)
        missing = why_no_stream() if wanted else ""
        if missing and not self._told_why_none:
            self._told_why_none = True
            self._notifications.notify(
                "The browser draws the surfels", f"drawn by the browser: {missing}"
            )
        if wanted and not missing and self._stream is None:
            self._start(surfels)
        elif not wanted:
            self._end()

    def close(self) -> None:
        """The browser is gone."""
        if self._stream is not None:
            self._stream.stop()

    def _start(self, surfels: int) -> None:
        stream = SurfelStream(
            self._handle,
            self._backlog,
            is_busy=self._is_busy,
            on_failed=lambda error: self._post(self._failed, stream, error),
        )
        self._stream = stream
        self._scene.draw_on(stream)
        stream.start()
        if self._options.drawn_by == "auto":
            self._notifications.notify(
                "The server now draws the surfels",
                f"{surfels:,} are more than {self._options.server_above:,}: see Settings.",
            )

    def _end(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            self._scene.draw_on(None)
            stream.stop()

    def _failed(self, stream: SurfelStream, error: Exception) -> None:
        self._notifications.notify(
            "The server's drawing failed", f"{type(error).__name__}: {error}", "red"
        )
        if stream is self._stream and not stream.alive:
            self._options.drawn_by = "browser"
            self._end()

    async def _camera_moved(self, _: viser.CameraHandle) -> None:
        """On viser's event loop."""
        if self._stream is not None:
            self._stream.moved()
