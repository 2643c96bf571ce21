"""Views that a user has pinned or banned.

A pin is on the view itself, not on its number: after an undo or on another branch the same number
may be another view. Then the pin has no effect, until its view is back.
"""

from __future__ import annotations

from vmem.memory import MemorySnapshot
from vmem.types import ViewId

Pin = tuple[int, ViewId | None]
"""A view's number and its id."""


class Pins:
    """Pinned and banned views of one walk. Read from any thread, changed on one."""

    def __init__(self) -> None:
        self._pinned: tuple[Pin, ...] = ()
        self._banned: tuple[Pin, ...] = ()

    def pinned(self, memory: MemorySnapshot) -> tuple[int, ...]:
        """The pinned views of ``memory``, in the order in which they were pinned."""
        return _present(self._pinned, memory)

    def banned(self, memory: MemorySnapshot) -> tuple[int, ...]:
        """The banned views of ``memory``."""
        return _present(self._banned, memory)

    def toggle_pin(self, view: int, memory: MemorySnapshot) -> bool:
        """Pin a view, which lifts its ban, or let it go; True if it is pinned now."""
        self._pinned, pinned = _toggled(self._pinned, view, memory)
        if pinned:
            self._banned = _without(self._banned, view, memory)
        return pinned

    def toggle_ban(self, view: int, memory: MemorySnapshot) -> bool:
        """Ban a view, which lifts its pin, or let it come back; True if it is banned now."""
        self._banned, banned = _toggled(self._banned, view, memory)
        if banned:
            self._pinned = _without(self._pinned, view, memory)
        return banned

    def clear(self) -> None:
        """Pin and ban nothing."""
        self._pinned = self._banned = ()


def _present(pins: tuple[Pin, ...], memory: MemorySnapshot) -> tuple[int, ...]:
    return tuple(i for i, view in pins if i < len(memory.views) and memory.views[i].id == view)


def _without(pins: tuple[Pin, ...], view: int, memory: MemorySnapshot) -> tuple[Pin, ...]:
    return tuple(pin for pin in pins if pin[1] != memory.views[view].id)


def _toggled(
    pins: tuple[Pin, ...], view: int, memory: MemorySnapshot
) -> tuple[tuple[Pin, ...], bool]:
    rest = _without(pins, view, memory)
    if len(rest) < len(pins):
        return rest, False
    return (*pins, (view, memory.views[view].id)), True
