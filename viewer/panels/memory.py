"""The Memory tab: the retrieval debugger, from its parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import viser

from viewer.page.scripts import reveal
from viewer.page.thumbnails import Thumbnails
from viewer.paint.surfel_colors import MODES, Painted
from viewer.paint.target_layers import LayerPicture
from viewer.panels.memory_explain import ExplainPanel, row_answer
from viewer.panels.memory_strategies import StrategiesPanel
from viewer.panels.memory_surfel import SurfelPanel
from viewer.panels.memory_target import TargetPanel
from viewer.panels.memory_timeline import TimelinePanel
from viewer.panels.memory_what_if import WhatIfPanel
from viewer.walk.jobs import BothMade, StrategyAnswers
from vmem.arrays import U8
from vmem.memory import MemorySnapshot
from vmem.retrieval.explain.to_json import SurfelAccount

if TYPE_CHECKING:
    from viewer.browser.client import Client
    from viewer.debugger.shown import Explained


TAB = "Memory"
"""The tab's name."""


class MemoryPanel:
    """What is explained on top; below, in folders, what can be asked further."""

    def __init__(self, client: Client, gui: viser.GuiApi) -> None:
        inspector, settings = client.inspector, client.workspace.settings
        self._client = client
        self._gui = gui
        self._thumbnails = Thumbnails(gui)
        self._explain = ExplainPanel(client, gui, self._thumbnails)
        self._target = TargetPanel(client, gui)
        self._heat = gui.add_dropdown("Colour (H)", tuple(MODES), initial_value=settings.scene.heat)
        self._heat.on_update(self._chose_heat)
        self._bar = gui.add_image(np.zeros((8, 256, 3), np.uint8), format="png", visible=False)
        self._legend = gui.add_markdown("")
        with gui.add_folder("What if"):
            self._what_if = WhatIfPanel(client, gui)
        with gui.add_folder("Timeline"):
            self._timeline = TimelinePanel(client, gui)
        with gui.add_folder("Ask a surfel"):
            self._surfel = SurfelPanel(client, gui, self._thumbnails)
        with gui.add_folder("Strategies side by side"):
            self._strategies = StrategiesPanel(client, gui, self._thumbnails)
        export = gui.add_button(
            "Export this explanation (Y)",
            color="gray",
            icon=viser.Icon.FILE_EXPORT,
            hint="a zip: figure for a paper, everything as JSON, the scene to open in a browser",
        )
        export.on_click(lambda _: client.post(inspector.export))

    def _chose_heat(self, event: viser.GuiEvent) -> None:
        # Ours to set as well, when H was pressed: that must not come back as a choice.
        if event.client is not None:
            self._client.post(self._client.inspector.set_heat, self._heat.value)

    @property
    def rows(self) -> tuple[int, ...]:
        """The views of the table, from its top."""
        return self._explain.rows

    @property
    def pair(self) -> tuple[str, str]:
        """The two strategies to be walked."""
        return self._strategies.pair

    def show_memory(self, memory: MemorySnapshot, labels: Sequence[str], step: int | None) -> None:
        """A memory that has changed: pictures, timeline, what can be explained. labels: of every
        step but the photo."""
        self._thumbnails.show(memory.views)
        self._explain.show_subjects(labels, step)
        self._timeline.show(memory, step)

    def show_subject(self, memory: MemorySnapshot, labels: Sequence[str], step: int | None) -> None:
        """What is explained has changed."""
        self._explain.show_subjects(labels, step)
        self._timeline.show(memory, step)

    def show_explained(
        self, explained: Explained, pointed: int | None, drawn_by: str, waiting: int, dropped: int
    ) -> None:
        """Words and table; see ExplainPanel.show."""
        self._explain.show(explained, pointed, drawn_by, waiting, dropped)
        wishes = self._client.workspace.wishes
        self._what_if.show(wishes.pinned(explained.memory), wishes.banned(explained.memory))

    def show_target(self, left: U8, layer: LayerPicture, left_is: str) -> None:
        """See TargetPanel.show."""
        self._target.show(left, layer, left_is)

    def show_colors(self, mode: str, painted: Painted) -> None:
        """Legend of the present colouring."""
        if self._heat.value != mode:
            self._heat.value = mode
        if self._legend.content != painted.legend:
            self._legend.content = painted.legend
        visible = painted.bar is not None
        if self._bar.visible != visible:
            self._bar.visible = visible
        if painted.bar is not None:
            self._bar.image = painted.bar.repeat(8, axis=0)

    def come_forward(self, view: int | None = None) -> None:
        """Open this tab: what was asked is answered here, perhaps in a view's row."""
        reveal(self._gui, None if view is None else row_answer(view), TAB)

    def show_surfel(self, memory: MemorySnapshot, surfel: int | None) -> SurfelAccount | None:
        """See SurfelPanel.show."""
        return self._surfel.show(memory, surfel)

    def cell_at(self, at: tuple[float, float]) -> tuple[int, int]:
        """See TimelinePanel.cell_at."""
        return self._timeline.cell_at(at)

    def show_cell(self, memory: MemorySnapshot, cell: tuple[int, int] | None) -> None:
        """See TimelinePanel.show_cell."""
        self._timeline.show_cell(memory, cell)

    def show_playing(self, playing: bool) -> None:
        """See TimelinePanel.show_playing."""
        self._timeline.show_playing(playing)

    def show_answers(self, found: StrategyAnswers) -> None:
        """See StrategiesPanel.show_answers."""
        self._strategies.show_answers(found)

    def show_both(self, made: BothMade) -> None:
        """See StrategiesPanel.show_both."""
        self._strategies.show_both(made)
