"""The timeline: shares of the votes by step and view; a closed loop is a mark off the diagonal."""

from __future__ import annotations

from dataclasses import dataclass

import viser

from viewer.actions import Actions
from viewer.commands import PLAY_STEPS
from viewer.page.html import data_url
from viewer.page.pointing import mark
from viewer.paint.timeline_matrix import matrix_legend, paint_matrix, row_of, shares_of
from viewer.panels.elements import at_once, command_button
from vmem.memory import MemorySnapshot

AXES = "rows: steps, from the top · columns: views"
SIDE = 360
"""Longest side of the matrix, in pixels."""


@dataclass(frozen=True)
class TimelineShown:
    """What the timeline says."""

    matrix: str
    """The picture of the matrix, as HTML."""
    words: str
    """The legend, or what the cell pointed at says, as Markdown."""
    legend: str
    """The legend."""


class TimelinePanel:
    """Matrix, slider and playing of the steps' explanations."""

    def __init__(self, gui: viser.GuiApi, commands: Actions) -> None:
        self._commands = commands
        self._matrix = gui.add_html("")
        self._legend = AXES
        self._words = gui.add_markdown(self._legend)
        self._step = gui.add_slider("Step explained", 0, 1, 1, 0, hint="0: the ghost, live")
        self._step.on_update(at_once(self._scrubbed))
        self._play = command_button(gui, commands, PLAY_STEPS, viser.Icon.PLAYER_PLAY)
        self._painted: tuple[MemorySnapshot, int | None] | None = None

    def _scrubbed(self, event: viser.GuiEvent) -> None:
        self._commands.explain(int(self._step.value) or None)

    @property
    def shown(self) -> TimelineShown:
        """What it says now."""
        return TimelineShown(self._matrix.content, self._words.content, self._legend)

    def show(self, memory: MemorySnapshot, step: int | None) -> None:
        """Show the matrix of a memory, with the row of ``step`` outlined; sent only if changed."""
        if self._painted is not None and self._painted[0] is memory and self._painted[1] == step:
            return
        self._painted = (memory, step)
        steps, views = len(memory.steps), len(memory.views)
        shares, chosen = shares_of(memory.retrievals, views, SIDE)
        self._legend = f"{AXES} · {matrix_legend(shares)}"
        self._words.content = self._legend
        row = None if step is None else row_of(step, steps, SIDE)
        picture = paint_matrix(shares, chosen, row, SIDE)
        self._matrix.content = (
            f"<img src='{data_url(picture, 'PNG')}' {mark('matrix', tracks=True)} "
            f"style='max-width:100%;image-rendering:pixelated;cursor:crosshair' "
            f"alt='votes by step and view'>"
        )
        self._step.max = max(1, steps - 1)
        self._step.value = step or 0

    def show_cell(self, memory: MemorySnapshot, cell: tuple[int, int] | None) -> None:
        """Say what a cell (step, view) means; None: the legend."""
        self._words.content = self._legend if cell is None else cell_text(memory, *cell)

    def show_playing(self, playing: bool) -> None:
        """Name the button by what it does now."""
        self._play.label = PLAY_STEPS.labelled("Stop" if playing else None)


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
