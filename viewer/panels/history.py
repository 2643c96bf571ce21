"""The History tab: the tree of steps, scrubbing and playing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import viser

from viewer.paint.resize import thumbnail
from vmem.session import Node, Session

if TYPE_CHECKING:
    from viewer.browser.client import Client


class HistoryPanel:
    """Goes to any step of the tree, scrubs through the frames of the present walk, plays them."""

    def __init__(self, client: Client, gui: viser.GuiApi) -> None:
        self._client = client
        self._frame = gui.add_image(np.zeros((8, 8, 3), np.uint8), format="jpeg")
        self._scrub = gui.add_slider("Frame", 0, 1, 1, 0)
        self._scrub.on_update(self._scrubbed)
        self._play = gui.add_button("Play (P)", icon=viser.Icon.PLAYER_PLAY)
        self._play.on_click(lambda _: client.post(client.play))
        self._step: viser.GuiDropdownHandle[str] = gui.add_dropdown("Go to step", ["0 photo"])
        self._step.on_update(self._went)
        self._tree = gui.add_html("")
        self._quiet = False

    def _scrubbed(self, event: viser.GuiEvent) -> None:
        if event.client is not None:
            self._client.post(self._client.show_view, int(self._scrub.value))

    def _went(self, event: viser.GuiEvent) -> None:
        if event.client is not None:
            self._client.post(self._client.switch, int(self._step.value.split()[0]))

    def show(self, session: Session) -> None:
        """The tree and the frames of the present walk."""
        memory = session.snapshot()
        nodes = session.history.nodes
        options = tuple(f"{node.id} {node.label}" for node in nodes)
        if tuple(self._step.options) != options:
            self._step.options = options
        head = session.history.head
        self._step.value = options[head.id]
        self._scrub.max = max(1, len(memory.views) - 1)
        self._scrub.value = len(memory.views) - 1
        self.show_frame(memory.views[-1].rgb)
        self._tree.content = tree_html(nodes[0], head)

    def show_view(self, view: int, rgb: np.ndarray) -> None:
        """A frame of the walk, and the slider beside it."""
        self._scrub.value = view
        self.show_frame(rgb)

    def show_frame(self, rgb: np.ndarray) -> None:
        """A frame."""
        self._frame.image = thumbnail(rgb, 288)

    def show_playing(self, playing: bool) -> None:
        """The button says what it would do."""
        self._play.label = "Stop (P)" if playing else "Play (P)"


def tree_html(root: Node, head: Node) -> str:
    """The tree of steps: one line a branch, its steps in order; the way to the head is bright."""
    bright = {node.id for node in head.path()}
    lines: list[str] = []

    def walk(start: Node, depth: int) -> None:
        run, branches = [], []
        node: Node | None = start
        while node is not None:
            color = "#ffb02e" if node is head else "#dfe3ea" if node.id in bright else "#767c88"
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
            walk(child, level)

    walk(root, 0)
    return f"<div style='font-size:12px;line-height:1.5'>{''.join(lines)}</div>"
