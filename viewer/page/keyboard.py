"""Held keys of one browser, in Python: key down, key up, and the set that is down.

viser itself offers hotkeys without release or held state, and flies its camera with WASD, QE and
the arrows in any case. The script in ``shaders/page/keyboard.js`` listens before anything else
does, keeps the keys that we take from the rest of the page, and talks to Python through a
hidden text element of the client's GUI. (`gui.reset()` removes it: make a new Keyboard then.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal, cast

import viser

from viewer.page.channel import Channel, fields_of

KeyEventKind = Literal["down", "up", "clear", "ready"]

_KINDS = ("down", "up", "clear", "ready")
_CODE = re.compile(r"[A-Za-z0-9]{1,32}")
_LONGEST_MESSAGE = 4096
_MOST_HELD = 64
_LARGEST_NUMBER = 2**53


@dataclass(frozen=True)
class KeyEvent:
    """What happened on the keyboard."""

    kind: KeyEventKind
    """"down" and "up" of a key; "clear": nothing is held any more, because the page lost the focus,
    was hidden, or a text field took over; "ready": the browser has begun to listen."""
    code: str
    """``KeyboardEvent.code``, the place on the keyboard ("KeyW", "Space"); "" for "clear" and
    "ready"."""
    shift: bool
    """Whether shift was down."""
    held: frozenset[str]
    """All codes that are down after this event."""
    sequence: int
    """1, 2, 3… in each browser."""
    time_ms: float
    """The browser's clock, epoch milliseconds."""
    pointer: tuple[float, float] | None = None
    """(x, y) in [0, 1] of the 3-D canvas from its upper left; None while it is elsewhere."""


class Keyboard:
    """The keyboard of one client, as a stream of KeyEvents.

    ``on_event`` runs on viser's event loop, in order: keep it short. Keys pressed in a text field,
    in a dialog, or together with ctrl, alt or meta are not reported; nor is auto-repeat. Codes in
    ``swallow`` reach nothing else on the page: neither viser's own flying nor hotkeys of
    `gui.add_command`. A reload or reconnect is a new client: make a new Keyboard for it. Of several
    Keyboards of one client, only the youngest gets events.
    """

    def __init__(
        self,
        client: viser.ClientHandle,
        swallow: Collection[str],
        on_event: Callable[[KeyEvent], None],
    ) -> None:
        self._channel = Channel(client, "keyboard.js", parse_key_event, on_event)
        self.set_swallow(swallow)

    def set_swallow(self, codes: Collection[str]) -> None:
        """Take these codes, and no others, from the rest of the page."""
        self._channel.call(swallow=sorted(set(codes)))

    def dispose(self) -> None:
        """Stop listening. Harmless when repeated, and after the client has gone."""
        self._channel.dispose()


def parse_key_event(message: str) -> KeyEvent | None:
    """Read what the browser sent; None for anything that the script would not send."""
    fields = fields_of(message, 7, _LONGEST_MESSAGE)
    if fields is None:
        return None
    kind, code, shift, held, sequence, time_ms, pointer = fields
    if kind not in _KINDS or not isinstance(shift, bool):
        return None
    if not (_is_code(code) if kind in ("down", "up") else code == ""):
        return None
    if not isinstance(held, list) or len(held) > _MOST_HELD or not all(map(_is_code, held)):
        return None
    if not isinstance(sequence, int) or not _is_number(sequence) or not _is_number(time_ms):
        return None
    if pointer is not None:
        if not isinstance(pointer, list) or len(pointer) != 2 or not all(map(_is_number, pointer)):
            return None
        pointer = (float(pointer[0]), float(pointer[1]))
    return KeyEvent(
        cast(KeyEventKind, kind), code, shift, frozenset(held), sequence, float(time_ms), pointer
    )


def _is_code(value: Any) -> bool:
    return isinstance(value, str) and _CODE.fullmatch(value) is not None


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 <= value <= _LARGEST_NUMBER
