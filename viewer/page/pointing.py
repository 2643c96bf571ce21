"""What the pointer does over our own panels, in Python: over which row, and which was clicked.

viser's HTML elements do not report the pointer. Ours are marked ``data-vmem="row:12"`` (see
`mark`); the script in ``shaders/page/pointing.js`` listens and talks to Python through a hidden
text element of the client's GUI, as the keyboard does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import viser

from viewer.page.channel import Channel, fields_of

PointerEventKind = Literal["enter", "leave", "move", "click"]

_KINDS = ("enter", "leave", "move", "click")
_TARGET = re.compile(r"[a-z][a-z_-]{0,31}(?::[A-Za-z0-9_.,:+-]{1,64})?")
_LONGEST_MESSAGE = 256
_LARGEST_NUMBER = 2**53


@dataclass(frozen=True)
class PointerEvent:
    """What the pointer, or the keyboard's focus, did over a marked element.

    From one mark straight to another there is only an "enter".
    """

    kind: PointerEventKind
    """"enter": it came over another mark; "leave": it is over none any more, or the mark is gone;
    "move": within a mark that tracks, at most once per frame of the browser; "click": also Enter in
    the keyboard's focus."""
    target: str
    """The mark ("row:12"); of "leave", the mark that was left."""
    at: tuple[float, float]
    """(x, y) in [0, 1] of the marked element from its upper left; its middle without a pointer."""
    sequence: int
    """1, 2, 3… in each page and Pointing."""

    @property
    def name(self) -> str:
        """The mark up to its colon: "row" of "row:12"."""
        return self.target.partition(":")[0]

    @property
    def argument(self) -> str:
        """The mark behind its first colon, "12" of "row:12"; "" where there is none."""
        return self.target.partition(":")[2]


def mark(target: str, *, focusable: bool = True, tracks: bool = False) -> str:
    """HTML attributes that make an element report the pointer: ``f"<tr {mark('row:12')}>"``.

    target: a name in small letters and, behind a colon, an argument of letters, digits and _.,:+-;
    focusable: the keyboard can reach and press it; tracks: report moves within it as well.
    ValueError for another target.
    """
    if _TARGET.fullmatch(target) is None:
        raise ValueError(f"{target!r} is no mark: expected a name like row or row:12")
    attributes = [f'data-vmem="{target}"']
    attributes += ['tabindex="0" role="button"'] * focusable
    attributes += ["data-vmem-track"] * tracks
    return " ".join(attributes)


class Pointing:
    """The pointer of one client over marked elements, as a stream of PointerEvents.

    ``on_event`` runs on viser's event loop, in order: keep it short. A panel that is rendered again
    under a resting pointer reports nothing as long as the same mark is there. A reload or reconnect
    is a new client: make a new Pointing for it. Of several Pointings of one client, only the
    youngest gets events.
    """

    def __init__(
        self, client: viser.ClientHandle, on_event: Callable[[PointerEvent], object]
    ) -> None:
        self._channel = Channel(client, "pointing.js", parse_pointer_event, on_event)
        self._channel.call()

    def dispose(self) -> None:
        """Stop listening. Harmless when repeated, and after the client has gone."""
        self._channel.dispose()


def parse_pointer_event(message: str) -> PointerEvent | None:
    """Read what the browser sent; None for anything that the script would not send of a `mark`."""
    fields = fields_of(message, 5, _LONGEST_MESSAGE)
    if fields is None:
        return None
    kind, target, x, y, sequence = fields
    if kind not in _KINDS:
        return None
    if not isinstance(target, str) or _TARGET.fullmatch(target) is None:
        return None
    if not (_is_share(x) and _is_share(y)):
        return None
    if not isinstance(sequence, int) or isinstance(sequence, bool):
        return None
    if not 1 <= sequence <= _LARGEST_NUMBER:
        return None
    at = (float(x), float(y))
    return PointerEvent(cast(PointerEventKind, kind), target, at, sequence)


def _is_share(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
