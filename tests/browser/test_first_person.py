"""The first-person picture's scripts in a real browser, without viser: files read back, walls kept
clear of, views drawn where they belong."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from playwright.sync_api import Browser, Page

import vmem
from shaders import load
from viewer.first_person.depth_mesh import depth_mesh, triangles
from viewer.first_person.solids import solid_points
from viewer.first_person.view_file import view_file
from vmem.session import Session

pytestmark = pytest.mark.browser

SCRIPTS = ("mesh.js", "picture.js", "walker.js")
SHADERS = {
    "warpVertex": "warp.vert.glsl",
    "depthFragment": "depth.frag.glsl",
    "warpFragment": "warp.frag.glsl",
    "screenVertex": "screen.vert.glsl",
    "screenFragment": "screen.frag.glsl",
}
SIDE = 192
READ = "(text) => readViewFile(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer)"
SETUP = """(config) => {
  document.body.style.margin = 0;
  document.body.innerHTML = "<canvas style='width:100vw;height:100vh;display:block'></canvas>";
  window.picture = new Picture(document.querySelector("canvas"), config.shaders);
  picture.resize(config.side, config.side);
  window.walker = new Walker();
}"""


@pytest.fixture(scope="module")
def blank(browser: Browser) -> Iterator[Page]:
    """A page with the scripts and a square canvas, and nothing else."""
    page = browser.new_page(viewport={"width": SIDE, "height": SIDE})
    page.add_script_tag(content="\n".join(map(load, SCRIPTS)))
    shaders = {name: load(file) for name, file in SHADERS.items()}
    page.evaluate(SETUP, {"shaders": shaders, "side": SIDE})
    yield page
    page.close()


@pytest.fixture(scope="module")
def walked() -> Session:
    """Two steps into the exact procedural scene."""
    session = vmem.open(None, backend="world", seed=0, size=SIDE)
    for _ in session.walk("w a"):
        pass
    return session


def drawn(page: Page, draw: str) -> np.ndarray:
    """(SIDE, SIDE, 3) u8 of what a call draws, read back in the same turn of the page."""
    data = page.evaluate(f"() => {{ {draw}; return picture.canvas.toDataURL('image/png'); }}")
    content = base64.b64decode(data.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((one / 255.0 - other / 255.0) ** 2)))


def sent(page: Page, session: Session, views: list[int]) -> None:
    """Give the page some views, in place of those that it has."""
    page.evaluate("() => [...picture.views.keys()].forEach((id) => picture.remove(id))")
    for view in views:
        text = base64.b64encode(view_file(session.memory.views[view])).decode()
        page.evaluate(f"async (text) => picture.add(await ({READ})(text), -1e9)", text)


def test_a_file_is_read_back_as_it_was_written(blank: Page, walked: Session) -> None:
    view = walked.memory.views[-1]
    content = view_file(view)
    assert len(content) < 14_000
    got: Any = blank.evaluate(
        f"async (text) => {{ const v = await ({READ})(text); return [v.id, v.K, v.c2w, "
        "[...v.mesh.vertices], [...v.mesh.indices], v.picture.width]; }",
        base64.b64encode(content).decode(),
    )
    mesh = depth_mesh(np.asarray(view.depth))
    vertices = np.array(got[3]).reshape(-1, 4)
    rows, columns = np.nonzero(mesh.used)
    last = len(mesh.used) - 1
    assert_allclose(vertices[:, :2], np.column_stack([columns, rows]) / last, atol=1e-6)
    assert_allclose(vertices[:, 2], mesh.inverse, atol=mesh.inverse.max() / 65535)
    assert_allclose(vertices[:, 3], np.minimum(mesh.bend * 500, 255) / 255, atol=1 / 255)
    number = np.cumsum(mesh.used.ravel()) - 1
    wanted = number[triangles(mesh.used)]
    made = np.array(got[4]).reshape(-1, 3)
    assert_array_equal(np.sort(made, 0), np.sort(wanted, 0))
    assert got[0] == f"{view.id.node}.{view.id.number}" if view.id else None
    assert_allclose(np.array(got[2]).reshape(4, 4).T, view.camera.c2w)
    assert got[5] == SIDE


def test_at_a_views_own_place_it_is_that_view(blank: Page, walked: Session) -> None:
    sent(blank, walked, [0])
    fov = walked.memory.views[0].camera.fov[0]
    blank.evaluate("() => Object.assign(walker, {position: [0, 0, 0], yaw: 0, pitch: 0})")
    seen = drawn(blank, f"picture.draw(walker.eye, {fov}, 4, 0)")
    inside = slice(3, -3)
    assert psnr(seen[inside, inside], walked.memory.views[0].rgb[inside, inside]) > 30


def test_between_two_views_it_is_near_to_the_truth(blank: Page, walked: Session) -> None:
    """Half a step from the photo, drawn from the photo and the views of the step."""
    sent(blank, walked, [0, 1, 2, 3, 4])
    views = walked.memory.views
    blank.evaluate(
        "(place) => Object.assign(walker, {position: place, yaw: 0, pitch: 0})",
        list(views[2].camera.position),
    )
    seen = drawn(blank, f"picture.draw(walker.eye, {views[2].camera.fov[0]}, 4, 0)")
    middle = slice(SIDE // 8, -SIDE // 8)
    assert psnr(seen[middle, middle], views[2].rgb[middle, middle]) > 26


def test_the_walker_keeps_clear_of_walls_and_slides(blank: Page, walked: Session) -> None:
    """Random pushes for many frames: never nearer than the clearance, but not stuck either."""
    points = solid_points(walked.memory.surfels.position, np.zeros((0, 3), np.float32))
    got: Any = blank.evaluate(
        """(flat) => {
          const solids = new Solids(0.1);
          solids.add(Float32Array.from(flat));
          const w = new Walker();
          let seed = 1;
          const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
          let wish, nearest = 9, gone = 0;
          for (let i = 0; i < 600; i++) {
            if (i % 60 === 0) {
              w.look(random() * 6, 0);
              wish = { ahead: 1, right: random() - 0.5, up: 0, turn: 0, tilt: 0, pace: 1 };
            }
            const before = w.position;
            w.advance(1 / 30, wish, solids, 0);
            gone += Math.hypot(...w.position.map((x, k) => x - before[k]));
            const met = solids.nearest(w.position, 0.5);
            if (met) nearest = Math.min(nearest, met[0]);
          }
          return [nearest, gone, w.position];
        }""",
        points.ravel().tolist(),
    )
    assert got[0] >= 0.1 - 1e-6
    assert got[1] > 1.0


def test_a_mouse_look_turns_about_the_eye(blank: Page) -> None:
    got: Any = blank.evaluate(
        """() => {
          const w = new Walker();
          w.position = [0.3, -0.1, 0.7];
          w.look(0.4, -0.2);
          w.look(7, 9);
          return [w.position, w.yaw, w.pitch, w.eye];
        }"""
    )
    assert got[0] == [0.3, -0.1, 0.7]
    assert -np.pi <= got[1] <= np.pi
    assert got[2] == 1.4
    axes = np.array([got[3][axis] for axis in ("right", "down", "ahead")])
    assert_allclose(axes @ axes.T, np.eye(3), atol=1e-9)
    assert_allclose(np.cross(axes[0], axes[1]), axes[2], atol=1e-9)


def test_home_is_reached_smoothly_and_exactly(blank: Page) -> None:
    got: Any = blank.evaluate(
        """() => {
          const w = new Walker(), rest = { ahead: 0, right: 0, up: 0, turn: 0, tilt: 0, pace: 1 };
          w.place({ position: [1, 0, 2], yaw: 3, pitch: 0.5 }, 0, 0);
          w.place({ position: [0, 0, 0], yaw: -3, pitch: 0 }, 1, 0);
          const places = [];
          for (let t = 0; t <= 1100; t += 100) {
            w.advance(0.1, rest, null, t);
            places.push([...w.position, w.yaw]);
          }
          return [places, w.glide];
        }"""
    )
    places = np.array(got[0])
    assert_allclose(places[-1, :3], 0)
    assert_allclose(places[-1, 3], -3)
    assert np.abs(np.diff(places[:, 2])).max() < 0.4
    assert np.abs(places[:, 3]).min() > 2.9  # the short way round, through pi
    assert got[1] is None
