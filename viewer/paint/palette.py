"""All colours of the viewer, and its colour maps: distinct for colour-blind people, too.

Scales are inferno, viridis and cividis. Colours that name things are those of Okabe and Ito
("Color Universal Design", 2008).
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

from vmem.arrays import U8

RGB = tuple[int, int, int]

AMBER: RGB = (255, 176, 46)
"""The target and the views selected for it."""
SKY: RGB = (86, 180, 233)
"""What is pointed at or asked about, and the path walked."""
QUIET: RGB = (92, 98, 110)
"""Frustums of views with votes that were not selected."""
FAINT: RGB = (66, 70, 80)
"""Frustums of all other views."""
DARK: RGB = (38, 41, 47)
"""Frustums of views between the ends of steps."""

TEXT: RGB = (223, 227, 234)
"""Text of the panel where it is part of the present walk."""
MUTED: RGB = (139, 145, 156)
"""Text of the panel that comes second."""
DIM: RGB = (118, 124, 136)
"""Text of the panel for branches that were left."""

SPOT: RGB = (255, 127, 14)
"""The pixel of a thumbnail that is pointed out."""
RAISED: RGB = (43, 52, 66)
"""Behind a row of the panel that is pointed at."""
EDGE: RGB = (68, 75, 87)
"""Borders in the panel."""

BACKGROUND = np.array([18, 19, 23], np.uint8)

INVENTED = np.array([213, 94, 0], np.uint8)
"""The one loud colour: what no stored view knows and the generator makes up."""

REMEMBERED = np.array([0, 114, 178], np.uint8)
"""Pixels of a frame that show again what was invented before."""

POINTED = np.array(SKY, np.uint8)
"""What the view under the pointer explains."""

WHITE = np.array([255, 255, 255], np.uint8)
BLACK = np.array([0, 0, 0], np.uint8)
"""Marks and lines over pictures, and their rims."""

INK, GREY, PALE = "#1a1a1a", "#8a8a8a", "#c4c4c4"
"""Lines and letters on white paper, from the strongest to the weakest."""

INFERNO, VIRIDIS, CIVIDIS = cv2.COLORMAP_INFERNO, cv2.COLORMAP_VIRIDIS, cv2.COLORMAP_CIVIDIS

UNOWNED = np.array([128, 128, 128], np.uint8)
"""In place of an owner's colour, for a surfel that no view saw."""

_HUES = np.array(
    [[86, 180, 233], [240, 228, 66], [204, 121, 167], [230, 159, 0], [0, 114, 178], [0, 158, 115]]
)
"""Okabe and Ito's, without black and without vermillion, which is INVENTED; in the order in which
neighbours, light ones and dark ones too, are farthest apart for every kind of colour vision."""
_DARKEST, _LIGHTEST = 0.6, 0.6
"""What a hue is multiplied with at most, and how far it goes toward white at most."""


@lru_cache
def _table(which: int) -> U8:
    levels = np.arange(256, dtype=np.uint8)[:, None]
    table = np.ascontiguousarray(cv2.applyColorMap(levels, which)[:, 0, ::-1])
    table.flags.writeable = False
    return np.asarray(table, np.uint8)


def css(color: RGB | U8) -> str:
    """A colour as CSS writes it: "#rrggbb"."""
    r, g, b = (int(level) for level in color)
    return f"#{r:02x}{g:02x}{b:02x}"


def colormap(value: NDArray, which: int = INFERNO) -> U8:
    """(..., 3) u8 RGB of values in [0, 1]; others are clipped."""
    level = np.clip(np.asarray(value) * 255, 0, 255).astype(np.uint8)
    return np.take(_table(which), level, axis=0)


def bar(which: int) -> U8:
    """(1, 256, 3) u8 a colour map from low to high."""
    return _table(which)[None].copy()


def owner_colors(n: int) -> U8:
    """(n, 3) u8 distinct colours, stable by index: neighbours differ in hue, and where a hue comes
    again its lightness differs. No two of the first six hundred are equal."""
    return colors_of_owners(np.arange(n))


def colors_of_owners(number: Int[np.ndarray, " n"]) -> U8:
    """(n, 3) u8 those of `owner_colors` at some numbers."""
    turn, hue = np.divmod(number, len(_HUES))
    # Halves, quarters, eighths: turns that are close in time are far apart in lightness.
    spread = sum(((turn >> bit) & 1) * 0.5 ** (bit + 1) for bit in range(16)) + 0.5
    lightness = np.asarray(spread % 1.0)[:, None]
    darker = _DARKEST + (1 - _DARKEST) * 2 * np.minimum(lightness, 0.5)
    lighter = _LIGHTEST * 2 * np.maximum(lightness - 0.5, 0)
    color = darker * _HUES[hue]
    return np.rint(color + lighter * (255 - color)).astype(np.uint8)


def owner_palette(n_views: int) -> U8:
    """(V + 1, 3) u8 colours of the views, and last the one of surfels that no view saw."""
    return np.concatenate([owner_colors(n_views), UNOWNED[None]])


def grey(color: U8, brightness: float) -> U8:
    """(S, 3) u8 the colours (S, 3) u8 without their hue, times ``brightness``."""
    level = (np.arange(3 * 255 + 1) / 3 * brightness).astype(np.uint8)
    total = color[:, 0].astype(np.uint16) + color[:, 1] + color[:, 2]
    grey = np.take(level, total)
    return np.stack([grey, grey, grey], axis=1)
