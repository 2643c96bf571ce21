"""Views that a user has pinned or banned, remembered as the views that they are.

After an undo or on another branch the same number may be another view: then the wish is not meant
for it, and counts again when the view comes back.
"""

from __future__ import annotations

from vmem.memory import MemorySnapshot
from vmem.types import View

Wish = tuple[int, View]


class Wishes:
    """Pins and bans of one walk. Read from any thread, changed on one."""

    def __init__(self) -> None:
        self._pinned: tuple[Wish, ...] = ()
        self._banned: tuple[Wish, ...] = ()

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
        """Ban a view, which lifts its pin, or let it go; True if it is banned now."""
        self._banned, banned = _toggled(self._banned, view, memory)
        if banned:
            self._pinned = _without(self._pinned, view, memory)
        return banned

    def clear(self) -> None:
        """No wishes."""
        self._pinned = self._banned = ()


def _present(wishes: tuple[Wish, ...], memory: MemorySnapshot) -> tuple[int, ...]:
    return tuple(i for i, view in wishes if i < len(memory.views) and memory.views[i] is view)


def _without(wishes: tuple[Wish, ...], view: int, memory: MemorySnapshot) -> tuple[Wish, ...]:
    return tuple(wish for wish in wishes if wish[1] is not memory.views[view])


def _toggled(
    wishes: tuple[Wish, ...], view: int, memory: MemorySnapshot
) -> tuple[tuple[Wish, ...], bool]:
    rest = _without(wishes, view, memory)
    if len(rest) < len(wishes):
        return rest, False
    return (*wishes, (view, memory.views[view])), True
