"""Holding W for ten seconds in every sample, and in the world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

from tests.support.walking import until
from viewer.server.app import App, ViewerConfig
from vmem.formats.photos import samples
from vmem.session.refusal import BLACK, FLAT_LEVELS, FLAT_SHARE

pytestmark = pytest.mark.browser

SECONDS = 10
SCENES = {"world": None} | {sample.path.stem: sample.path for sample in samples()}
WATCH = """() => {
  const page = window.__vmemFirstPerson;
  const { frame } = page;
  window.nearest = [];
  page.frame = function (now) {
    frame.call(this, now);
    nearest.push(this.solids_.nearest(this.walker.position, 1)?.[0] ?? 1);
  };
}"""


@pytest.mark.every  # ten seconds a scene; test_walking.py walks up to a wall
@pytest.mark.parametrize("name", SCENES)
def test_w_is_held(name: str, page: Page) -> None:
    """He never comes nearer to a surface than he may, no black or flat frame is stored, nothing
    waits in a queue, and memory grows with the way that he walked."""
    photo: Path | None = SCENES[name]
    backend = "world" if photo is None else "preview"
    app = App(ViewerConfig(photo=photo, backend=backend, size=144, layout="picture", open=False))
    try:
        page.set_viewport_size({"width": 900, "height": 600})
        page.goto(app.url)
        until(page, lambda: app.clients and app.clients[0].workspace.session is not None)
        page.wait_for_function("() => window.__vmemFirstPerson?.picture.views.size > 0")
        page.wait_for_timeout(3000)
        workspace = app.clients[0].workspace
        page.evaluate(WATCH)
        waiting = 0
        page.keyboard.down("w")
        for _ in range(10 * SECONDS):
            page.wait_for_timeout(100)
            waiting = max(waiting, workspace.worker.waiting)
        page.keyboard.up("w")
        until(page, lambda: not workspace.worker.busy)
        session = workspace.session
        assert session is not None
        memory = session.memory
        assert waiting <= 1
        assert len(page.evaluate("() => nearest")) > 20
        began = page.evaluate("() => nearest[0]")
        clear = page.evaluate("() => window.__vmemFirstPerson.walker.clearance")
        assert page.evaluate("() => Math.min(...nearest)") > min(0.98 * clear, began)
        assert len(memory.views) > 3
        for view in memory.views[1:]:
            pixels = view.rgb.reshape(-1, 3).astype(int)
            colour = np.median(pixels, axis=0)
            flat = (np.abs(pixels - colour).max(axis=1) <= FLAT_LEVELS).mean()
            assert flat < FLAT_SHARE, (view, colour)
            assert (pixels.max(axis=1) > BLACK).mean() > 0.05, view
        poses = memory.poses[1:, :3, 3]
        way = np.linalg.norm(np.diff(poses, axis=0), axis=1).sum()
        assert len(memory.views) < 10 + 25 * way
    finally:
        app.close()
