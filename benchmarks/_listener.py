"""A page without a browser: connects to a viewer as viser's client does and weighs what comes."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from typing import Any

import msgspec
import viser
import zstandard
from viser import _messages as viser_messages
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

ANSWERS = {
    re.compile(r'__vmemTabs.*"channel": "([^"]+)"', re.DOTALL): '["Walk"]',
    re.compile(r'__vmemTab;.*"channel": "([^"]+)"', re.DOTALL): '["", "", false]',
}
"""The scripts that ask a page for its open tab and for its key, with the place where the answer
goes, and what is answered."""
LENGTHS = 16
"""Bytes before a payload's messages: two lengths."""
EYE = viser_messages.ViewerCameraMessage(
    wxyz=(1.0, 0.0, 0.0, 0.0),
    position=(0.0, 0.0, 0.0),
    fov=1.0,
    near=0.01,
    far=100.0,
    image_height=720,
    image_width=1280,
    look_at=(0.0, 0.0, 1.0),
    up_direction=(0.0, -1.0, 0.0),
)


class Listener:
    """The bytes of one connection's payloads, by the kind of message. Close it when done.

    It has nothing in its local storage, and the Walk tab open.
    """

    def __init__(self, port: int) -> None:
        self._socket: Any = connect(
            f"ws://127.0.0.1:{port}",
            origin=f"http://127.0.0.1:{port}",  # pyright: ignore[reportArgumentType]
            subprotocols=[f"viser-v{viser.__version__}"],  # pyright: ignore[reportArgumentType]
            max_size=None,
            compression=None,
        )
        self._bytes: Counter[str] = Counter()
        self._heard = time.monotonic()
        threading.Thread(target=self._listen, daemon=True).start()
        self._send(EYE)

    def taken(self, quiet: float = 1.0) -> Counter[str]:
        """What has come since the last call, once nothing has come for ``quiet`` seconds.

        Bytes by kind of message, arrays included; the rest of the payloads is "".
        """
        asked = time.monotonic()
        while time.monotonic() - max(self._heard, asked) < quiet:
            time.sleep(quiet / 10)
        taken, self._bytes = self._bytes, Counter()
        return taken

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _send(self, message: viser_messages.Message) -> None:
        self._socket.send(msgspec.msgpack.encode(message.as_serializable_dict([])))

    def _listen(self) -> None:
        try:
            for raw in self._socket:
                self._take(raw)
                self._heard = time.monotonic()
        except ConnectionClosed:
            pass

    def _take(self, raw: bytes) -> None:
        packed = int.from_bytes(raw[8:LENGTHS], "little")
        inner = zstandard.ZstdDecompressor().decompress(raw[LENGTHS : LENGTHS + packed])
        content = msgspec.msgpack.decode(inner)
        rest = len(raw)
        for message in content["messages"]:
            self._answer(message)
            # Of what is compressed together, each message has the share that it has before.
            size = len(msgspec.msgpack.encode(message)) * packed // len(inner)
            size += sum(content["binaryBufferLengths"][i] for i in _arrays(message))
            self._bytes[message["type"].removesuffix("Message")] += size
            rest -= size
        self._bytes[""] += rest

    def _answer(self, message: dict[str, Any]) -> None:
        if message["type"] == "LocalStorageGetItemRequestMessage":
            asked = message["request_uuid"]
            self._send(viser_messages.LocalStorageGetItemResponseMessage(None, None, asked))
        value, channel = answer_to(message.get("source", ""))
        if channel:
            self._send(viser_messages.GuiUpdateMessage(channel, {"value": value}))


def answer_to(script: str) -> tuple[str, str]:
    """What a page answers to a script that asks it something, and the element that hears it; two
    empty texts for one that asks nothing."""
    for asks, answer in ANSWERS.items():
        found = asks.search(script)
        if found and '"listen": true' in script:
            return answer, found[1]
    return "", ""


def _arrays(value: Any) -> list[int]:
    """Indices of the arrays that are part of a message."""
    if isinstance(value, dict):
        if "__binary_index" in value:
            return [value["__binary_index"]]
        value = list(value.values())
    return [i for item in value for i in _arrays(item)] if isinstance(value, list) else []
