"""Memory in the walker's picture: heat with its legend, chosen views, the map."""

from __future__ import annotations

from viewer.browser.throttle import Throttle
from viewer.first_person.heat import begins_with
from viewer.first_person.picture import FirstPersonPicture
from viewer.first_person.standing import stand_near
from viewer.paint.surfel_colors import Painted
from viewer.settings import Settings
from vmem.arrays import F64, U8
from vmem.memory import MemorySnapshot
from vmem.types import Retrieval

PLAN_TIME = 0.5
"""Seconds between maps."""


class MemoryInPicture:
    """Sends the page what its picture shows, while it shows one. Called on one thread."""

    def __init__(self, picture: FirstPersonPicture, settings: Settings) -> None:
        self._picture, self._settings = picture, settings
        self._memory = MemorySnapshot.empty()
        self._plan = Throttle(PLAN_TIME)

    @property
    def on(self) -> bool:
        """Whether anything lies over a picture."""
        return self._settings.overlay and self._settings.layout != "memory"

    @property
    def wants_colors(self) -> bool:
        """Whether other surfels need to be coloured in the picture."""
        return self.on and self._settings.scene.heat != "image"

    def show_memory(self, memory: MemorySnapshot) -> None:
        """The picture shows this memory; the map follows in ``settle``."""
        if memory is not self._memory:
            self._memory = memory
            self._plan.request()

    def show_switch(self) -> None:
        """Another layout was chosen, or the overlay switched on or off."""
        self._picture.overlay.show(self.on)

    def show_colors(self, painted: Painted, pointed: int | None) -> None:
        """Lay the surfels' present colours over the picture, unless they are its own."""
        heat = self._settings.scene.heat
        shown = painted if self.on and (heat != "image" or pointed is not None) else None
        self._picture.heat.show(shown)
        title = heat if pointed is None else f"view {pointed}"
        self._picture.overlay.show_legend(title, shown)

    def show_chosen(self, retrieval: Retrieval, pointed: int | None) -> None:
        """Show the views that were chosen for the walker's place; they must be of the memory.

        The picture may be ahead of it. After an undo it no longer has them all: then those of the
        answer to come are shown.
        """
        memory = self._memory
        if self.on and memory.views and begins_with(self._picture.shown, memory):
            ids = self._picture.page_id
            self._picture.overlay.show_chosen(retrieval, self._memory, pointed, ids)

    def show_forming(self, frame: U8 | None) -> None:
        """Show a frame (H, W, 3) that is being made; None: none is."""
        if self.on or frame is None:
            self._picture.overlay.show_forming(frame)

    def settle(self, now: float) -> float | None:
        """Send the map if it is due; the seconds until it is."""
        if not self.on or not self._memory.views:
            return None
        if self._plan.take(now):
            self._picture.overlay.show_plan(self._memory)
        return self._plan.wait(now)

    def pose_at(self, at: tuple[float, float], c2w: F64) -> F64 | None:
        """(4, 4) where a walker of pose ``c2w`` stands who clicks the map at (x, y) in [0, 1] of
        it; None where there is no map yet."""
        plan = self._picture.overlay.plan
        return None if plan is None else stand_near(self._memory, c2w, plan.place(at))
