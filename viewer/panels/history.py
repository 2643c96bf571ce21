"""The History tab: the tree of steps, scrubbing and playing."""

from __future__ import annotations

import numpy as np
import viser

from viewer.actions import Actions
from viewer.commands import PLAY
from viewer.paint.palette import AMBER, DIM, TEXT, css
from viewer.paint.resize import thumbnail
from viewer.panels.elements import at_once, command_button
from vmem.arrays import U8
from vmem.session import Node, Session

PICTURE = 288
"""Longer side of the frame, in pixels."""


class HistoryPanel:
    """Goes to any step of the tree, scrubs through the frames of the present walk, plays them."""

    def __init__(self, gui: viser.GuiApi, commands: Actions) -> None:
        self._commands = commands
        self._seen = True
        self._waiting: U8 | None = None
        self._frame = gui.add_image(np.zeros((8, 8, 3), np.uint8), format="jpeg")
        self._scrub = gui.add_slider("Frame", 0, 1, 1, 0)
        self._scrub.on_update(at_once(self._scrubbed))
        self._play = command_button(gui, commands, PLAY, viser.Icon.PLAYER_PLAY, color=None)
        self._step: viser.GuiDropdownHandle[str] = gui.add_dropdown("Go to step", ["0 photo"])
        self._step.on_update(at_once(self._went))
        self._tree = gui.add_html("")

    def _scrubbed(self, event: viser.GuiEvent) -> None:
        self._commands.show_frame(int(self._scrub.value))

    def _went(self, event: viser.GuiEvent) -> None:
        self._commands.switch(int(self._step.value.split()[0]))

    def show(self, session: Session) -> None:
        """Show the tree and the frames of the present walk."""
        memory = session.memory
        # The head first: a step that is made meanwhile adds a node, and takes none away.
        head = session.history.head
        nodes = session.history.nodes
        options = tuple(f"{node.id} {node.label}" for node in nodes)
        if tuple(self._step.options) != options:
            self._step.options = options
        self._step.value = options[head.id]
        last = len(memory.views) - 1
        self._scrub.max = max(1, last)
        self.show_view(last, memory.views[-1].rgb)
        self._tree.content = tree_html(nodes[0], head)

    def show_view(self, view: int, rgb: U8) -> None:
        """Show a frame (H, W, 3) of the walk, once it can be seen, and the slider at its number."""
        self._scrub.value = view
        self._waiting = rgb
        self.show_seen(self._seen)

    def show_seen(self, seen: bool) -> None:
        """Whether the tab is open: pictures wait until it is."""
        self._seen = seen
        if seen and self._waiting is not None:
            self._frame.image, self._waiting = thumbnail(self._waiting, PICTURE), None

    def show_playing(self, playing: bool) -> None:
        """Name the button by what it does now."""
        self._play.label = PLAY.labelled("Stop" if playing else None)


def tree_html(root: Node, head: Node) -> str:
    """The tree of steps: one line a branch, its steps in order; the path to the head is bright."""
    present = {node.id for node in head.path()}
    lines: list[str] = []

    def add(start: Node, depth: int) -> None:
        run, branches = [], []
        node: Node | None = start
        while node is not None:
            color = css(AMBER if node is head else TEXT if node.id in present else DIM)
            weight = "bold" if node is head else "normal"
            run.append(
                f"<span style='color:{color};font-weight:{weight}' title='step {node.id}'>"
                f"{node.label}</span>"
            )
            branches += [(child, depth + 1) for child in node.children[1:]]
            node = node.children[0] if node.children else None
        arrow = "└ " if depth else ""
        lines.append(f"<div style='margin-left:{12 * depth}px'>{arrow}{' › '.join(run)}</div>")
        for child, level in reversed(branches):
            add(child, level)

    add(root, 0)
    return f"<div style='font-size:12px;line-height:1.5'>{''.join(lines)}</div>"
