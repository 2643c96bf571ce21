"""What the mouse does on our own elements: those of the panel and those over the picture."""

from __future__ import annotations

from typing import cast

from viewer.actions import Actions
from viewer.browser.display import Display
from viewer.browser.saved_walks import SavedWalks
from viewer.debugger.debugger import Debugger
from viewer.page.pointing import PointerEvent
from viewer.settings import LAYOUTS, WALK_MODES, Layout, Mode


class Pointed:
    """Follows the pointer, and carries out clicks. Called on the browser's own thread."""

    def __init__(
        self, actions: Actions, debugger: Debugger, display: Display, walks: SavedWalks
    ) -> None:
        self._actions = actions
        self._debugger = debugger
        self._display = display
        self._walks = walks

    def follow(self, event: PointerEvent) -> None:
        """Take what has happened to one of the elements; one of no known name does nothing."""
        if event.name in ("matrix", "strip", "plan", "first-person", "row", "pin", "ban", "stand"):
            self._explain(event)
        elif event.kind != "click":
            return
        elif event.name in ("mode", "layout", "photo"):
            self._choose(event)
        elif event.name in ("step", "versus", "fold"):
            self._use_history(event)
        elif event.name.startswith("walk-"):
            self._walks.clicked(event)

    def _explain(self, event: PointerEvent) -> None:
        """Explain what is pointed at, or do what was clicked, where memory is explained."""
        actions, debugger = self._actions, self._debugger
        clicked, leaving = event.kind == "click", event.kind == "leave"
        if event.name == "matrix":
            if clicked:
                debugger.open_cell(event.at)
            else:
                debugger.point_at_cell(None if leaving else event.at)
        elif event.name in ("plan", "first-person"):
            if event.name == "plan" and clicked:
                actions.stand_on_map(event.at)
            else:
                debugger.point(None)
        elif not clicked:
            if event.name != "stand":
                debugger.point(None if leaving else int(event.argument))
        else:
            act = {
                "strip": actions.stand_at,
                "pin": debugger.pin,
                "ban": debugger.ban,
            }.get(event.name, actions.look_through)
            act(int(event.argument))

    def _choose(self, event: PointerEvent) -> None:
        """Take what was clicked of the Walk tab's modes, layouts and photos."""
        if event.name == "mode" and event.argument in WALK_MODES:
            self._actions.set_mode(cast(Mode, event.argument))
        elif event.name == "layout" and event.argument in LAYOUTS:
            self._actions.set_layout(cast(Layout, event.argument))
        elif event.name == "photo" and event.argument in self._display.walk.photos.sources:
            self._actions.open(self._display.walk.photos.sources[event.argument])

    def _use_history(self, event: PointerEvent) -> None:
        """Do what was clicked in the tree of steps."""
        if event.name == "fold":
            self._actions.unfold(event.argument)
        elif event.argument.isdecimal():
            do = self._actions.switch if event.name == "step" else self._actions.compare
            do(int(event.argument))
