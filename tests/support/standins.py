"""What takes the place of browsers and clients, and ways to look at what they would be shown."""

from __future__ import annotations

import asyncio
import base64
import inspect
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import viser
from PIL import Image
from viser._messages import RunJavascriptMessage

from viewer.actions import Actions
from viewer.scene.frustums import CHANGE
from viewer.scene.surfel_cloud import NORMAL_RADIUS_SUFFIX
from viewer.settings import Settings
from viewer.walk.pins import Pins
from viewer.walk.worker import Event

PATIENCE = 30.0
"""Seconds after which something that should happen is taken not to happen."""


def until(condition: Callable[[], object]) -> None:
    """Wait for ``condition()``; fail if it never comes true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.002)


class Diary:
    """A listener that keeps every event, and can wait for one."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._written = threading.Condition()

    def __call__(self, event: Event) -> None:
        with self._written:
            self.events.append(event)
            self._written.notify_all()

    def wait_for(self, kind: str, count: int = 1) -> list[Event]:
        """The events of a kind, once there are ``count`` of them."""
        with self._written:
            assert self._written.wait_for(lambda: len(self.of(kind)) >= count, PATIENCE), self.story
            return self.of(kind)

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]

    @property
    def story(self) -> list[tuple[str, str]]:
        """(kind, label) of all events in order."""
        return [(event.kind, event.label) for event in self.events]


@contextmanager
def quiet_server() -> Iterator[viser.ViserServer]:
    """A viser server on a free port of this machine, without its greeting."""
    with redirect_stdout(io.StringIO()):
        server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    try:
        yield server
    finally:
        with redirect_stdout(io.StringIO()):
            server.stop()


class Recorder:
    """Messages that a server sends while ``listening``."""

    def __init__(self, server: viser.ViserServer) -> None:
        self._interface: Any = server.scene._websock_interface

    @contextmanager
    def listening(self) -> Iterator[list[Any]]:
        """The list into which messages go, in order, until the context ends."""
        heard: list[Any] = []
        send = self._interface.queue_message

        def heard_and_sent(message: Any) -> None:
            heard.append(message)
            send(message)

        self._interface.queue_message = heard_and_sent
        try:
            yield heard
        finally:
            self._interface.queue_message = send


class FakeCamera:
    """As much of a viser camera as is used: a pose, a lens, and who listens."""

    def __init__(self) -> None:
        self.position = np.zeros(3)
        self.look_at = np.array([0.0, 0.0, 1.0])
        self.up_direction = np.array([0.0, -1.0, 0.0])
        self.wxyz = np.array([1.0, 0.0, 0.0, 0.0])
        self.fov, self.aspect = np.pi / 2, 2.0
        self.image_width, self.image_height = 400, 200
        self.listeners: list[Any] = []

    def on_update(self, listener: Any) -> None:
        self.listeners.append(listener)


class FakeStorage:
    """A browser's local storage."""

    def __init__(self, items: dict[str, str] | None = None) -> None:
        self.items = items or {}

    def get_item(self, key: str, timeout: float) -> str | None:
        return self.items.get(key)

    def set_item(self, key: str, value: str) -> None:
        self.items[key] = value


class FakeHandle:
    """A client handle whose scene and GUI are a server's; it keeps what it was told."""

    def __init__(self, server: viser.ViserServer, client_id: int = 0) -> None:
        self.client_id = client_id
        self.scene, self.gui = server.scene, server.gui
        self.camera, self.local_storage = FakeCamera(), FakeStorage()
        self.notifications: list[tuple[str, str]] = []
        self.loading: list[SimpleNamespace] = []
        self.downloads: list[tuple[str, bytes]] = []
        buffer = SimpleNamespace(done=True)
        self._websock_connection = SimpleNamespace(get_message_buffer=lambda: buffer)

    def node(self, name: str) -> Any:
        """The node of that name in the scene."""
        return self.scene._handle_from_node_name[name]

    def atomic(self) -> nullcontext[None]:
        return nullcontext()

    def flush(self) -> None:
        """Nothing waits here."""

    def add_notification(self, title: str, body: str, **looks: Any) -> SimpleNamespace:
        if not looks.get("loading"):
            self.notifications.append((title, body))
        note = SimpleNamespace(title=title, body=body)
        note.remove = lambda: self.loading.remove(note)
        self.loading += [note] * bool(looks.get("loading"))
        return note

    def send_file_download(self, name: str, content: bytes) -> None:
        self.downloads.append((name, content))


class Asked:
    """In place of a browser's actions: keeps what is asked of them, as (name, arguments)."""

    def __init__(self) -> None:
        self.settings, self.pins = Settings(), Pins()
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        if not callable(getattr(Actions, name, None)):
            raise AttributeError(f"a browser has no action {name}")
        return lambda *arguments: self.calls.append((name, arguments))

    @property
    def commands(self) -> Actions:
        """For the panels."""
        return cast(Actions, self)


def handles(server: viser.ViserServer) -> list[Any]:
    """All elements of the GUI, in every container."""
    containers = server.gui._container_handle_from_uuid.values()
    return [child for container in containers for child in container._children.values()]


def labelled(server: viser.ViserServer, label: str) -> Any:
    """The element of that label; what it says in brackets besides is left out."""
    (found,) = [
        handle
        for handle in handles(server)
        if (getattr(handle, "label", None) or "").partition(" (")[0] == label
    ]
    return found


