"""What a frame costs the page: WebGL draw calls with 500 views, in a headless Chromium.

``page.500views.draw_calls`` is of the scene with frustums, pictures and path of 500 views, and no
surfels: they cost one a chunk. Without a Chromium there is nothing to measure, and no rows.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace

import numpy as np
import viser

from benchmarks._metrics import Metric, Row, measured
from benchmarks._scenes import memory_of, stroll
from benchmarks.pointer import ARGUMENTS, CHROMIUM
from viewer.scene.scene import SceneView
from viewer.settings import SceneOptions
from vmem.types import Surfels

VIEWS = 500
FRAMES = 20
COUNT = """
window.__draws = 0;
for (const name of Object.getOwnPropertyNames(WebGL2RenderingContext.prototype)) {
  if (!/^(draw(Arrays|Elements)|drawRange)/.test(name)) continue;
  const draw = WebGL2RenderingContext.prototype[name];
  WebGL2RenderingContext.prototype[name] = function (...given) {
    window.__draws += 1;
    return draw.apply(this, given);
  };
}"""
DRAWS = """async (frames) => {
  const { scene, requestRender } = window.__viserMutable;
  const [drawn, before] = [[], scene.onAfterRender];
  let start = window.__draws;
  scene.onAfterRender = function (...given) {
    before?.apply(this, given);
    drawn.push(window.__draws - start);
    start = window.__draws;
  };
  while (drawn.length < frames) {
    requestRender();
    await new Promise((go) => setTimeout(go, 50));
  }
  scene.onAfterRender = before;
  return drawn;
}"""

METRICS = (Metric("page.500views.draw_calls", "draw calls", optional=True),)


def run() -> Iterator[Row]:
    """Rows of output."""
    if not CHROMIUM.exists():
        return
    from playwright.sync_api import sync_playwright

    with redirect_stdout(io.StringIO()):
        server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
            page = chromium.new_page()
            page.add_init_script(COUNT)
            page.goto(f"http://127.0.0.1:{server.get_port()}/?fixedDpr=1")
            page.wait_for_function("() => window.__viserMutable?.cameraControl")
            while not server.get_clients():
                time.sleep(0.02)
            _show(next(iter(server.get_clients().values())))
            page.wait_for_timeout(8_000)
            drawn = page.evaluate(DRAWS, FRAMES)
            chromium.close()
    finally:
        with redirect_stdout(io.StringIO()):
            server.stop()
    yield measured("page.500views.draw_calls", float(np.median(drawn)))


def _show(client: viser.ClientHandle) -> None:
    """A walk of VIEWS views, seen from above."""
    memory = memory_of(_nothing(), stroll(VIEWS))
    rng = np.random.default_rng(0)
    views = [replace(v, rgb=rng.integers(0, 256, (36, 64, 3), np.uint8)) for v in memory.views]
    SceneView(client.scene, SceneOptions()).show_memory(replace(memory, views=tuple(views)), None)
    with client.atomic():
        client.camera.up_direction = (0.0, 0.0, 1.0)
        client.camera.position, client.camera.look_at = (0.0, -12.0, 0.0), (0.0, 0.0, 0.0)


def _nothing() -> Surfels:
    empty = np.zeros((0, 3), np.float32)
    return Surfels(empty, empty, np.zeros(0, np.float32), np.zeros((0, 3), np.uint8))
