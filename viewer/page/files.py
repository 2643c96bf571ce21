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
        self._folders: dict[str, Callable[[str], bytes | None]] = {}

    def add(self, make: Callable[[], bytes]) -> str:
        """A new address, which nobody can guess. ``make`` runs on the server's event loop, each
        time that somebody asks: keep it short."""
        address = PREFIX + secrets.token_urlsafe(12)
        with self._lock:
            self._makers[address] = make
        return address

    def add_folder(self, make: Callable[[str], bytes | None]) -> str:
        """A new address that ends in "/": ``make(name)`` is the content of what follows it, or
        None if there is no file of that name. It runs as that of `add`."""
        address = PREFIX + secrets.token_urlsafe(12) + "/"
        with self._lock:
            self._folders[address] = make
        return address

    def remove(self, address: str) -> None:
        """Answer there, or in that folder, no more."""
        with self._lock:
            self._makers.pop(address, None)
            self._folders.pop(address, None)

    def content(self, path: str) -> bytes | None:
        """What is at an address; None if nothing is."""
        folder, _, name = path.rpartition("/")
        with self._lock:
            make, make_named = self._makers.get(path), self._folders.get(f"{folder}/")
        if make is not None:
            return make()
        return None if make_named is None else make_named(name)
