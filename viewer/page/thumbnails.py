"""Small pictures of the views, sent to a browser once and shown anywhere in its panels.

A table that is rendered several times a second must not carry its pictures with it. So each
view's picture is a CSS variable of the page, ``--vmem-view-12``, and a table only names it.
"""

from __future__ import annotations

import base64
import weakref
from collections.abc import Sequence

import cv2
import numpy as np
import viser

from viewer.page.scripts import run_script
from viewer.paint.palette import SPOT, css
from viewer.paint.resize import thumbnail
from vmem.arrays import U8
from vmem.types import View

SIDE = 48
"""Pixels of a picture's longer side."""
QUALITY = 80

SET_VARIABLES = """(config) => {
  for (const [name, value] of Object.entries(config))
    document.documentElement.style.setProperty(name, value);
}"""


class Thumbnails:
    """The pictures that one browser has. A reload or reconnect is a new client: make a new one."""

    def __init__(self, gui: viser.GuiApi) -> None:
        self._gui = gui
        self._sent: dict[int, weakref.ref[View]] = {}
        self._hw: dict[int, tuple[int, int]] = {}

    def show(self, views: Sequence[View]) -> None:
        """Make `tag` show these views; only pictures that the browser lacks are sent."""
        news: dict[str, str] = {}
        for index, view in enumerate(views):
            known = self._sent.get(index)
            if known is not None and known() is view:
                continue
            # Views of a branch that was left must not be kept alive by their pictures.
            self._sent[index] = weakref.ref(view)
            h, w = view.rgb.shape[:2]
            self._hw[index] = (h, w)
            news[variable(index)] = f'url("{jpeg_url(thumbnail(view.rgb, SIDE))}")'
        if news:
            run_script(self._gui, SET_VARIABLES, news)

    def tag(self, index: int, height: int, spot: tuple[float, float] | None = None) -> str:
        """HTML of a view's picture, ``height`` CSS pixels high and as wide as the view's frame is.

        A view that was never shown has a square without a picture. spot: (x, y) in [0, 1] of the
        frame, marked by a dot.
        """
        h, w = self._hw.get(index, (1, 1))
        width = max(1, round(height * w / h))
        layers = [f"var({variable(index)},none) center/100% 100% no-repeat"]
        if spot is not None:
            place = f"{100 * spot[0]:.1f}% {100 * spot[1]:.1f}%"
            dot = f"{css(SPOT)} 2.5px,#000 3px 4px,transparent 4px"
            layers.insert(0, f"radial-gradient(circle at {place},{dot})")
        return (
            f'<i role="img" aria-label="view {index}" style="display:inline-block;'
            f"vertical-align:middle;width:{width}px;height:{height}px;"
            f'background:{",".join(layers)}"></i>'
        )


def variable(index: int) -> str:
    """Name of the CSS variable that holds a view's picture."""
    return f"--vmem-view-{index}"


def jpeg_url(rgb: U8) -> str:
    """A picture (H, W, 3) u8 as a JPEG data URL."""
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    ok, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not ok:
        raise ValueError(f"no JPEG can hold an array of shape {rgb.shape}, {rgb.dtype}")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
