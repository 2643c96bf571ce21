"""Held keys of one browser, in Python: key down, key up, and the set that is down.

viser itself offers hotkeys without release or held state, and flies its camera with WASD, QE and
the arrows in any case. The script in ``shaders/page/keyboard.js`` listens before anything else
does, keeps the keys that we take from the rest of the page, and talks to Python through a
hidden text element of the client's GUI. (`gui.reset()` removes it: make a new Keyboard then.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import viser

from viewer.page.channel import Channel, fields_of

KeyEventKind = Literal["down", "up", "clear", "ready", "command"]

_CODE = re.compile(r"[A-Za-z0-9]{1,32}")
_NAME = re.compile(r"[a-z_]{1,32}")
_NOTHING = re.compile("")
_CODES: Mapping[str, re.Pattern[str]] = {
    "down": _CODE,
    "up": _CODE,
    "clear": _NOTHING,
    "ready": _NOTHING,
    "command": _NAME,
}
"""Kind of an event -> its code."""
_LONGEST_KEY = 32
_LONGEST_MESSAGE = 4096
_MOST_HELD = 64
_LARGEST_NUMBER = 2**53


@dataclass(frozen=True)
class KeyEvent:
    """What happened on the keyboard."""

    kind: KeyEventKind
    """"down" and "up" of a key; "clear": nothing is held any more, because the page lost the focus,
    was hidden, or a text field took over; "ready": the browser has begun to listen;
    "command": a button of the page, a gamepad's or one for fingers, was pressed."""
    code: str
    """``KeyboardEvent.code``, the place on the keyboard ("KeyW", "Space"); "" for "clear" and
    "ready"; of a "command" its name."""
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
    key: str = ""
    """``KeyboardEvent.key``, what the layout types with it ("w", "?", "Home"); "" where no key was
    pressed, or it is not known."""
    double: bool = False
    """Whether it was pressed just before, and nothing else since."""


class Keyboard:
    """The keyboard of one client, as a stream of KeyEvents.

    ``on_event`` runs on viser's event loop, in order: keep it short. Keys pressed in a text field,
    in a dialog, or together with ctrl, alt or meta are not reported, but for those that walk slowly
    or through walls in the first-person picture; nor is auto-repeat, nor the Escape that gives the
    mouse back. Codes, and characters typed, in ``swallow`` reach nothing else on the page: neither
    viser's own flying nor hotkeys of `gui.add_command`. A reload or reconnect is a new client: make
    a new Keyboard for it. Of several Keyboards of one client, only the youngest gets events.
    """

    def __init__(
        self,
        client: viser.ClientHandle,
        swallow: Collection[str],
        on_event: Callable[[KeyEvent], None],
    ) -> None:
        self._channel = Channel(client, "keyboard.js", parse_key_event, on_event)
        self.set_swallow(swallow)

    def set_swallow(self, keys: Collection[str]) -> None:
        """Take these codes and characters, and no others, from the rest of the page."""
        self._channel.call(swallow=sorted(set(keys)))

    def dispose(self) -> None:
        """Stop listening. Harmless when repeated, and after the client has gone."""
        self._channel.dispose()


def parse_key_event(message: str) -> KeyEvent | None:
    """Read what the browser sent; None for anything that the script would not send."""
    fields = fields_of(message, 9, _LONGEST_MESSAGE)
    if fields is None:
        return None
    kind, code, key, shift, double, held, sequence, time_ms, pointer = fields
    if not isinstance(kind, str) or kind not in _CODES or not _fits(_CODES[kind], code):
        return None
    if not isinstance(key, str) or len(key) > _LONGEST_KEY:
        return None
    if not isinstance(shift, bool) or not isinstance(double, bool):
        return None
    if (
        not isinstance(held, list)
        or len(held) > _MOST_HELD
        or not all(_fits(_CODE, code) for code in held)
    ):
        return None
    if not isinstance(sequence, int) or not _is_number(sequence) or not _is_number(time_ms):
        return None
    if pointer is not None:
        if not isinstance(pointer, list) or len(pointer) != 2 or not all(map(_is_number, pointer)):
            return None
        pointer = (float(pointer[0]), float(pointer[1]))
    return KeyEvent(
        cast(KeyEventKind, kind),
        code,
        shift,
        frozenset(held),
        sequence,
        float(time_ms),
        pointer,
        key,
        double,
    )


def _fits(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 <= value <= _LARGEST_NUMBER
