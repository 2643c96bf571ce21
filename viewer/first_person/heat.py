"""Memory's colours over the walker's picture: what the page is told of them, and the files it gets.

The page knows by a map which surfel each view shows where (`surfel_map`), and by a second file the
present colour of each surfel. It fetches both at its own pace, the newest there is: so a slow page
is behind by one file at most.
"""

from __future__ import annotations

import zlib
from typing import Any, Protocol

import numpy as np

from viewer.first_person.surfel_map import surfel_map_file
from viewer.first_person.view_folder import Ids, ViewFolder, name_of
from viewer.page.files import Files
from viewer.paint.surfel_colors import Painted
from vmem.memory import MemorySnapshot
from vmem.memory.shared import shared_views
from vmem.types import View

GROWN = 1.25
"""Share by which memory has grown when the views' maps are made again."""

NO_COLORS = Painted(np.zeros((0, 3), np.uint8), "")


class Call(Protocol):
    """Calls an operation of the page's picture, ``heat.show`` for instance."""

    def __call__(self, operation: str, **config: Any) -> None: ...


class PictureHeat:
    """Not thread-safe: one thread calls it. Nothing is sent before heat is first shown."""

    def __init__(self, files: Files, call: Call) -> None:
        self._files, self._call = files, call
        self._memory = self._mapped = self._told = MemorySnapshot.empty()
        """What is shown, what it was when the maps were last made again, what the page knows."""
        self._ids: Ids = name_of
        self._ids_told: Ids = name_of
        self._folder = ViewFolder(files, self._map_file)
        self._painted: Painted | None = None
        self._colors = ""
        """Address of the colours."""
        self._version = 0
        self._revision = 0

    def show_memory(self, memory: MemorySnapshot, ids: Ids) -> None:
        """Colours to come are of this memory; ``ids``: what the page calls its views."""
        self._memory, self._ids = memory, ids
        if self._painted is not None:
            self._show_maps()

    def show(self, painted: Painted | None) -> None:
        """Lay colours of all surfels of the memory over the picture; None: the picture alone."""
        before, self._painted = self._painted, painted
        if painted is None:
            if before is not None:
                self._call("heat.hide")
            return
        if before is None:
            self._show_maps()
        elif _alike(before, painted):
            return  # every answer paints again, also for a walker who stands still
        if not self._colors:
            self._colors = self._files.add(self._colors_file)
        self._version += 1
        self._call("heat.show", address=self._colors, version=self._version)

    def dispose(self) -> None:
        """The browser is gone."""
        self._folder.close()
        self._files.remove(self._colors)

    def _show_maps(self) -> None:
        """Tell the page where the maps are, and whether those that it has are out of date."""
        memory, mapped, told = self._memory, self._mapped, self._told
        kept = shared_views(told, memory)
        removed = [self._ids_told(view) for view in told.views[kept:]]
        addresses = self._folder.show(memory.views, anew=kept == 0)
        added = [(self._ids(view), addresses(view)) for view in memory.views[kept:]]
        self._told, self._ids_told = memory, self._ids
        undone = not begins_with(memory, mapped)
        grown = len(memory.surfels) > GROWN * len(mapped.surfels)
        if undone or grown:
            self._revision, self._mapped = self._revision + 1, memory
        if added or undone or grown:
            self._call(
                "heat.views", add=added, remove=removed, revision=self._revision, undone=undone
            )

    # On the server's thread: the newest there is when the page asks.

    def _map_file(self, view: View) -> bytes:
        return surfel_map_file(self._memory, view)

    def _colors_file(self) -> bytes:
        painted = self._painted
        return colors_file(NO_COLORS if painted is None else painted)


def colors_file(painted: Painted) -> bytes:
    """RGBA of all surfels, u8, deflated; alpha 0 for those without a value, whose colour is black,
    else 255."""
    rgba = np.zeros((len(painted.color), 4), np.uint8)
    valued = slice(None) if painted.valued is None else painted.valued
    rgba[valued, :3] = painted.color[valued]
    rgba[valued, 3] = 255
    return zlib.compress(rgba.tobytes(), 1)


def _alike(one: Painted, other: Painted) -> bool:
    """Whether all surfels look the same."""
    (a, b), (c, d) = (one.color, other.color), (one.valued, other.valued)
    if (c is None) != (d is None) or not np.array_equal(a, b):
        return False
    return c is None or d is None or np.array_equal(c, d)


def begins_with(memory: MemorySnapshot, before: MemorySnapshot) -> bool:
    """Whether a memory has all views of another, as its first."""
    return shared_views(memory, before) == len(before.views)
