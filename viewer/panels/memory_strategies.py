"""Strategies side by side: what each would choose, what that is worth, and two of them walked."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import cv2
import numpy as np
import viser

from viewer.page.pointing import mark
from viewer.page.scroll import answering, reveal
from viewer.page.thumbnails import Thumbnails
from viewer.paint.surfel_colors import BACKGROUND, INFERNO, colormap
from viewer.panels.memory_explain import CELL, MARGIN
from viewer.scene.frustums import thumbnail
from viewer.walk.jobs import BothMade, StrategyAnswer, StrategyAnswers
from vmem.arrays import U8
from vmem.retrieval import STRATEGIES
from vmem.types import DEFAULT_STRATEGY

if TYPE_CHECKING:
    from viewer.browser.client import Client

PICTURE = 30
FRAME = 150
"""Longer side of each frame in the comparison of two strategies, in pixels."""
GAP = 3
STRATEGIES_ANSWER, BOTH_ANSWER = "strategies", "both strategies"
"""What `reveal` knows the two answers by."""
DIFFERENCE_FULL = 64
"""Levels of difference from which on its colour is brightest."""


class StrategiesPanel:
    """Compares all strategies' choices, and the frames that two of them lead to."""

    def __init__(self, client: Client, gui: viser.GuiApi, thumbnails: Thumbnails) -> None:
        self._gui = gui
        self._thumbnails = thumbnails
        inspector = client.inspector
        compare = gui.add_button("Compare strategies (M)", color="gray", icon=viser.Icon.COLUMNS)
        compare.on_click(lambda _: client.post(inspector.compare_strategies))
        self._answers = gui.add_html("")
        names = tuple(STRATEGIES)
        first = gui.add_dropdown("One", names, initial_value=DEFAULT_STRATEGY)
        second = gui.add_dropdown("Other", names, initial_value="temporal")
        both = gui.add_button(
            "Generate with both (B)",
            color="gray",
            icon=viser.Icon.GIT_FORK,
            hint="the explained step again, or the step to the ghost, as two branches",
        )
        both.on_click(lambda _: client.post(inspector.make_both, first.value, second.value))
        self._first, self._second = first, second
        blank = np.full((8, 8, 3), BACKGROUND, np.uint8)
        self._frames = gui.add_image(blank, format="png", visible=False)
        self._words = gui.add_markdown("")
        self._end = gui.add_html("")

    @property
    def pair(self) -> tuple[str, str]:
        """The two strategies to be walked."""
        return self._first.value, self._second.value

    def show_answers(self, found: StrategyAnswers) -> None:
        """A row a strategy."""
        known = any(answer.truly is not None for answer in found.answers)
        titles = ("strategy", "chosen", "covered", *(["truly"] if known else []))
        head = "".join(f"<th style='{CELL}'>{title}</th>" for title in titles)
        body = "".join(self._row(answer) for answer in found.answers)
        legend = "covered: share of the visible votes that the chosen views saw"
        if known:
            legend += " · truly: share of the target's true surface that they saw"
        self._answers.content = (
            f"<div {answering(STRATEGIES_ANSWER)}><div style='font-size:11px;{MARGIN}'>"
            f"<table style='width:100%'><tr>{head}</tr>{body}</table>"
            f"<div style='color:#8b919c'>{legend}</div></div></div>"
        )
        reveal(self._gui, STRATEGIES_ANSWER)

    def _row(self, answer: StrategyAnswer) -> str:
        retrieval = answer.retrieval
        pictures = "".join(
            f"<span {mark(f'row:{view}')} style='cursor:pointer' "
            f"title='view {view}: {html.escape(str(retrieval.reasons[view]))}'>"
            f"{self._thumbnails.tag(view, PICTURE)} {view} </span>"
            for view in retrieval.order
        )
        cells = [retrieval.strategy, pictures, f"{100 * answer.covered:.0f} %"]
        if answer.truly is not None:
            cells.append(f"{100 * answer.truly:.0f} %")
        return "<tr>" + "".join(f"<td style='{CELL}'>{cell}</td>" for cell in cells) + "</tr>"

    def show_both(self, made: BothMade) -> None:
        """The frames of both branches and their difference, a row a frame."""
        pairs = [
            (one.rgb, other.rgb)
            for one, other in zip(made.first.record.views, made.second.record.views, strict=True)
        ]
        self._frames.image, self._frames.visible = difference_picture(pairs), True
        a, b = (made_of.node.label for made_of in (made.first, made.second))
        self._words.content = (
            f"Left **{a}**, middle **{b}**, right their difference (black 0 to yellow "
            f"{DIFFERENCE_FULL} of 255 levels or more); a row a frame. Mean difference "
            f"{mean_difference(pairs):.1f} levels. Both are branches (History); the walk stands "
            f"on {a}'s."
        )
        self._end.content = f"<div {answering(BOTH_ANSWER)}></div>"
        reveal(self._gui, BOTH_ANSWER)


def mean_difference(pairs: list[tuple[U8, U8]]) -> float:
    """Mean absolute difference of pictures (H, W, 3), in levels of 0 to 255."""
    return float(np.mean([np.abs(a.astype(np.int16) - b).mean() for a, b in pairs]))


def difference_picture(pairs: list[tuple[U8, U8]]) -> U8:
    """(h, w, 3) u8: for every pair (H, W, 3) a row of both and their difference in inferno."""
    rows = []
    for a, b in pairs:
        levels = np.abs(a.astype(np.int16) - b).max(axis=-1) / DIFFERENCE_FULL
        three = [thumbnail(picture, FRAME) for picture in (a, b, colormap(levels, INFERNO))]
        row = cv2.hconcat([cv2.copyMakeBorder(one, 0, GAP, 0, GAP, 0) for one in three])
        rows.append(np.asarray(row, np.uint8))
    return np.concatenate(rows)
