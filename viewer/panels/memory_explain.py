"""What is explained, in words and as a table: which views were chosen, and why the others not."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import viser

from viewer.page.pointing import mark
from viewer.page.scroll import answering
from viewer.page.thumbnails import Thumbnails
from viewer.paint.surfel_colors import owner_colors
from viewer.walk.workspace import ROWS
from vmem.retrieval.explain.to_json import best_left_out, plain_reason, summary
from vmem.retrieval.explain.warnings import warnings
from vmem.types import Retrieval

if TYPE_CHECKING:
    from viewer.browser.client import Client
    from viewer.debugger.shown import Explained

GHOST = "the ghost, live"
CELL = "padding:1px 3px;vertical-align:middle;text-align:left"
STYLE = (
    "<style>.vmem-row{cursor:pointer}"
    ".vmem-row:hover,.vmem-row:focus-visible,.vmem-row.pointed{background:#2b3442;outline:none}"
    ".vmem-wish{cursor:pointer;color:#8b919c;border:1px solid #444b57;border-radius:3px;"
    "padding:0 3px;margin:1px 0;display:block;width:27px;text-align:center}"
    ".vmem-wish:hover{color:#fff}.vmem-wish.on{color:#121317;background:#56b4e9}</style>"
)
MARGIN = "padding:0 14px 0 10px"
"""Of our HTML in viser's panel, whose scroll bar lies over its right edge."""
PICTURE = 30
"""Height of the thumbnails in the table, in pixels."""
BY_BROWSER, BY_SERVER = "browser", "server"


