"""A page of pictures with words, laid out from the top down, in inches.

How high it gets shows at the end, so it is drawn on a sheet that is long enough and cut off.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from PIL import Image

from vmem.arrays import U8

WIDTH = 7.2
"""Inches, of a text of two columns: letters are meant to be read at this width."""
LONGEST = 16.0
DPI = 300
TITLE, BODY = 7.5, 6.2
"""Points."""
LINE, TITLE_HEIGHT = 0.106, 0.17
"""Inches that a line of BODY takes, and that a title takes."""
EDGE, GUTTER = 0.08, 0.11
ROW = 4
"""Pictures side by side."""
INK, GREY = "#1a1a1a", "#555555"


@dataclass(frozen=True, eq=False)
class Picture:
    """image (h, w, 3) u8 with a title, words beneath, and a bar (1, N, 3) u8 from low to high or
    swatches of a colour (3,) u8 and what it means."""

    title: str
    image: U8
    words: str
    bar: U8 | None = None
    swatches: Sequence[tuple[U8, str]] = field(default_factory=tuple)


@dataclass(frozen=True, eq=False)
class Card:
    """image (h, w, 3) u8 with a heading and words beneath, framed in a colour (3,) u8."""

    image: U8
    head: str
    words: str
    color: U8 | None = None


class Page:
    """``y``: inches from the top that are taken."""

    def __init__(self, dpi: int = DPI) -> None:
        self._dpi = dpi
        self._figure = Figure(figsize=(WIDTH, LONGEST), dpi=dpi, facecolor="white")
        self._canvas = FigureCanvasAgg(self._figure)
        self._font = FontProperties(size=BODY)
        self.y = EDGE

    def png(self) -> bytes:
        """What was drawn, down to ``y``."""
        self._canvas.draw()
        pixels = np.asarray(self._canvas.buffer_rgba())[: round((self.y + EDGE) * self._dpi), :, :3]
        out = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(
            out, "PNG", dpi=(self._dpi, self._dpi), optimize=False
        )
        return out.getvalue()

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Axes whose upper left corner is at (x, y)."""
        return self._figure.add_axes(
            (x / WIDTH, 1 - (y + height) / LONGEST, width / WIDTH, height / LONGEST)
        )

    def wrapped(self, text: str, inches: float) -> list[str]:
        """``text`` broken into lines that fit; its own line breaks are kept."""
        lines = []
        for part in text.split("\n"):
            line = ""
            for word in part.replace(" %", "\u00a0%").split(" "):
                longer = f"{line} {word}" if line else word
                if line and self._width(longer) > inches:
                    lines.append(line)
                    longer = word
                line = longer
            lines.append(line)
        return [line for line in lines if line]

    def lines(self, x: float, y: float, lines: Sequence[str], color: str = GREY) -> float:
        """Write lines of BODY from (x, y) down; inches that they took."""
        for i, line in enumerate(lines):
            self._write(x, y + i * LINE, line, BODY, color)
        return LINE * len(lines)

    def title(self, letter: str, words: str, x: float, y: float) -> None:
        """A panel's letter and title."""
        self._write(x, y, letter, TITLE, INK, weight="bold")
        self._write(x + 0.13, y, words, TITLE, INK)

    def heading(self, title: str, words: str) -> None:
        """The first lines."""
        self._write(EDGE, self.y, title, TITLE + 1.5, INK, weight="bold")
        self.y += TITLE_HEIGHT + 0.02
        self.y += self.lines(EDGE, self.y, self.wrapped(words, WIDTH - 2 * EDGE)) + 0.06

    def note(self, words: str) -> None:
        """Lines at the end."""
        self.y += 0.03 + self.lines(
            EDGE, self.y + 0.03, self.wrapped(words, WIDTH - 2 * EDGE), color=INK
        )

    def pictures(self, pictures: Sequence[Picture]) -> None:
        """A row of ROW large pictures, lettered from a."""
        width = (WIDTH - 2 * EDGE - (ROW - 1) * GUTTER) / ROW
        bottom = self.y
        for i, picture in enumerate(pictures[:ROW]):
            x, y = EDGE + i * (width + GUTTER), self.y
            self.title("abcdefgh"[i], picture.title, x, y)
            y += TITLE_HEIGHT
            y += self._image(picture.image, x, y, width) + 0.05
            if picture.bar is not None:
                self.axes(x, y, width, 0.06).imshow(picture.bar, aspect="auto")
                self._figure.axes[-1].set_axis_off()
                y += 0.1
            for color, words in picture.swatches:
                self._box(x, y + 0.01, 0.08, 0.08, color)
                y += self.lines(x + 0.13, y, [words])
            y += self.lines(x, y, self.wrapped(picture.words, width))
            bottom = max(bottom, y)
        self.y = bottom + 0.1

    def cards(self, letter: str, title: str, cards: Sequence[Card], width: float) -> None:
        """Rows of ROW small pictures in the leftmost ``width`` inches."""
        self.title(letter, title, EDGE, self.y)
        self.y += TITLE_HEIGHT
        each = (width - (ROW - 1) * GUTTER) / ROW
        for start in range(0, len(cards), ROW):
            bottom = self.y
            for i, card in enumerate(cards[start : start + ROW]):
                x = EDGE + i * (each + GUTTER)
                y = self.y + self._image(card.image, x, self.y, each, card.color) + 0.04
                y += self.lines(x, y, self.wrapped(card.head, each), INK)
                y += self.lines(x, y, self.wrapped(card.words, each))
                bottom = max(bottom, y)
            self.y = bottom + 0.08

    def _image(self, image: U8, x: float, y: float, width: float, frame: U8 | None = None) -> float:
        """Show ``image`` with its upper left corner at (x, y); the height it took."""
        height = width * image.shape[0] / image.shape[1]
        axes = self.axes(x, y, width, height)
        axes.imshow(image, aspect="auto", interpolation="antialiased")
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_color(INK if frame is None else tuple(frame / 255))
            spine.set_linewidth(0.4 if frame is None else 2.2)
        return height

    def _box(self, x: float, y: float, width: float, height: float, color: U8) -> None:
        self._figure.add_artist(
            Rectangle(
                (x / WIDTH, 1 - (y + height) / LONGEST),
                width / WIDTH,
                height / LONGEST,
                facecolor=tuple(color / 255),
                edgecolor=INK,
                lw=0.4,
            )
        )

    def _write(
        self, x: float, y: float, text: str, size: float, color: str, weight: str = "normal"
    ) -> None:
        # Words come from names and reasons: a dollar sign is no formula.
        self._figure.text(
            x / WIDTH, 1 - y / LONGEST, text, fontsize=size, color=color, weight=weight,
            va="top", parse_math=False,
        )  # fmt: skip

    def _width(self, text: str) -> float:
        """Inches of a line of BODY."""
        renderer = self._canvas.get_renderer()
        return renderer.get_text_width_height_descent(text, self._font, False)[0] / self._dpi
