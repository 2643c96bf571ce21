"""Pictures and clips in a real browser: what is seen comes as a file, pixel by pixel."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Download, Page

from shaders import load
from viewer.first_person.picture import SCRIPTS, SHADERS

pytestmark = pytest.mark.browser

SETUP = """() => {
  document.body.style.margin = 0;
  document.body.innerHTML = `<div style="position:relative;width:160px;height:90px">
    <canvas id="scene" width="160" height="90" style="position:absolute"></canvas>
    <canvas id="walker" width="80" height="90" style="position:absolute;left:80px"></canvas></div>`;
  const fill = (id, color) => {
    const canvas = document.getElementById(id);
    const gl = canvas.getContext("webgl2"); // drawn anew for every picture, as ours is
    gl.clearColor(...color, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    return canvas;
  };
  window.color = [0, 0, 1];
  window.asked = [];
  window.seen = (full) => {
    window.asked.push(full);
    return [fill("scene", [1, 0, 0]), fill("walker", window.color)];
  };
  window.capture = new Capture(document.querySelector("div"), window.seen);
  (function frame(now = 0) {
    if (capture.wants(now)) capture.frame(now, seen(false));
    requestAnimationFrame(frame);
  })();
}"""
DOT = "() => document.querySelector('[data-vmem=capture]').innerText"


@pytest.fixture(scope="module")
def stage(browser: Browser) -> Iterator[Page]:
    """A page with the scene on the left, red, and the walker's picture on the right of it, blue."""
    page = browser.new_page(viewport={"width": 200, "height": 120})
    page.add_script_tag(content="\n".join(map(load, SCRIPTS)))
    page.evaluate(SETUP)
    yield page
    page.close()


def content(download: Download) -> bytes:
    return Path(download.path()).read_bytes()


def frames_of(download: Download, tmp_path: Path) -> np.ndarray:
    """(T, H, W, 3) u8 of a clip, read by FFmpeg."""
    path = tmp_path / download.suggested_filename
    download.save_as(path)
    with av.open(str(path)) as clip:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)])


def test_a_picture_is_what_is_seen_in_full_resolution(stage: Page) -> None:
    with stage.expect_download() as saved:
        stage.evaluate("() => { asked = []; return capture.screenshot(); }")
    assert re.fullmatch(r"vmem-\d{8}-\d{6}\.png", saved.value.suggested_filename)
    picture = np.asarray(Image.open(io.BytesIO(content(saved.value))).convert("RGB"))
    assert picture.shape == (90, 160, 3)
    assert (picture[:, :80] == (255, 0, 0)).all()
    assert (picture[:, 80:] == (0, 0, 255)).all()
    assert stage.evaluate("() => asked") == [True]


def test_a_clip_holds_what_is_seen_until_it_is_ended(stage: Page, tmp_path: Path) -> None:
    stage.evaluate("() => capture.record()")
    stage.wait_for_function(f"() => ({DOT})() === '● 0:00'")
    stage.wait_for_timeout(400)
    stage.evaluate("() => { window.color = [0, 1, 0]; }")
    stage.wait_for_function(f"() => ({DOT})() === '● 0:01'")
    with stage.expect_download() as saved:
        stage.evaluate("() => capture.record()")
    assert re.fullmatch(r"vmem-\d{8}-\d{6}\.(mp4|webm)", saved.value.suggested_filename)
    frames = frames_of(saved.value, tmp_path)
    assert frames.shape[1:] == (90, 160, 3)
    left, right = frames[:, 45, 40].astype(int), frames[:, 45, 120].astype(int)
    assert (np.abs(left - (255, 0, 0)) < 40).all()
    assert (np.abs(right[0] - (0, 0, 255)) < 40).all()
    assert (np.abs(right[-1] - (0, 255, 0)) < 40).all()
    stage.wait_for_function(f"() => ({DOT})().startsWith('saved vmem-')")


def test_a_hidden_tab_ends_the_clip_and_keeps_it(stage: Page, tmp_path: Path) -> None:
    stage.evaluate("() => capture.record()")
    stage.wait_for_timeout(300)
    with stage.expect_download() as saved:
        stage.evaluate(
            """() => {
              Object.defineProperty(document, "hidden", { value: true, configurable: true });
              document.dispatchEvent(new Event("visibilitychange"));
              delete document.hidden;
            }"""
        )
    assert len(frames_of(saved.value, tmp_path)) > 0
    assert stage.evaluate("() => [capture.recorder, capture.wants(1e12)]") == [None, False]


def test_a_browser_that_records_nothing_says_so(stage: Page) -> None:
    said = stage.evaluate(
        f"""() => {{
          const real = window.MediaRecorder;
          delete window.MediaRecorder;
          capture.record();
          window.MediaRecorder = real;
          return ({DOT})();
        }}"""
    )
    assert said == "this browser records no video"


def test_where_nothing_is_seen_nothing_is_saved(stage: Page) -> None:
    stage.evaluate("() => { capture.seen = () => []; return capture.screenshot(); }")
    assert stage.evaluate(DOT) == "nothing to save yet"
    stage.evaluate("() => capture.record()")
    assert stage.evaluate(DOT) == "nothing to record yet"
    stage.evaluate("() => { capture.seen = seen; }")


def test_hints_are_seen_until_the_first_move(stage: Page) -> None:
    got = stage.evaluate(
        """() => {
          const texts = { keys: "W walks", touch: "stick" };
          window.hints = new Hints(document.querySelector("div"), texts);
          const seen = () => hints.line.checkVisibility() && +hints.line.style.opacity > 0;
          const states = [seen(), hints.line.textContent];
          hints.moved();
          states.push(seen());
          return states;
        }"""
    )
    assert got == [True, "W walks", False]


def test_the_walkers_picture_is_saved_finer_than_it_is_drawn_and_the_scene_where_it_is_seen(
    stage: Page,
) -> None:
    sources = {name: load(file) for name, file in SHADERS.items()}
    sizes = []
    for layout in ("picture", "memory"):
        with stage.expect_download() as saved:
            stage.evaluate(
                """async ([layout, sources]) => {
                  const canvas = document.getElementById("scene");
                  const canvas2d = document.getElementById("walker");
                  window.__viserMutable = { canvas, canvas2d, sendMessage() {} };
                  const config = { channel: "", cell: 0.1, narrow: 0, css: "" };
                  const hints = { keys: "", touch: "" };
                  window.fp = new FirstPerson({ ...config, sources, hints });
                  fp.show({ layout });
                  fp.resolution.level = 0;
                  fp.draw(0);
                  window.drawn = [fp.canvas.width, fp.canvas.height];
                  seen(false); // viser keeps what it has drawn; the stage does not
                  fp.screenshot({});
                }""",
                [layout, sources],
            )
        picture = np.asarray(Image.open(io.BytesIO(content(saved.value))).convert("RGB"))
        sizes.append((stage.evaluate("() => drawn"), picture.shape[:2]))
        stage.evaluate("() => { fp.dispose(); delete window.__viserMutable; }")
    assert sizes[0] == ([56, 31], (90, 160))
    assert sizes[1][1] == (90, 160)
    assert (picture[45, 40] == (255, 0, 0)).all(), "the scene's own pixels"
