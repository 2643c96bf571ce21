"""Holding a key in the whole program: views a second, and how long each takes to be seen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._metrics import Metric, Row, measured
from viewer.server.app import App
from viewer.server.config import ViewerConfig
from vmem.cameras import Camera

WINDOW = {"width": 1280, "height": 720}
SECONDS = 4.0
"""For which each key is held: on and on where the photo is deep, else to the wall and back."""
KEYS = ("w", "s", "ArrowRight")
SETTLED = 6.0
"""Seconds in which the backdrop is made."""
WATCH = """() => {
  const page = window.__vmemFirstPerson;
  window.seen = [];
  let come = [];
  const { add } = page.picture;
  page.picture.add = function (view) {
    add.call(this, view);
    come.push(view.c2w.slice(12, 15));
  };
  const { draw } = page;
  page.draw = function (...how) {
    draw.apply(this, how);
    const drawn = come;
    come = [];
    // What is drawn in one frame is on the screen in the next.
    if (drawn.length) requestAnimationFrame(() => {
      const now = performance.timeOrigin + performance.now();
      for (const place of drawn) seen.push([place, now]);
    });
  };
}"""

METRICS = (
    Metric("first_person.hold.*.views_a_second", "1/s", "higher", tolerance=0.3, optional=True),
    Metric("first_person.hold.*.to_seen_ms", "ms", tolerance=0.5, optional=True),
    Metric("first_person.hold.*.to_seen_p95_ms", "ms", tolerance=0.5, optional=True),
)


def run(chromium: Any, photo: Path, size: int) -> Iterator[Row]:
    """Rows of one visit in which each of KEYS is held; the page in layout picture."""
    config = ViewerConfig(photo, "preview", size=size, layout="picture", open=False, save=False)
    app = App(config)
    try:
        page = chromium.new_page(viewport=WINDOW)
        page.goto(app.url)
        page.wait_for_function(
            "() => window.__vmemFirstPerson?.picture.views.size > 0", timeout=60_000
        )
        page.wait_for_timeout(1000 * SETTLED)
        client = app.clients[0]
        asked: list[tuple[np.ndarray, float]] = []
        make = client.workspace.make_views

        def made(camera: Camera, stretch: str) -> None:
            asked.append((camera.position, 1000 * time.time()))
            make(camera, stretch)

        client.workspace.make_views = made
        page.evaluate(WATCH)
        for key in KEYS:
            asked.clear()
            page.evaluate("() => { window.seen = []; }")
            page.keyboard.down(key)
            page.wait_for_timeout(1000 * SECONDS)
            page.keyboard.up(key)
            page.wait_for_timeout(1500)
            yield from _rows(key, asked, page.evaluate("() => seen"))
        page.close()
    finally:
        app.close()


def _rows(
    key: str, asked: list[tuple[np.ndarray, float]], seen: list[tuple[list[float], float]]
) -> Iterator[Row]:
    waits = []
    for place, at in asked:
        times = [t for p, t in seen if np.allclose(p, place, atol=1e-4) and t > at]
        if times:
            waits.append(min(times) - at)
    yield measured(f"first_person.hold.{key}.views_a_second", len(waits) / SECONDS)
    if waits:
        yield measured(f"first_person.hold.{key}.to_seen_ms", float(np.median(waits)))
        yield measured(f"first_person.hold.{key}.to_seen_p95_ms", float(np.percentile(waits, 95)))
