"""The Memory tab: the retrieval debugger, from its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import viser

from viewer.actions import Actions
from viewer.commands import EXPORT, NEXT_HEAT
from viewer.debugger.explained import Explained
from viewer.page.html import add_style
from viewer.page.thumbnails import Thumbnails
from viewer.paint.surfel_colors import MODES, Painted
from viewer.panels.elements import at_once, command_button
from viewer.panels.memory_explain import ExplainPanel
from viewer.panels.memory_strategies import StrategiesPanel
from viewer.panels.memory_surfel import SurfelPanel
from viewer.panels.memory_target import TargetPanel
from viewer.panels.memory_timeline import TimelinePanel
from viewer.panels.memory_what_if import WhatIfPanel
from viewer.settings import Heat, Settings
from viewer.walk.pins import Pins
from vmem.memory import MemorySnapshot


@dataclass(frozen=True)
class ColorsShown:
    """What is said of the colours of the surfels."""

    heat: Heat
    """The colouring chosen."""
    legend: str
    """What its colours mean, as Markdown."""
    bar: bool
    """Whether a scale is shown."""


class MemoryPanel:
    """What is explained on top; below, in folders, what can be asked further."""

    def __init__(
        self, gui: viser.GuiApi, commands: Actions, settings: Settings, pins: Pins
    ) -> None:
        self._commands = commands
        self._pins = pins
        add_style(gui)
        self._thumbnails = Thumbnails(gui)
        self.explain = ExplainPanel(gui, commands, settings, self._thumbnails)
        self.target = TargetPanel(gui, commands, settings.scene)
        self._heat = gui.add_dropdown(
            NEXT_HEAT.labelled(), tuple(MODES), initial_value=settings.scene.heat
        )
        self._heat.on_update(at_once(self._chose_heat))
        self._bar = gui.add_image(np.zeros((8, 256, 3), np.uint8), format="png", visible=False)
        self._legend = gui.add_markdown("")
        with gui.add_folder("What if"):
            self.what_if = WhatIfPanel(gui, commands, settings)
        with gui.add_folder("Timeline"):
            self.timeline = TimelinePanel(gui, commands)
        with gui.add_folder("Ask a surfel"):
            self.surfel = SurfelPanel(gui, self._thumbnails)
        with gui.add_folder("Strategies side by side"):
            self.strategies = StrategiesPanel(gui, commands, self._thumbnails)
        command_button(
            gui,
            commands,
            EXPORT,
            viser.Icon.FILE_EXPORT,
            hint="a zip: figure for a paper, everything as JSON, the scene to open in a browser",
        )

    def _chose_heat(self, event: viser.GuiEvent) -> None:
        self._commands.set_heat(self._heat.value)

    @property
    def colors(self) -> ColorsShown:
        """What is said of the colours now."""
        return ColorsShown(self._heat.value, self._legend.content, self._bar.visible)

    def show_memory(self, memory: MemorySnapshot, labels: Sequence[str], step: int | None) -> None:
        """Show a memory that has changed: pictures, timeline, what can be explained.

        labels: of every step but the photo · step: the one explained, None for the ghost.
        """
        self.show_views(memory)
        self.show_subject(memory, labels, step)

    def show_views(self, memory: MemorySnapshot) -> None:
        """Show the pictures of a memory's views, where they are listed from now on."""
        self._thumbnails.show(memory.views)

    def show_subject(self, memory: MemorySnapshot, labels: Sequence[str], step: int | None) -> None:
        """Show which step is explained, None for the ghost; labels: of every step but the photo."""
        self.explain.show_subjects(labels, step)
        self.timeline.show(memory, step)

    def show_explained(
        self,
        explained: Explained,
        rows: Sequence[int],
        pointed: int | None,
        *,
        drawn_by: str,
        waiting: int,
        dropped: int,
    ) -> None:
        """Show summary, figures, table and query; the arguments are those of ExplainPanel.show."""
        self.explain.show(
            explained, rows, pointed, drawn_by=drawn_by, waiting=waiting, dropped=dropped
        )
        memory = explained.memory
        self.what_if.show(self._pins.pinned(memory), self._pins.banned(memory))

    def show_colors(self, heat: Heat, painted: Painted) -> None:
        """Show the present colouring and its legend."""
        if self._heat.value != heat:
            self._heat.value = heat
        if self._legend.content != painted.legend:
            self._legend.content = painted.legend
        visible = painted.bar is not None
        if self._bar.visible != visible:
            self._bar.visible = visible
        if painted.bar is not None:
            self._bar.image = painted.bar.repeat(8, axis=0)
