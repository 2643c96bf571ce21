"""What pages say of themselves; of real connections with one key the older one is closed."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
import viser
import zstandard
from viser import _messages as viser_messages
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from tests.support.fakes import open_box
from tests.support.standins import until
from viewer.page.identity import ELSEWHERE, PageIdentity, new_key, parse_identity
from viewer.server.app import App
from viewer.server.config import ViewerConfig
from viewer.server.connections import TAKEN_OVER

KEY = "0123456789abcdef01234567"


def test_a_key_is_read() -> None:
    message = json.dumps([KEY, "f" * 24, True])
    assert parse_identity(message) == PageIdentity(KEY, "f" * 24, True)


@pytest.mark.parametrize("key", ["", "no key", "../../etc/passwd/../../..", KEY.upper(), KEY + "0"])
def test_a_page_without_a_key_of_ours_gets_a_new_one(key: str) -> None:
    said = parse_identity(json.dumps([key, "", False]))
    assert said is not None
    assert re.fullmatch("[0-9a-f]{24}", said.key)
    assert said.key != KEY
    assert new_key() != new_key()


@pytest.mark.parametrize(
    "message", ["", "[]", '["", ""]', '["", "", 1]', "[null, null, true]", "{"]
)
def test_what_the_script_would_not_send_is_ignored(message: str) -> None:
    assert parse_identity(message) is None


class RawPage:
    """A connection that answers what it is asked, and keeps the scripts that it is sent."""

    def __init__(self, app: App, said: list[Any]) -> None:
        at = f"127.0.0.1:{app.port}"
        protocol = Subprotocol(f"viser-v{viser.__version__}")
        self._socket = connect(f"ws://{at}", origin=Origin(f"http://{at}"), subprotocols=[protocol])
        self._said = json.dumps(said)
        self.scripts: list[str] = []
        self.closed = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()
        self._send(
            viser_messages.ViewerCameraMessage(
                (1, 0, 0, 0), (0, 0, 0), 1.0, 0.01, 100.0, 480, 640, (0, 0, 1), (0, -1, 0)
            )
        )

    @property
    def close_code(self) -> int | None:
        return self._socket.close_code

    def _send(self, message: viser_messages.Message) -> None:
        self._socket.send(msgspec.msgpack.encode(message.as_serializable_dict([])))

    def _listen(self) -> None:
        with suppress(ConnectionClosed):
            for raw in self._socket:
                assert isinstance(raw, bytes)
                size = int.from_bytes(raw[8:16], "little")
                plain = zstandard.ZstdDecompressor().decompress(raw[16 : 16 + size])
                for message in msgspec.msgpack.decode(plain)["messages"]:
                    self._answer(message)
        self.closed.set()

    def _answer(self, message: dict[str, Any]) -> None:
        if message["type"] == "LocalStorageGetItemRequestMessage":
            asked = message["request_uuid"]
            self._send(viser_messages.LocalStorageGetItemResponseMessage(None, None, asked))
        script = message.get("source", "")
        self.scripts.append(script)
        asks = re.search(r'__vmemTab;.*"channel": "([^"]+)"', script, re.DOTALL)
        if asks and '"listen": true' in script:
            self._send(viser_messages.GuiUpdateMessage(asks[1], {"value": self._said}))

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def app() -> Iterator[App]:
    running = App(ViewerConfig(port=0, size=64, open=False, save=False), session=open_box())
    yield running
    running.close()


@pytest.mark.parametrize("same_page", [True, False])
def test_the_older_connection_is_closed_with_a_word(same_page: bool, app: App) -> None:
    first = RawPage(app, [KEY, "a" * 24, False])
    until(lambda: app.clients)
    second = RawPage(app, [KEY, "a" * 24 if same_page else "b" * 24, False])
    assert first.closed.wait(20)
    assert first.close_code == TAKEN_OVER
    assert any(ELSEWHERE in script for script in first.scripts) != same_page
    until(lambda: len(app.clients) == 1)
    assert app.clients[0].handle.client_id == 1
    assert list(app.walks) == [KEY]
    third = RawPage(app, [KEY, "a" * 24, True])  # it connects again by itself, as viser does
    until(lambda: any("__vmemTab;" in script for script in third.scripts))
    assert not second.closed.wait(0.3)
    for page in (second, third):
        page.close()
