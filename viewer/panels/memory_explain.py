"""What is explained, in words and as a table: which views were selected, and why others not."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import viser

from viewer.actions import Actions
from viewer.commands import BAN, EARLIER, LATER, PIN
from viewer.debugger.explained import Explained
from viewer.page.html import cells, table
from viewer.page.pointing import mark
from viewer.page.scripts import answer_mark
from viewer.page.thumbnails import Thumbnails
from viewer.paint.palette import colors_of_owners, css
from viewer.panels.elements import at_once
from viewer.settings import ROWS, Settings
from vmem.arrays import U8
from vmem.retrieval.explain.warnings import warnings
from vmem.types import Retrieval

GHOST = "the ghost, live"
TITLES = ("view", "", "votes", "sees", "away", "why", "")
MOST_SUBJECTS = 60
"""Steps that are offered in the list of what may be explained."""
PICTURE = 30
"""Height of the thumbnails in the table, in pixels."""
TALLEST = 420
"""Height of the table, in pixels, above which it scrolls."""


@dataclass(frozen=True)
class ExplainShown:
    """What the upper part of the Memory tab says."""

    words: str
    """The summary, as Markdown."""
    health: str
    """Figures and warnings, as HTML."""
    table: str
    """The views, as HTML."""


class ExplainPanel:
    """Chooses what is explained and explains it."""

    def __init__(
        self, gui: viser.GuiApi, commands: Actions, settings: Settings, thumbnails: Thumbnails
    ) -> None:
        self._commands = commands
        self._thumbnails = thumbnails
        self._subject: viser.GuiDropdownHandle[str] = gui.add_dropdown(
            f"Explain ({EARLIER.key} {LATER.key})",
            [GHOST],
            hint="the ghost's view to come, or a step of the walk",
        )
        self._subject.on_update(at_once(self._chosen))
        self._computing = gui.add_html("", visible=False)
        self._words = gui.add_markdown("")
        self._was = gui.add_button("Show it as it was", color="gray", icon=viser.Icon.ARROW_BACK_UP)
        self._was.visible = False
        self._was.on_click(lambda _: commands.as_it_was())
        self._health = gui.add_html("")
        self._table = gui.add_html("")
        rows = gui.add_dropdown("Views listed", ROWS, initial_value=settings.rows)
        rows.on_update(at_once(lambda _: commands.set_rows(rows.value)))

    def _chosen(self, event: viser.GuiEvent) -> None:
        chosen = self._subject.value
        step = None if chosen == GHOST else int(chosen.removeprefix("step ").partition(":")[0])
        self._commands.explain(step)

    @property
    def shown(self) -> ExplainShown:
        """What it says now."""
        return ExplainShown(self._words.content, self._health.content, self._table.content)

    @property
    def computing(self) -> str:
        """What it says, as HTML, of an answer that is being computed; "" if there is none."""
        return self._computing.content if self._computing.visible else ""

    def show_computing(self, strategy: str | None) -> None:
        """Say that the answer of ``strategy`` is being computed, or with None nothing of it."""
        self._computing.visible = strategy is not None
        if strategy is not None:
            self._computing.content = (
                "<div class='vmem-panel'><div class='vmem-muted'>"
                f"{html.escape(strategy)} is being computed: until then this is the answer before"
                "</div></div>"
            )

    def show_subjects(self, labels: Sequence[str], step: int | None) -> None:
        """Offer the ghost and the MOST_SUBJECTS newest steps, newest first, and show which is
        explained; an older one by the timeline.

        labels: of every step but the photo · step: None for the ghost.
        """

        def named(number: int) -> str:
            return f"step {number}: {labels[number - 1]}"

        oldest = max(1, len(labels) + 1 - MOST_SUBJECTS)
        options = [GHOST, *(named(number) for number in range(len(labels), oldest - 1, -1))]
        value = GHOST if step is None else named(step)
        options += [value] * (value not in options)
        if tuple(self._subject.options) != tuple(options):
            self._subject.options = options
        if self._subject.value != value:
            self._subject.value = value

    def show(
        self,
        explained: Explained,
        rows: Sequence[int],
        pointed: int | None,
        *,
        drawn_by: str,
        waiting: int,
        dropped: int,
    ) -> None:
        """Show summary, figures and table.

        rows: views that are listed · pointed: the view pointed at · drawn_by: "browser" or
        "server" · waiting: jobs in the queue · dropped: recolourings that were never sent, because
        a later one came before the page was ready.
        """
        retrieval = explained.retrieval
        words = retrieval.summary(explained.step, supposed=explained.what_if)
        self._words.content = f"**What if:** {words}" if explained.what_if else words
        self._was.visible = explained.what_if
        self._health.content = _health(explained, drawn_by, waiting, dropped)
        self._show_table(retrieval, rows, pointed)

    def _show_table(
        self,
        retrieval: Retrieval,
        rows: Sequence[int],
        pointed: int | None,
    ) -> None:
        colors = colors_of_owners(np.array(rows, int))
        body = [
            self._row(retrieval, view, view == pointed, color)
            for view, color in zip(rows, colors, strict=True)
        ]
        self._table.content = (
            f"<div class='vmem-panel vmem-scroll' style='max-height:{TALLEST}px'>"
            f"{table(TITLES, body)}</div>"
        )

    def _row(self, retrieval: Retrieval, view: int, pointed: bool, color: U8) -> str:
        classes = "vmem-row" + " selected" * bool(retrieval.chosen[view]) + " pointed" * pointed
        numbers = cells(
            (
                f"<span style='color:{css(color)}'>■</span> {view}",
                self._thumbnails.tag(view, PICTURE),
                f"{100 * retrieval.share[view]:.1f} %",
                f"{100 * retrieval.coverage[view]:.0f} %",
                f"{retrieval.pose_distance[view]:.2f}",
            ),
            whole=True,
        )
        reason = html.escape(str(retrieval.reasons[view]))
        plain = html.escape(retrieval.plain_reason(view), quote=True)
        toggles = "".join(
            f"<span class='vmem-toggle{' on' if on else ''}' title='{title}' "
            f"{mark(f'{what}:{view}', focusable=False)}>{what}</span>"
            for what, on, title in (
                ("pin", view in retrieval.query.pinned, f"always choose it ({PIN.key})"),
                ("ban", view in retrieval.query.banned, f"never choose it ({BAN.key})"),
            )
        )
        return (
            f"<tr class='{classes}' {mark(f'row:{view}')} {answer_mark(row_answer(view))}>"
            f"{numbers}<td title='{plain}'>{reason}</td>{cells([toggles], whole=True)}</tr>"
        )


def _health(explained: Explained, drawn_by: str, waiting: int, dropped: int) -> str:
    """HTML of figures about an answer, and of warnings."""
    memory, retrieval = explained.memory, explained.retrieval
    drawn = int((retrieval.surfel_pixels > 0).sum())
    asked = f"{explained.ms:.0f} ms" if explained.ms else "kept with the step"
    figures = (
        f"{asked} · {drawn:,} of {len(retrieval.surfel_weight):,} surfels visible, drawn by "
        f"the {drawn_by} · {len(memory.link_surfel):,} links · {plural(len(memory.views))} · "
        f"queue {waiting} · {dropped} recolourings dropped"
    )
    lines = [f"<div class='vmem-muted'>{figures}</div>"]
    lines += [
        f"<div class='vmem-warning'>Warning: {_readable(warning)}</div>"
        for warning in warnings(memory, retrieval)
    ]
    return f"<div class='vmem-panel'>{''.join(lines)}</div>"


def row_answer(view: int) -> str:
    """The name of a view's row for `reveal`."""
    return f"view {view}"


def _readable(warning: str) -> str:
    """HTML of a warning, with names in backticks set as code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(warning))


def plural(views: int) -> str:
    """A number of views, in words."""
    return f"{views} view{'s' * (views != 1)}"
