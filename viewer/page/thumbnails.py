"""Small pictures of the views, sent to a browser once and shown anywhere in its panels.

A table that is rendered several times a second must not carry its pictures with it. So each
view's picture is a CSS variable of the page, ``--vmem-view-12``, and a table only names it.
"""

from __future__ import annotations

import base64
import weakref
from collections import OrderedDict
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
MOST = 512
"""Pictures that a page holds at once."""

SET_VARIABLES = """(config) => {
  for (const [name, value] of Object.entries(config))
    document.documentElement.style.setProperty(name, value);
}"""


class Pictures:
    """Small pictures of one browser, by name. A picture is sent when it is first named; of more
    than MOST the page forgets the one that was named longest ago. A reload or reconnect is a new
    client: make new ones."""

    def __init__(self, gui: viser.GuiApi) -> None:
        self._gui = gui
        # Views of a branch that was left must not be kept alive by their pictures.
        self._sent: OrderedDict[str, weakref.ref[View]] = OrderedDict()

    def tag(
        self,
        name: str,
        view: View | None,
        height: int,
        *,
        label: str,
        spot: tuple[float, float] | None = None,
    ) -> str:
        """HTML of a view's picture, ``height`` CSS pixels high and as wide as the view's frame is;
        of None a square without a picture.

        name: of letters, digits and - · label: read aloud in place of it · spot: (x, y) in [0, 1]
        of the frame, marked by a dot.
        """
        if view is not None:
            self._bring(name, view)
        h, w = (1, 1) if view is None else view.camera.hw
        width = max(1, round(height * w / h))
        layers = [f"var(--vmem-{name},none) center/100% 100% no-repeat"]
        if spot is not None:
            place = f"{100 * spot[0]:.1f}% {100 * spot[1]:.1f}%"
            dot = f"{css(SPOT)} 2.5px,#000 3px 4px,transparent 4px"
            layers.insert(0, f"radial-gradient(circle at {place},{dot})")
        return (
            f'<i role="img" aria-label="{label}" style="display:inline-block;'
            f"vertical-align:middle;width:{width}px;height:{height}px;"
            f'background:{",".join(layers)}"></i>'
        )

    def _bring(self, name: str, view: View) -> None:
        known = self._sent.pop(name, None)
        self._sent[name] = weakref.ref(view)
        if known is not None and known() is view:
            return
        news = {f"--vmem-{name}": f'url("{jpeg_url(thumbnail(view.rgb, SIDE))}")'}
        while len(self._sent) > MOST:
            gone, _ = self._sent.popitem(last=False)
            news[f"--vmem-{gone}"] = ""
        run_script(self._gui, SET_VARIABLES, news)


class Thumbnails:
    """The pictures of the views of the memory that is shown, by their numbers."""

    def __init__(self, gui: viser.GuiApi) -> None:
        self._pictures = Pictures(gui)
        self._views: Sequence[View] = ()

    def show(self, views: Sequence[View]) -> None:
        """Have `tag` show these views."""
        self._views = views

    def tag(self, index: int, height: int, spot: tuple[float, float] | None = None) -> str:
        """HTML of a view's picture: see `Pictures.tag`; a square for a view that is not shown."""
        view = self._views[index] if index < len(self._views) else None
        return self._pictures.tag(f"view-{index}", view, height, label=f"view {index}", spot=spot)


def jpeg_url(rgb: U8) -> str:
    """A picture (H, W, 3) u8 as a JPEG data URL."""
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    ok, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not ok:
        raise ValueError(f"no JPEG can hold an array of shape {rgb.shape}, {rgb.dtype}")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
