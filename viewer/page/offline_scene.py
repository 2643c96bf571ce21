"""A viser scene without a server: filled like any other, then written as a recording.

viser only records what a server's scene holds, and a server listens on a port from the moment it
is made. A recording needs neither port nor thread, so `OfflineScene` is a server that was never
started: its messages stay in the buffer from which a browser that connects late would get them.
Leans on viser 1.1.1: ViserServer._websock_server, _scene_lifecycle_lock, _initial_camera and
WebsockServer._broadcast_buffer.
"""

from __future__ import annotations

import asyncio
import html
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import viser
from viser import _messages as viser_messages
from viser import infra
from viser.infra._async_message_buffer import AsyncMessageBuffer


class OfflineScene(viser.ViserServer):
    """``scene`` and ``initial_camera`` of a server that does not exist; ``page`` for scripts."""

    def __init__(self) -> None:  # the base's would listen on a port
        # This loop never runs anything: closed, it takes no callbacks and keeps no files open.
        loop = asyncio.new_event_loop()
        loop.close()
        sockets = infra.WebsockServer("127.0.0.1", 0, message_class=viser_messages.Message)
        sockets._broadcast_buffer = AsyncMessageBuffer(loop, persistent_messages=True)
        self._websock_server = sockets
        self._scene_lifecycle_lock = threading.RLock()
        self._initial_camera = viser.InitialCameraConfig(broadcast=sockets.queue_message)
        self.scene = viser.SceneApi(self, ThreadPoolExecutor(max_workers=1), loop)
        self.page: Any = SimpleNamespace(_websock_interface=sockets)
        """In place of a GUI, for ``viewer.page.scripts.run_script``: all it uses of one."""

    def recorded(self, title: str) -> tuple[bytes, str]:
        """The scene as the bytes of a ``.viser`` file, and as one HTML page of that title."""
        serializer = self.get_scene_serializer()
        recording = serializer.serialize()
        # as_html would serialize again: a serializer does so only once, and compressing takes time.
        vars(serializer)["serialize"] = lambda: recording
        page = serializer.as_html(dark_mode=True)
        return recording, page.replace(
            "<title>Viser</title>", f"<title>{html.escape(title)}</title>", 1
        )
