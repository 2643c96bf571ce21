"""What lies over the walker's picture, as the page is told of it: legend, chosen views, map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from viewer.first_person.heat import Call
from viewer.first_person.view_folder import Ids
from viewer.page.html import data_url
from viewer.page.thumbnails import jpeg_url
from viewer.paint.palette import colors_of_owners, css
from viewer.paint.plan import Plan, above, plan_of, scale_length
from viewer.paint.resize import thumbnail
from viewer.paint.surfel_colors import Painted
from vmem.arrays import F64, U8
from vmem.memory import MemorySnapshot
from vmem.memory.shared import shared_views
from vmem.types import Retrieval, View
from vmem.types.wording import percent

SIDE = 144
"""Pixels of the longer side of the frame that is forming."""
BAR_STOPS = 16
"""Colours of a legend's bar that the page is told; it blends between them."""
SHADE = 200
"""Alpha of the map where surfaces are densest."""
TITLES: Mapping[str, str] = {
    "weight": "votes",
    "support": "support",
    "uncovered": "uncovered",
    "owner": "first view",
    "provenance": "provenance",
    "age": "age",
    "normal": "normal",
    "depth": "depth",
}
"""What a legend calls each heat; others by their own name."""


class PictureOverlay:
    """Not thread-safe: one thread calls it. What the page already shows is not sent again."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._said: dict[str, dict[str, Any]] = {}
        self._planned = MemorySnapshot.empty()
        self.plan: Plan | None = None
        """The map that the page shows."""

    def show(self, on: bool) -> None:
        """Show the overlay, or the picture alone."""
        self._say("show", on=on)

    def show_legend(self, title: str, painted: Painted | None) -> None:
        """Say what the colours over the picture mean; None: there are none."""
        self._say("legend", **({} if painted is None else legend(title, painted)))

    def show_chosen(
        self, retrieval: Retrieval, memory: MemorySnapshot, pointed: int | None, ids: Ids
    ) -> None:
        """Show the views that a retrieval chose, with their shares, and the newest view.

        ``retrieval`` must be of ``memory`` or of a shorter one.
        """
        share = retrieval.share
        colors = colors_of_owners(np.array(retrieval.order, int))
        views = [
            [ids(memory.views[view]), view, percent(float(share[view])), css(color)]
            for view, color in zip(retrieval.order, colors, strict=True)
        ]
        last = len(memory.views) - 1
        newest = [ids(memory.views[last]), last]
        self._say("chosen", views=views, newest=newest, pointed=-1 if pointed is None else pointed)

    def show_forming(self, frame: U8 | None) -> None:
        """Show a frame (H, W, 3) that is being made; None: none is."""
        self._say("forming", picture="" if frame is None else jpeg_url(thumbnail(frame, SIDE)))

    def show_plan(self, memory: MemorySnapshot) -> None:
        """Show the map of a memory that has views."""
        self.plan = plan = plan_of(memory)
        kept = shared_views(self._planned, memory)
        self._planned = memory
        self._call(
            "overlay.plan",
            low=plan.low,
            side=plan.side,
            shade=data_url(shade_picture(plan), "PNG"),
            scale=scale_length(plan.side),
            keep=kept,
            add=[stop(view) for view in memory.views[kept:]],
        )

    def _say(self, what: str, **config: Any) -> None:
        if self._said.get(what) != config:
            self._said[what] = config
            self._call(f"overlay.{what}", **config)


def legend(title: str, painted: Painted) -> dict[str, Any]:
    """Title, bar as CSS colours, its ends, and the sentences of a legend."""
    low, high = painted.ends
    bar: list[str] = []
    if painted.bar is not None:
        colors = painted.bar[0][np.linspace(0, 255, BAR_STOPS).astype(int)]
        bar = [css(color) for color in colors]
    name = TITLES.get(title, title)
    return {
        "title": name,
        "bar": bar,
        "low": low,
        "high": high,
        "text": painted.legend.split(" · "),
    }


def stop(view: View) -> list[float]:
    """x and z of a view's camera, and of the two directions that bound its picture."""
    camera = view.camera
    half = float(np.tan(camera.fov[1] / 2))
    sides = np.array([[-half, 0, 1], [half, 0, 1]]) @ camera.c2w[:3, :3].T
    rows: F64 = np.concatenate([above(camera.position), above(sides[0]), above(sides[1])])
    return rows.round(4).tolist()


def shade_picture(plan: Plan) -> U8:
    """(CELLS, CELLS, 2) u8 grey and alpha: white where surfaces are, else clear; z upwards."""
    alpha = (plan.shade[::-1] * SHADE).astype(np.uint8)
    return np.stack([np.full_like(alpha, 255), alpha], axis=-1)
