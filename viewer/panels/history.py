"""The History tab: the tree of steps, two of them compared, scrubbing and playing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import viser

from viewer.actions import Actions
from viewer.commands import PLAY, REDO, UNDO
from viewer.page.scripts import reveal
from viewer.page.thumbnails import Pictures
from viewer.paint.resize import thumbnail
from viewer.panels.elements import at_once, command_button, command_group
from viewer.panels.history_compare import ANSWER, comparison_html
from viewer.panels.history_tree import FOLD_ALL, tree_html
from viewer.walk.tree_rows import MOST_UNFOLDED, tree_rows
from vmem.arrays import U8
from vmem.session import Session
from vmem.session.compare import compared

PICTURE = 288
"""Longer side of the frame, in pixels."""
LONGEST_NAME = 60
"""Characters of a name."""


@dataclass(frozen=True)
class HistoryShown:
    """What the History tab says."""

    tree: str
    """The tree, as HTML."""
    comparison: str
    """Two steps side by side, as HTML; "" if none are compared."""


class HistoryPanel:
    """Goes to any step of the tree, names and compares steps, scrubs through the frames of the
    present walk, plays them. While the tab is not open, nothing of it is made or sent."""

    def __init__(self, gui: viser.GuiApi, commands: Actions) -> None:
        self._gui = gui
        self._commands = commands
        self._seen = True
        self._waiting: U8 | None = None
        self._session: Session | None = None
        self._stale = False
        self._unfolded: list[str] = []
        self._compared: list[int] = []
        self._named = (-1, "")
        self._pictures = Pictures(gui)
        self._frame = gui.add_image(np.zeros((8, 8, 3), np.uint8), format="jpeg")
        self._scrub = gui.add_slider("Frame", 0, 1, 1, 0)
        self._scrub.on_update(at_once(self._scrubbed))
        self._play = command_button(gui, commands, PLAY, viser.Icon.PLAYER_PLAY, color=None)
        command_group(gui, commands, "Steps", (UNDO, REDO))
        self._comparison = gui.add_html("")
        self._tree = gui.add_html("")
        self._name = gui.add_text("Name", "", hint="of the branch that ends at the present step")
        naming = gui.add_button("Name the present step", color="gray", icon=viser.Icon.TAG)
        naming.on_click(at_once(self._names))
        self._number = gui.add_number("Step", 0, min=0, max=0, step=1, hint="as in the list")
        going = gui.add_button("Go to step", color="gray", icon=viser.Icon.ARROW_RIGHT)
        going.on_click(at_once(lambda _: commands.switch(int(self._number.value))))

    def _scrubbed(self, event: viser.GuiEvent) -> None:
        self._commands.show_frame(int(self._scrub.value))

    def _names(self, event: viser.GuiEvent) -> None:
        if self._session is not None:
            name = " ".join(self._name.value.split())[:LONGEST_NAME]
            self._commands.rename(self._session.history.head.id, name)

    @property
    def shown(self) -> HistoryShown:
        """What it says now."""
        return HistoryShown(self._tree.content, self._comparison.content)

    def show(self, session: Session) -> None:
        """Show the tree and the frames of the present walk."""
        if session is not self._session:
            self._session = session
            self._unfolded, self._compared = [], []
            self._comparison.content = ""
        memory = session.memory
        last = len(memory.views) - 1
        self._scrub.max = max(1, last)
        self._stale = True
        self.show_view(last, memory.views[-1].rgb)

    def show_view(self, view: int, rgb: U8) -> None:
        """Show a frame (H, W, 3) of the walk, once it can be seen, and the slider at its number."""
        self._scrub.value = view
        self._waiting = rgb
        self.show_seen(self._seen)

    def show_seen(self, seen: bool) -> None:
        """Whether the tab is open: tree and pictures wait until it is."""
        self._seen = seen
        if seen and self._waiting is not None:
            self._frame.image, self._waiting = thumbnail(self._waiting, PICTURE), None
        if seen and self._stale:
            self._show_tree()

    def _show_tree(self) -> None:
        assert self._session is not None
        history, self._stale = self._session.history, False
        head = history.head
        if self._named != (head.id, head.name):  # else somebody may be typing
            self._named = (head.id, head.name)
            self._name.value, self._number.value = head.name, head.id
        self._number.max = history.next_id - 1
        tree = tree_html(
            tree_rows(history, self._unfolded),
            self._compared,
            self._pictures,
            unfolded=bool(self._unfolded),
        )
        if tree != self._tree.content:
            self._tree.content = tree

    def unfold(self, key: str) -> None:
        """List what a row of that key stands for, or with FOLD_ALL nothing more than at first."""
        self._unfolded = [] if key == FOLD_ALL else [*self._unfolded, key][-MOST_UNFOLDED:]
        self._refresh()

    def compare(self, step: int) -> None:
        """Choose a step, by its id, or let it go: one that is chosen is compared with the present
        step, two with each other. Of three the last two are chosen.

        Raises HistoryError for a step that does not exist, StoreError where the walk's file cannot
        be read.
        """
        session = self._session
        if session is None:
            return
        if step in self._compared:
            self._compared.remove(step)
        else:
            session.history.node(step)
            self._compared = [*self._compared[-1:], step]
        self._comparison.content = ""
        if self._compared:
            ids = [session.history.head.id, *self._compared][-2:]
            a, b = (session.history.node(number) for number in ids)
            self._comparison.content = comparison_html(a, b, compared(a, b))
            reveal(self._gui, ANSWER)
        self._refresh()

    def _refresh(self) -> None:
        self._stale = self._session is not None
        self.show_seen(self._seen)

    def show_playing(self, playing: bool) -> None:
        """Name the button by what it does now."""
        self._play.label = PLAY.labelled("Stop" if playing else None)
