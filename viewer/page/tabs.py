"""Which tab of the panel is open in a page: what nobody sees need not be sent."""

from __future__ import annotations

from collections.abc import Callable

import viser

from viewer.page.channel import Channel, fields_of

LONGEST_MESSAGE = 128


class OpenTab:
    """The open tab of one client, as it changes.

    ``on_changed(label)`` runs on viser's event loop, with "" where the page shows no tab: keep it
    short. A reload or reconnect is a new client: make a new OpenTab for it.
    """

    def __init__(self, client: viser.ClientHandle, on_changed: Callable[[str], object]) -> None:
        self._channel = Channel(client, "tabs.js", parse_open_tab, on_changed)
        self._channel.call()

    def dispose(self) -> None:
        """Stop listening. Harmless when repeated, and after the client has gone."""
        self._channel.dispose()


def parse_open_tab(message: str) -> str | None:
    """Read what the browser sent; None for anything that the script would not send."""
    fields = fields_of(message, 1, LONGEST_MESSAGE)
    return fields[0] if fields is not None and isinstance(fields[0], str) else None
