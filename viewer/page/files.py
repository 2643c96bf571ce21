"""Files that the viewer's page fetches: made when they are asked for, at addresses of their own."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable

PREFIX = "/vmem/"


class Files:
    """Addresses on the viewer's own server, and what makes the content of each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._makers: dict[str, Callable[[], bytes]] = {}

    def add(self, make: Callable[[], bytes]) -> str:
        """A new address, which nobody can guess. ``make`` runs on the server's event loop, each
        time that somebody asks: keep it short."""
        address = PREFIX + secrets.token_urlsafe(12)
        with self._lock:
            self._makers[address] = make
        return address

    def remove(self, address: str) -> None:
        """Answer there no more."""
        with self._lock:
            self._makers.pop(address, None)

    def content(self, path: str) -> bytes | None:
        """What is at an address; None if nothing is."""
        with self._lock:
            make = self._makers.get(path)
        return None if make is None else make()
