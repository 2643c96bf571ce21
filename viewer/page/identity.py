"""Which walk a page shows: the key that its tab keeps, asked for when the page connects."""

from __future__ import annotations

import re
import secrets
import threading
from dataclasses import dataclass

import viser

from shaders import load
from viewer.page.channel import Channel, fields_of
from viewer.page.scripts import is_connected, run_script

LONGEST_MESSAGE = 256
POLL = 0.1
"""Seconds between looks whether a page that has not answered is still connected."""
_KEY = re.compile(r"[0-9a-f]{24}")

ELSEWHERE = "This walk was opened elsewhere."
TAKE_BACK = "Take it back"


@dataclass(frozen=True)
class PageIdentity:
    """What a page says of itself."""

    key: str
    """Of the walk that its tab shows: 24 hexadecimal digits."""
    page: str
    """Another one with every load; the same when a page connects again. "" if unknown."""
    elsewhere: bool = False
    """Whether its walk was opened elsewhere: it shows none until it is loaded again."""


def new_key() -> str:
    """A key that nobody can guess."""
    return secrets.token_hex(12)


def ask_page(client: viser.ClientHandle) -> PageIdentity | None:
    """What the page of a client says of itself; None once it has disconnected without an answer.

    Blocks until then: a slow page is not taken for one without a key.
    """
    answered, heard = threading.Event(), list[PageIdentity]()

    def on_said(said: PageIdentity) -> None:
        heard.append(said)
        answered.set()

    channel = Channel(client, "identity.js", parse_identity, on_said)
    channel.call()
    client.flush()
    try:
        while not answered.wait(POLL):
            if not is_connected(client):
                return None
        return heard[0]
    finally:
        channel.dispose()


def tell_elsewhere(client: viser.ClientHandle) -> None:
    """Cover a page: its walk was opened elsewhere, and a button takes it back."""
    run_script(client.gui, load("elsewhere.js"), {"words": ELSEWHERE, "back": TAKE_BACK})
    client.flush()


def parse_identity(message: str) -> PageIdentity | None:
    """Read what the page sent; None for what the script would not send. A page without our head, or
    whose key is none, gets a new one."""
    fields = fields_of(message, 3, LONGEST_MESSAGE)
    if fields is None:
        return None
    key, page, elsewhere = fields
    if not (isinstance(key, str) and isinstance(page, str) and isinstance(elsewhere, bool)):
        return None
    return PageIdentity(key if _KEY.fullmatch(key) else new_key(), page, elsewhere)