class ExplainPanel:
    """Chooses what is explained and explains it."""

    def __init__(self, client: Client, gui: viser.GuiApi, thumbnails: Thumbnails) -> None:
        inspector, settings = client.inspector, client.workspace.settings
        self._client = client
        self._thumbnails = thumbnails
        self.rows: tuple[int, ...] = ()
        """The views of the table, from its top."""
        self._subject: viser.GuiDropdownHandle[str] = gui.add_dropdown(
            "Explain (, .)", [GHOST], hint="the ghost's view to come, or a step of the walk"
        )
        self._subject.on_update(self._chosen)
        self._words = gui.add_markdown("")
        self._was = gui.add_button("Show it as it was", color="gray", icon=viser.Icon.ARROW_BACK_UP)
        self._was.visible = False
        self._was.on_click(lambda _: client.post(inspector.as_it_was))
        self._health = gui.add_html("")
        self._table = gui.add_html("")
        rows = gui.add_dropdown("Views listed", ROWS, initial_value=settings.rows)
        rows.on_update(lambda _: client.post(inspector.set_rows, rows.value))

    def _chosen(self, event: viser.GuiEvent) -> None:
        if event.client is None:
            return  # ours: see show_subjects
        inspector, options = self._client.inspector, self._subject.options
        at = options.index(self._subject.value)
        self._client.post(inspector.explain, None if at == 0 else len(options) - at)

    def show_subjects(self, labels: Sequence[str], step: int | None) -> None:
        """What can be explained: the ghost and the steps, newest first; and what is."""
        steps = [f"step {i + 1}: {label}" for i, label in enumerate(labels)]
        options = (GHOST, *reversed(steps))
        if tuple(self._subject.options) != options:
            self._subject.options = options
        value = GHOST if step is None else steps[step - 1]
        if self._subject.value != value:
            self._subject.value = value

    def show(
        self,
        explained: Explained,
        pointed: int | None,
        drawn_by: str,
        waiting: int,
        dropped: int,
    ) -> None:
        """Words, health and table. waiting: jobs · dropped: recolourings never sent, because a
        later one came before the link had room."""
        memory, retrieval = explained.memory, explained.retrieval
        words = summary(memory, retrieval, explained.step, supposed=explained.what_if)
        self._words.content = f"**What if:** {words}" if explained.what_if else words
        self._was.visible = explained.what_if
        drawn = int((retrieval.surfel_pixels > 0).sum())
        asked = f"{explained.ms:.0f} ms" if explained.ms else "kept with the step"
        health = (
            f"{asked} · {drawn:,} of {len(retrieval.surfel_weight):,} surfels visible, drawn by "
            f"the {drawn_by} · {len(memory.link_surfel):,} links · {plural(len(memory.views))} · "
            f"queue {waiting} · {dropped} recolourings dropped"
        )
        lines = [f"<div style='color:#8b919c'>{health}</div>"]
        lines += [
            f"<div style='font-size:12px;color:#ffb02e'>Warning: {_readable(warning)}</div>"
            for warning in warnings(memory, retrieval)
        ]
        self._health.content = f"<div style='font-size:11px;{MARGIN}'>{''.join(lines)}</div>"
        self._show_table(retrieval, pointed, len(memory.views))

    def _show_table(self, retrieval: Retrieval, pointed: int | None, n_views: int) -> None:
        self.rows = listed(retrieval, self._client.workspace.settings.rows)
        titles = ("view", "", "votes", "sees", "away", "why", "")
        head = "".join(f"<th style='{CELL}'>{title}</th>" for title in titles)
        colors = owner_colors(max(n_views, len(retrieval.votes)))
        body = "".join(self._row(retrieval, view, view == pointed, colors) for view in self.rows)
        self._table.content = (
            f"{STYLE}<div style='max-height:420px;overflow-y:auto;{MARGIN}'>"
            f"<table style='font-size:11px;border-collapse:collapse;width:100%'>"
            f"<tr>{head}</tr>{body}</table></div>"
        )

    def _row(self, retrieval: Retrieval, view: int, pointed: bool, colors: np.ndarray) -> str:
        chosen = bool(retrieval.chosen[view])
        swatch = "#{:02x}{:02x}{:02x}".format(*colors[view].tolist())
        cells = (
            f"<span style='color:{swatch}'>■</span> {view}",
            self._thumbnails.tag(view, PICTURE),
            f"{100 * retrieval.share[view]:.1f} %",
            f"{100 * retrieval.coverage[view]:.0f} %",
            f"{retrieval.pose_distance[view]:.2f}",
        )
        body = "".join(f"<td style='{CELL};white-space:nowrap'>{cell}</td>" for cell in cells)
        reason = html.escape(str(retrieval.reasons[view]))
        plain = html.escape(plain_reason(retrieval, view), quote=True)
        query = retrieval.query
        wishes = "".join(
            f"<span class='vmem-wish{' on' if on else ''}' title='{title}' "
            f"{mark(f'{what}:{view}', focusable=False)}>{what}</span>"
            for what, on, title in (
                ("pin", view in query.pinned, "always choose it (I)"),
                ("ban", view in query.banned, "never choose it (X)"),
            )
        )
        return (
            f"<tr class='vmem-row{' pointed' if pointed else ''}' {mark(f'row:{view}')} "
            f"{answering(row_answer(view))} "
            f"style='color:{'#ffb02e' if chosen else '#8b919c'}'>{body}"
            f"<td style='{CELL}' title='{plain}'>{reason}</td>"
            f"<td style='{CELL};white-space:nowrap'>{wishes}</td></tr>"
        )


def row_answer(view: int) -> str:
    """What `reveal` knows a view's row by."""
    return f"view {view}"


def _readable(warning: str) -> str:
    """HTML of a warning, with names in backticks set as code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(warning))


def plural(views: int) -> str:
    """So many views, in words."""
    return f"{views} view{'s' * (views != 1)}"


def listed(retrieval: Retrieval, rows: str) -> tuple[int, ...]:
    """Views that a table of ``rows`` (one of ROWS) lists: the chosen ones in order, the best one
    left out, then by rank. Never fewer than the chosen ones.
    """
    chosen = retrieval.chosen
    rest = [int(view) for view in np.argsort(retrieval.rank) if not chosen[view]]
    best = best_left_out(retrieval)
    if best is not None:
        # Words above the table name it, and strategies such as temporal rank it far down.
        rest.remove(best)
        rest.insert(0, best)
    most = len(retrieval.votes) if rows == "all" else int(rows)
    return (*retrieval.order, *rest)[: max(most, len(retrieval.order))]
