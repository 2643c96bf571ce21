"""A script in one client's page that sends messages to Python, in order."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import viser

from shaders import load
from viewer.page.scripts import is_connected, run_script

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Channel(Generic[T]):
    """Runs ``shaders/page/SCRIPT`` and takes its messages from a hidden text element of the GUI.

    The script is called with ``channel`` (the element's id), ``listen`` and what `call` is given;
    with ``listen`` false it is to stop. ``parse`` reads a message, None for what the script would
    not send; ``on_event`` gets the rest on viser's event loop, in order: keep it short.
    """

    def __init__(
        self,
        client: viser.ClientHandle,
        script: str,
        parse: Callable[[str], T | None],
        on_event: Callable[[T], object],
        function: str | None = None,
    ) -> None:
        """``function``: the script itself, where it is more than one file."""
        self._client = client
        self._script = load(script) if function is None else function
        self._parse = parse
        self._on_event = on_event
        self._disposed = False
        self._element = client.gui.add_text(script, "", visible=False)

        # viser runs `async def` callbacks inline and in order; plain functions go to a thread
        # pool, where two events may overtake each other.
        @self._element.on_update
        async def _(event: viser.GuiEvent[viser.GuiTextHandle]) -> None:
            self._receive(event.target.value)

    @property
    def id(self) -> str:
        """What the script knows the element by."""
        return self._element._impl.uuid

    def call(self, **config: Any) -> None:
        """Call the script. RuntimeError once the channel has been disposed of."""
        if self._disposed:
            raise RuntimeError("this channel has been disposed of")
        self._run(listen=True, **config)

    def dispose(self) -> None:
        """Have the script stop. Harmless when repeated, and after the client has gone."""
        if self._disposed:
            return
        self._disposed = True
        if is_connected(self._client):
            self._run(listen=False)
            self._element.remove()

    def _run(self, **config: Any) -> None:
        run_script(self._client.gui, self._script, {"channel": self.id, **config})

    def _receive(self, message: str) -> None:
        event = self._parse(message)
        if self._disposed or event is None:
            return
        try:
            self._on_event(event)
        except Exception:
            # viser would only mention it when the task is garbage-collected.
            logger.exception("the handler of %s failed", event)


def fields_of(message: str, count: int, longest: int) -> list[Any] | None:
    """The fields of a message that is a JSON list of ``count``, of at most ``longest`` characters;
    else None."""
    if len(message) > longest:
        return None
    try:
        fields = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, list) and len(fields) == count else None
