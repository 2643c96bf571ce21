"""The Memory tab: which views the ghost would draw on, and why."""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING

import cv2
import numpy as np
import viser
from PIL import Image

from viewer.heatmap import MODES, Painted
from viewer.standing import thumbnail
from vmem.attribution import union_coverage
from vmem.memory import MemorySnapshot
from vmem.retrieval import Retrieval
from vmem.selection import STRATEGIES
from vmem.views import U8, View

if TYPE_CHECKING:
    from viewer.client import Client

ROWS = 8
"""Views listed in the table: the chosen and the best of the rest."""
CELL = "padding:1px 5px;vertical-align:middle;text-align:left"


class MemoryPanel:
    """The live Retrieval as a table with thumbnails and reasons, and the target's heat map."""

    def __init__(self, client: Client, gui: viser.GuiApi) -> None:
        settings = client.workspace.settings
        self._client = client
        self._thumbnails: dict[int, tuple[View, str]] = {}
        self._target = gui.add_image(
            np.zeros((8, 8, 3), np.uint8), label="what memory shows the ghost", format="png"
        )
        self._heat = gui.add_dropdown("Colour (H)", tuple(MODES), initial_value=settings.scene.heat)
        self._heat.on_update(self._chose_heat)
        self._bar = gui.add_image(np.zeros((10, 256, 3), np.uint8), format="png", visible=False)
        self._legend = gui.add_markdown("")
        strategy = gui.add_dropdown("Strategy", tuple(STRATEGIES), initial_value=settings.strategy)
        strategy.on_update(lambda _: client.post(client.set_strategy, strategy.value))
        count = gui.add_slider("Views (K)", 1, 12, 1, settings.context_views)
        count.on_update(lambda _: client.post(client.set_context_views, int(count.value)))
        self._summary = gui.add_markdown("")
        self._table = gui.add_html("")
        self._asked = gui.add_markdown("*Click a surfel to ask which views saw it.*")
        compare = gui.add_button("Compare strategies", icon=viser.Icon.COLUMNS)
        compare.on_click(lambda _: client.post(client.compare_strategies))
        self._comparison = gui.add_html("")

    def _chose_heat(self, event: viser.GuiEvent) -> None:
        # Ours to set as well, when H was pressed: that must not come back as a choice.
        if event.client is not None:
            self._client.post(self._client.set_heat, self._heat.value)

    def show_colors(self, mode: str, painted: Painted) -> None:
        """Legend of the present colouring."""
        if self._heat.value != mode:
            self._heat.value = mode
        if self._legend.content != painted.legend:
            self._legend.content = painted.legend
        self._bar.visible = painted.bar is not None
        if painted.bar is not None:
            self._bar.image = painted.bar.repeat(10, axis=0)

    def show_target(self, image: U8) -> None:
        """What memory shows the ghost, in the colours of the scene."""
        h, w = image.shape[:2]
        self._target.image = cv2.resize(image, (2 * w, 2 * h), interpolation=cv2.INTER_NEAREST)

    def show_retrieval(
        self,
        memory: MemorySnapshot,
        retrieval: Retrieval,
        ms: float,
        drawn_by: str = "browser",
        dropped: int = 0,
    ) -> None:
        """The table: chosen views first, then the best of the rest.

        ms: what the retrieval took · drawn_by: who draws the surfels · dropped: colourings that
        were never sent because a later one came before the link had room.
        """
        covered = [float((buffers.index >= 0).mean()) for buffers in retrieval.buffers]
        note = f" · **{retrieval.note}**" if retrieval.note else ""
        self._summary.content = (
            f"{len(memory.views)} views, {len(memory.surfels)} surfels drawn by the {drawn_by}, "
            f"{len(memory.link_surfel)} links · memory covers {100 * np.mean(covered):.0f} % of "
            f"the target · {ms:.0f} ms · {dropped} colourings dropped{note}"
        )
        rest = [view for view in np.argsort(retrieval.rank) if not retrieval.chosen[view]]
        rows = [*retrieval.order, *rest][: max(ROWS, len(retrieval.order))]
        head = "".join(
            f"<th style='{CELL}'>{title}</th>" for title in ("view", "", "votes", "cover", "why")
        )
        body = "".join(self._row(memory, retrieval, int(view)) for view in rows)
        self._table.content = (
            f"<table style='font-size:11px;border-collapse:collapse;width:100%'>"
            f"<tr>{head}</tr>{body}</table>"
        )

    def _row(self, memory: MemorySnapshot, retrieval: Retrieval, view: int) -> str:
        chosen = bool(retrieval.chosen[view])
        color = "#ffb02e" if chosen else "#8b919c"
        cells = (
            str(view),
            f"<img src='{self._picture(view, memory.views[view])}' height=34 alt=''>",
            f"{100 * retrieval.share[view]:.1f} %",
            f"{100 * retrieval.coverage[view]:.0f} %",
            html.escape(retrieval.reasons[view]),
        )
        body = "".join(f"<td style='{CELL};white-space:nowrap'>{cell}</td>" for cell in cells[:-1])
        return f"<tr style='color:{color}'>{body}<td style='{CELL}'>{cells[-1]}</td></tr>"

    def _picture(self, index: int, view: View) -> str:
        """Data URL of a view's thumbnail; kept as long as the index means the same view."""
        known = self._thumbnails.get(index)
        if known is None or known[0] is not view:
            known = (view, data_url(thumbnail(view.rgb, 34)))
            self._thumbnails[index] = known
        return known[1]

    def show_surfel(self, memory: MemorySnapshot, surfel: int) -> None:
        """Which views saw a surfel, and what it is."""
        seen_by = np.unique(memory.link_view[memory.link_surfel == surfel])
        self._asked.content = (
            f"**Surfel {surfel}**: seen by view{'s' * (len(seen_by) > 1)} "
            f"{', '.join(map(str, seen_by))} · radius {memory.surfels.radius[surfel]:.3f} · at "
            f"({', '.join(f'{x:.2f}' for x in memory.surfels.position[surfel])})"
        )

    def show_comparison(self, memory: MemorySnapshot, answers: list[Retrieval]) -> None:
        """What each strategy would choose for the same target, side by side."""
        rows = []
        for answer in answers:
            pictures = "".join(
                f"<img src='{self._picture(view, memory.views[view])}' height=34 "
                f"title='view {view}: {html.escape(answer.reasons[view])}' alt='{view}'> "
                for view in answer.order
            )
            covered = 100 * union_coverage(memory, answer)
            rows.append(
                f"<tr><td style='{CELL}'>{answer.strategy}</td><td style='{CELL}'>{pictures}</td>"
                f"<td style='{CELL}'>{covered:.0f} %</td></tr>"
            )
        self._comparison.content = (
            "<table style='font-size:11px;width:100%'><tr>"
            + "".join(f"<th style='{CELL}'>{t}</th>" for t in ("strategy", "chosen", "covered"))
            + f"</tr>{''.join(rows)}</table>"
        )


def data_url(rgb: U8) -> str:
    """A small picture (H, W, 3) as a JPEG data URL."""
    import io

    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
