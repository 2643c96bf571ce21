"""Rows of pictures and words, for a page as wide as a text of two columns.

How high a page gets depends on its words, and no layout of matplotlib lets a figure grow. So each
row is a figure of its own on a sheet that is high enough, cut off below its last line, and a page
is rows joined. matplotlib wraps words at the right edge of the subfigure that holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase
from matplotlib.patches import Patch
from matplotlib.text import Annotation

from vmem.arrays import U8

DPI = 300
TITLE, BODY = 7.5, 6.2
"""Sizes of letters, in points."""
TITLE_HEIGHT, ROOM = 0.17, 3.0
"""Inches that a title takes, and that words below a picture take at most."""
GUTTER, FRAME = 0.09, 0.016
"""Inches between pictures, and around a picture for its frame."""
ROW = 4
"""Pictures side by side."""
INK, GREY = "#1a1a1a", "#555555"


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture with words around it."""

    image: U8
    """(h, w, 3) pixels."""
    words: str
    """Text in grey, below everything else."""
    letter: str = ""
    """What the text calls it; bold, above the picture."""
    title: str = ""
    """Text beside the letter."""
    head: str = ""
    """Text in black, above the words."""
    bar: U8 | None = None
    """(1, N, 3) colours from low to high."""
    swatches: Sequence[tuple[U8, str]] = ()
    """Colours (3,) and what they mean."""
    frame: U8 | None = None
    """(3,) colour of a thick frame; None for a thin black one."""


def drawn(figure: Figure) -> U8:
    """Pixels (h, w, 3) of a figure, without what is empty at its lower end."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[:, :, :3]
    return pixels[: 1 + np.flatnonzero((pixels < 255).any(axis=(1, 2))).max(initial=0)]


def joined(parts: Sequence[U8], axis: int, gap: int) -> U8:
    """Pictures along ``axis`` in a row, ``gap`` pixels apart, on white."""
    size = max(part.shape[1 - axis] for part in parts)
    spaced = []
    for i, part in enumerate(parts):
        room = [(0, 0)] * 3
        room[axis] = (gap if i else 0, 0)
        room[1 - axis] = (0, size - part.shape[1 - axis])
        spaced.append(np.pad(part, room, constant_values=255))
    return np.concatenate(spaced, axis)


def paragraph(words: str, width: float, dpi: int, **style: Any) -> U8:
    """Words alone, wrapped at ``width`` inches."""
    figure = Figure(figsize=(width, ROOM), dpi=dpi)
    # On the very edge of a figure matplotlib finds no room to wrap words in.
    _write(figure, words, figure, xy=(0, 1), xytext=(72 * FRAME, -0.1), **style)
    return drawn(figure)


def row(pictures: Sequence[Picture], width: float, dpi: int) -> U8:
    """Up to ROW pictures side by side, each as wide as if ROW of them filled ``width`` inches."""
    cell = (width - (ROW - 1) * GUTTER) / ROW
    inner = cell - 2 * FRAME
    heights = [inner * p.image.shape[0] / p.image.shape[1] for p in pictures]
    top = TITLE_HEIGHT if any(picture.letter for picture in pictures) else FRAME
    total = top + max(heights) + ROOM
    figure = Figure(figsize=(width, total), dpi=dpi)
    cells = figure.subfigures(1, ROW, wspace=GUTTER / cell, squeeze=False)[0]
    for place, picture, height in zip(cells, pictures, heights, strict=False):
        low = 1 - (top + height) / total
        _draw(place, picture, (FRAME / cell, low, inner / cell, height / total))
    return drawn(figure)


def write_title(axes: Axes, letter: str, title: str) -> None:
    """Write a panel's letter, in bold, and its title above ``axes``."""
    words = rf"$\mathbf{{{letter}}}$  {title}" if letter else ""
    axes.set_title(words, loc="left", size=TITLE, color=INK, pad=4.5)


def _write(figure: FigureBase, words: str, below: Artist, **style: Any) -> Annotation:
    """Write words of size BODY below an artist, from its left edge to that of ``figure``."""
    style = {"xy": (0, 0), "xytext": (0, -3), "va": "top", "size": BODY, "color": GREY} | style
    # A dollar sign in a name is no formula, and a number stays beside its "%".
    words = words.replace("$", r"\$").replace(" %", "\u00a0%")
    text = Annotation(words, xycoords=below, textcoords="offset points", wrap=True, **style)
    figure.add_artist(text)
    return text


def _draw(figure: FigureBase, picture: Picture, box: tuple[float, float, float, float]) -> None:
    axes = figure.add_axes(box)
    axes.imshow(picture.image, aspect="auto", interpolation="antialiased")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color(INK if picture.frame is None else tuple(picture.frame / 255))
    axes.spines[:].set_linewidth(0.4 if picture.frame is None else 2.2)
    write_title(axes, picture.letter, picture.title)
    last: Artist = axes
    if picture.bar is not None:
        bar = last = axes.inset_axes((0, -0.055, 1, 0.03))
        bar.imshow(picture.bar, aspect="auto")
        bar.set_axis_off()
    if picture.swatches:
        patches = [
            Patch(facecolor=tuple(color / 255), edgecolor=INK, lw=0.4, label=words)
            for color, words in picture.swatches
        ]
        last = axes.legend(
            handles=patches, loc="upper left", bbox_to_anchor=(0, -0.025), fontsize=BODY,
            labelcolor=GREY, frameon=False, borderpad=0, borderaxespad=0, labelspacing=0.2,
            handlelength=1, handleheight=1, handletextpad=0.5,
        )  # fmt: skip
    if picture.head:
        last = _write(figure, picture.head, last, color=INK)
    if picture.words:
        _write(figure, picture.words, last, xytext=(0, -1 if picture.head else -3))
