"""Pages without a browser that connect to a program, say who they are, and go."""

from __future__ import annotations

from typing import cast

import pytest
import viser

from tests.support.standins import FakeHandle
from viewer.page.identity import PageIdentity, new_key
from viewer.server import app as program
from viewer.server.app import App


class Browsers:
    """Pages without a browser, that come and go at a program."""

    def __init__(self, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
        self.app = app
        self.present: dict[int, FakeHandle] = {}
        self.sent_away: list[tuple[int, bool]] = []
        """Connections that were closed, and whether their page was told."""
        self._says: dict[int, PageIdentity] = {}
        monkeypatch.setattr(app.server, "get_clients", lambda: dict(self.present))
        monkeypatch.setattr(program, "ask_page", lambda handle: self._says[handle.client_id])
        monkeypatch.setattr(program, "tell_elsewhere", lambda handle: None)
        monkeypatch.setattr(program, "close_connection", self._close)

    def comes(self, key: str | None = None, page: str | None = None, **says: bool) -> FakeHandle:
        """A page loads whose tab has that key, or connects again; ``page``: another one a load."""
        handle = self.connects(key, page, **says)
        self.app._connected(cast(viser.ClientHandle, handle))
        return handle

    def connects(
        self, key: str | None = None, page: str | None = None, *, elsewhere: bool = False
    ) -> FakeHandle:
        """A page is there, and has not been asked yet."""
        number = len(self._says) + 1
        self._says[number] = PageIdentity(key or new_key(), page or f"page {number}", elsewhere)
        self.present[number] = FakeHandle(self.app.server, number)
        return self.present[number]

    def key_of(self, handle: FakeHandle) -> str:
        return self._says[handle.client_id].key

    def goes(self, handle: FakeHandle) -> str:
        """The page is closed; its tab's key."""
        del self.present[handle.client_id]
        self.app._disconnected(cast(viser.ClientHandle, handle))
        return self.key_of(handle)

    def _close(self, server: object, client_id: int, reason: str, *, after: float) -> None:
        self.sent_away.append((client_id, after > 0))