def use(handle: Any, value: object = None) -> None:
    """What happens when the user sets an element to a value, or presses a button."""
    if value is not None:
        handle._impl.value = value
    event = SimpleNamespace(client=object(), client_id=1, target=handle)
    for callback in handle._impl.update_cb:
        call(callback, event)


def call(callback: Any, event: object) -> None:
    """Call back as viser does, which runs coroutines to their end."""
    called = callback(event)
    if inspect.iscoroutine(called):
        # Playwright keeps an event loop running in the main thread once a browser test has run.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, called).result()


CHUNK = 200
"""Surfels in a chunk here, so that a small walk has several."""


def sent(heard: list[Any], kind: str, under: str = "/") -> list[str]:
    """Names of the nodes below ``under`` that messages of a kind are about, in order."""
    names = [message.name for message in heard if type(message).__name__ == kind]
    return [name for name in names if name.startswith(under)]


def set_quietly(handle: Any, value: object) -> None:
    """Set an element to a value as a page does that says nothing of it."""
    handle._impl.value = value


def clouds(heard: list[Any]) -> list[str]:
    names = sent(heard, "PointCloudMessage", "/surfels/")
    return [name for name in names if not name.endswith(NORMAL_RADIUS_SUFFIX)]


def updates(heard: list[Any], under: str) -> list[tuple[str, str]]:
    """(node, property) of every property sent for nodes below ``under``."""
    found = []
    for message in heard:
        if type(message).__name__ == "SceneNodeUpdateMessage" and message.name.startswith(under):
            found += [(message.name, name) for name in message.updates]
    return found


def nodes(server: viser.ViserServer, under: str) -> dict[str, Any]:
    """Handles of the nodes that stand in the scene below ``under``."""
    handles = server.scene._handle_from_node_name
    return {name: handles[name] for name in sorted(handles) if name.startswith(under)}


def chunks(server: viser.ViserServer) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(positions (S, 3), colours (S, 3)) of the surfels that each chunk in the scene draws."""
    found = nodes(server, "/surfels/")
    drawn = {
        name: int(found[name + NORMAL_RADIUS_SUFFIX].point_size)
        for name in found
        if not name.endswith(NORMAL_RADIUS_SUFFIX)
    }
    return {
        name: (found[name].points[:count], found[name].colors[:count])
        for name, count in drawn.items()
    }


def shown(server: viser.ViserServer) -> tuple[np.ndarray, np.ndarray]:
    """Positions (S, 3) and colours (S, 3) of the surfels in the scene."""
    parts = list(chunks(server).values())
    if not parts:
        return np.zeros((0, 3)), np.zeros((0, 3))
    points, colors = zip(*parts, strict=True)
    return np.concatenate(points), np.concatenate(colors)


def frustum_news(heard: list[Any], node: str = "/views") -> list[dict[str, Any]]:
    """What messages tell the page of the frustums below a node, in order."""
    sources = [message.source for message in heard if isinstance(message, RunJavascriptMessage)]
    return news_in(sources, node)


def news_in(scripts: list[str], node: str) -> list[dict[str, Any]]:
    """What scripts tell the page of the frustums below a node, in order."""
    read = json.JSONDecoder().raw_decode
    starts = [(script, script.find(CHANGE)) for script in scripts]
    news = [read(script[at + len(CHANGE) + 2 :])[0] for script, at in starts if at >= 0]
    return [one for one in news if one["node"] == node]


@dataclass
class DrawnFrustum:
    """A frustum as the page draws it."""

    c2w: np.ndarray
    size: np.ndarray
    picture: np.ndarray
    color: tuple[int, ...] = (0, 0, 0)


def frustums(server: viser.ViserServer, node: str = "/views") -> list[DrawnFrustum]:
    """The frustums that a page draws that has been told everything."""
    buffer: Any = server._websock_server._broadcast_buffer
    return drawn_after(frustum_news(list(buffer.message_from_id.values()), node))


def drawn_after(all_news: list[dict[str, Any]]) -> list[DrawnFrustum]:
    """The frustums that a page draws once it has been told these news."""
    drawn: list[DrawnFrustum] = []
    for news in all_news:
        del drawn[news["keep"] :]
        for place in reversed(news.get("drop", ())):
            del drawn[place]
        for one in news.get("add", ()):
            rows, size = np.reshape(one["pose"][:12], (3, 4)), np.array(one["pose"][12:])
            data = base64.b64decode(one["picture"].partition(",")[2])
            picture = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
            drawn.append(DrawnFrustum(np.vstack([rows, [0, 0, 0, 1]]), size, picture))
        for view, color in news.get("colors", ()):
            drawn[view].color = tuple(color)
    return drawn


def pictures(server: viser.ViserServer) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(image, position, wxyz) of the billboards that are to be seen."""
    # viser lists a handle before it has its properties: another thread may be adding it.
    return {
        name: (handle.image.copy(), np.array(handle.position), np.array(handle.wxyz))
        for name, handle in nodes(server, "/billboards/").items()
        if hasattr(handle, "image") and handle.visible
    }


def assert_same(one: dict[str, tuple], other: dict[str, tuple]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        for before, after in zip(one[name], other[name], strict=True):
            np.testing.assert_array_equal(before, after)


def others(server: viser.ViserServer) -> dict[str, tuple[bool, bytes, bytes]]:
    """Visibility and pose of everything but the billboards."""
    return {
        name: (handle.visible, np.array(handle.position).tobytes(), bytes(handle.wxyz))
        for name, handle in nodes(server, "/").items()
        if not name.startswith("/billboards")
    }
