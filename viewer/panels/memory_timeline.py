"""The timeline: shares of all steps and views at a glance; a closed loop is a mark off the
diagonal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import viser

from viewer.page.html import data_url
from viewer.page.pointing import mark
from viewer.paint.timeline_matrix import cell_at, matrix_legend, paint_matrix, shares_of
from vmem.memory import MemorySnapshot

if TYPE_CHECKING:
    from viewer.browser.client import Client

AXES = "rows: steps, from the top · columns: views"
SIDE = 360
"""Longest side of the matrix, in pixels."""


class TimelinePanel:
    """Matrix, slider and playing of the steps' explanations."""

    def __init__(self, client: Client, gui: viser.GuiApi) -> None:
        inspector = client.inspector
        self._client = client
        self._shape = (1, 1)
        self._matrix = gui.add_html("")
        self._legend = AXES
        self._cell = gui.add_markdown(self._legend)
        self._step = gui.add_slider("Step explained", 0, 1, 1, 0, hint="0: the ghost, live")
        self._step.on_update(self._scrubbed)
        self._play = gui.add_button(
            "Play the steps (Shift+P)", color="gray", icon=viser.Icon.PLAYER_PLAY
        )
        self._play.on_click(lambda _: client.post(inspector.play_steps))
        self._shown: tuple[MemorySnapshot, int | None] | None = None

    def _scrubbed(self, event: viser.GuiEvent) -> None:
        if event.client is not None:
            step = int(self._step.value)
            self._client.post(self._client.inspector.explain, step or None)

    def show(self, memory: MemorySnapshot, step: int | None) -> None:
        """The matrix of a memory, its row of ``step`` marked; sent only if it has changed."""
        if self._shown is not None and self._shown[0] is memory and self._shown[1] == step:
            return
        self._shown = (memory, step)
        steps, views = len(memory.steps), len(memory.views)
        self._shape = (steps, views)
        shares = shares_of(memory.retrievals, views)
        chosen = np.zeros((steps, views), bool)
        for row, retrieval in enumerate(memory.retrievals):
            if retrieval is not None:
                chosen[row, list(retrieval.order)] = True
        self._legend = f"{AXES} · {matrix_legend(shares)}"
        self._cell.content = self._legend
        picture = paint_matrix(shares, chosen, step, SIDE)
        self._matrix.content = (
            f"<img src='{data_url(picture, 'PNG')}' {mark('matrix', tracks=True)} "
            f"style='max-width:100%;image-rendering:pixelated;cursor:crosshair' "
            f"alt='votes by step and view'>"
        )
        self._step.max = max(1, steps - 1)
        self._step.value = step or 0

    def cell_at(self, at: tuple[float, float]) -> tuple[int, int]:
        """(step, view) of the cell under a point (x, y) in [0, 1] of the matrix."""
        return cell_at(self._shape, *at)

    def show_cell(self, memory: MemorySnapshot, cell: tuple[int, int] | None) -> None:
        """What a cell says."""
        self._cell.content = self._legend if cell is None else cell_text(memory, *cell)

    def show_playing(self, playing: bool) -> None:
        """The button says what it would do."""
        self._play.label = "Stop (Shift+P)" if playing else "Play the steps (Shift+P)"


def cell_text(memory: MemorySnapshot, step: int, view: int) -> str:
    """One line: what a view meant to a step."""
    retrieval = memory.retrievals[step]
    if retrieval is None:
        return f"**step {step}** is the photo: nothing was asked for it"
    if view >= len(retrieval.votes):
        return f"**step {step}**: view {view} was not there yet"
    return (
        f"**step {step} × view {view}**: {100 * retrieval.share[view]:.1f} % of the votes · "
        f"{retrieval.reasons[view]}"
    )
