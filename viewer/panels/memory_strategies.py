"""Strategies side by side: what each would select, what that is worth, and two of them walked."""

from __future__ import annotations

import html
from dataclasses import dataclass

import cv2
import numpy as np
import viser

from viewer.actions import Actions
from viewer.commands import COMPARE_STRATEGIES, MAKE_BOTH
from viewer.page.html import cells, table
from viewer.page.pointing import mark
from viewer.page.scripts import answer_mark, reveal
from viewer.page.thumbnails import Thumbnails
from viewer.paint.palette import BACKGROUND, INFERNO, colormap
from viewer.paint.resize import thumbnail
from viewer.panels.elements import command_button
from viewer.walk.jobs import BothMade, StrategyAnswer, StrategyAnswers
from vmem.arrays import U8
from vmem.retrieval import STRATEGIES
from vmem.types import DEFAULT_STRATEGY

PICTURE = 30
"""Height of the thumbnails, in pixels."""
FRAME = 150
"""Longer side of each frame in the comparison of two strategies, in pixels."""
GAP = 3
"""Pixels between the frames."""
STRATEGIES_ANSWER, BOTH_ANSWER = "strategies", "both strategies"
"""Names of the two answers for `reveal`."""
DIFFERENCE_FULL = 64
"""Levels of difference from which on its colour is brightest."""


@dataclass(frozen=True, eq=False)
class StrategiesShown:
    """What is shown of the strategies."""

    answers: str
    """The table of strategies, as HTML."""
    words: str
    """What the frames below are, as Markdown."""
    frames: U8 | None
    """(h, w, 3) the frames of two strategies and their difference; None before they are made."""


class StrategiesPanel:
    """Compares all strategies' selections, and the frames that two of them lead to."""

    def __init__(self, gui: viser.GuiApi, commands: Actions, thumbnails: Thumbnails) -> None:
        self._gui = gui
        self._thumbnails = thumbnails
        command_button(gui, commands, COMPARE_STRATEGIES, viser.Icon.COLUMNS)
        self._answers = gui.add_html("")
        names = tuple(STRATEGIES)
        self._first = gui.add_dropdown("One", names, initial_value=DEFAULT_STRATEGY)
        self._second = gui.add_dropdown("Other", names, initial_value="temporal")
        command_button(
            gui,
            commands,
            MAKE_BOTH,
            viser.Icon.GIT_FORK,
            hint="the explained step again, or the step to the ghost, as two branches",
        )
        blank = np.full((8, 8, 3), BACKGROUND, np.uint8)
        self._frames = gui.add_image(blank, format="png", visible=False)
        self._words = gui.add_markdown("")
        self._end = gui.add_html("")

    @property
    def pair(self) -> tuple[str, str]:
        """The two strategies that are chosen."""
        return self._first.value, self._second.value

    @property
    def shown(self) -> StrategiesShown:
        """What it shows now."""
        frames = np.asarray(self._frames.image, np.uint8) if self._frames.visible else None
        return StrategiesShown(self._answers.content, self._words.content, frames)

    def show_answers(self, found: StrategyAnswers) -> None:
        """Show a row a strategy."""
        known = any(answer.truly is not None for answer in found.answers)
        titles = ("strategy", "chosen", "covered", *(["truly"] if known else []))
        legend = "covered: share of the visible votes that the chosen views saw"
        if known:
            legend += " · truly: share of the target's true surface that they saw"
        self._answers.content = (
            f"<div {answer_mark(STRATEGIES_ANSWER)}><div class='vmem-panel'>"
            f"{table(titles, map(self._row, found.answers))}"
            f"<div class='vmem-muted'>{legend}</div></div></div>"
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
        texts = [retrieval.strategy, pictures, f"{100 * answer.covered:.0f} %"]
        if answer.truly is not None:
            texts.append(f"{100 * answer.truly:.0f} %")
        return f"<tr>{cells(texts)}</tr>"

    def show_both(self, made: BothMade) -> None:
        """Show the frames of both branches and their difference, a row a frame."""
        pairs = [
            (one.rgb, other.rgb)
            for one, other in zip(made.first.record.views, made.second.record.views, strict=True)
        ]
        self._frames.image, self._frames.visible = difference_picture(pairs), True
        a, b = (result.node.label for result in (made.first, made.second))
        self._words.content = (
            f"Left **{a}**, middle **{b}**, right their difference (black 0 to yellow "
            f"{DIFFERENCE_FULL} of 255 levels or more); a row a frame. Mean difference "
            f"{mean_difference(pairs):.1f} levels. Both are branches (History); the walk stands "
            f"on {a}'s."
        )
        self._end.content = f"<div {answer_mark(BOTH_ANSWER)}></div>"
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
