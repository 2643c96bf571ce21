"""The panorama behind the picture, and the flat photo before there is a picture, as a page of the
scripts alone draws them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from shaders import load
from viewer.first_person.backdrop import DIM, Backdrop, make_backdrop, panorama_position
from viewer.first_person.opening import flat_view
from viewer.first_person.picture import SCRIPTS, SHADERS
from viewer.first_person.reports import pose_of
from viewer.first_person.view_file import view_file
from vmem.arrays import F64, U8
from vmem.cameras import Camera, default_K, rotation_x
from vmem.formats.photos import ASSETS, load_photo
from vmem.types import View

pytestmark = pytest.mark.browser

SIDE = 96
FOV = 0.94
WIDE, TALL = (320, 180), (117, 247)
TURN = np.radians(30)
LEAST = 60
"""Brightness of the darkest pixels of the photos."""
SETUP = """(sources) => {
  document.body.innerHTML = "<div><div><canvas></canvas></div><canvas></canvas></div>";
  const [canvas, canvas2d] = document.querySelectorAll("canvas");
  window.__viserMutable = { canvas, canvas2d, sendMessage: () => {} };
  window.requestAnimationFrame = () => 0; // drawn when a test says so
  const hints = { keys: "", touch: "" };
  window.first = new FirstPerson({ channel: "", sources, cell: 0.1, narrow: 0, hints, css: "" });
  window.content = (text) => "data:application/octet-stream;base64," + text;
}"""
DRAW = """([width, height, position, yaw, pitch, now]) => {
  first.picture.resize(width, height);
  Object.assign(first.walker, { position, yaw, pitch });
  first.picture.draw(first.walker.eye, FOV, MOST_VIEWS, now);
  return first.canvas.toDataURL("image/png");
}"""
LATER = 1e9


@pytest.fixture(scope="module")
def blank(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 200, "height": 100})
    page.add_script_tag(content="\n".join(map(load, SCRIPTS)))
    page.evaluate(SETUP, {name: load(file) for name, file in SHADERS.items()})
    yield page
    page.close()


def sample(name: str, pitch: float) -> View:
    """A sample at the origin, everything two units ahead. What is black in it is lifted, so that
    black is only what nothing is drawn on."""
    c2w = np.eye(4)
    c2w[:3, :3] = rotation_x(pitch)
    camera = Camera(c2w, default_K((SIDE, SIDE)), (SIDE, SIDE))
    depth = np.full((SIDE, SIDE), 2.0, np.float32)
    rgb = LEAST + load_photo(ASSETS / name, SIDE).rgb // 4 * 3
    return View(rgb, camera, 0, depth, np.ones_like(depth))


INDOORS, OUTDOORS = sample("hotel_room.jpg", -0.2), sample("garden_path.jpg", 0.0)


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def begun(page: Page, view: View | None, backdrop: Backdrop | None) -> None:
    """Give the page that view, or none, and that backdrop, in place of what it has."""
    page.evaluate("() => first.views({ add: [], clear: true })")
    if view is not None:
        show(page, view)
    page.evaluate("() => first.backdrop({ address: null })")
    if backdrop is not None:
        place = {"centre": backdrop.centre.tolist(), "radius": backdrop.radius}
        page.evaluate(
            "([text, place]) => first.backdrop({ address: content(text), ...place })",
            [text(backdrop.jpeg()), place],
        )


def show(page: Page, view: View) -> None:
    c2w = view.camera.c2w
    page.evaluate(
        "([text, from, ahead]) => first.views({ add: [['photo', content(text), from, ahead]] })",
        [text(view_file(view)), c2w[:3, 3].tolist(), c2w[:3, 2].tolist()],
    )
    page.wait_for_function("() => first.picture.views.has('photo')")


def drawn(
    page: Page,
    size: tuple[int, int],
    yaw: float = 0.0,
    pitch: float = 0.0,
    position: tuple[float, float, float] = (0, 0, 0),
    now: float = LATER,
) -> U8:
    """(height, width, 3) of the picture of a walker."""
    data = page.evaluate(DRAW, [*size, list(position), yaw, pitch, now])
    content = base64.b64decode(data.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def directions(size: tuple[int, int], yaw: float, pitch: float) -> F64:
    """(height, width, 3) unit vectors of the walker's looks."""
    w, h = size
    column, row = np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5)
    focal = h / 2 / np.tan(FOV / 2)
    rays = np.stack([(column - w / 2) / focal, (row - h / 2) / focal, np.ones((h, w))], axis=-1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    return rays @ pose_of(np.zeros(3), yaw, pitch)[:3, :3].T


def expected(backdrop: Backdrop, looks: F64) -> F64:
    """(H, W, 3) colours of the panorama where looks from its centre meet it."""
    h, w = backdrop.rgb.shape[:2]
    closed = np.concatenate([backdrop.rgb[:, -1:], backdrop.rgb, backdrop.rgb[:, :1]], axis=1)
    place = panorama_position(looks.reshape(-1, 3)).reshape(*looks.shape[:2], 2)
    column, row = (place * (w, h) + (0.5, -0.5)).astype(np.float32).transpose(2, 0, 1)
    return cv2.remap(closed, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(
        float
    )


@pytest.fixture(scope="module")
def indoors() -> Backdrop:
    return make_backdrop(INDOORS, 0, (256, 512))


@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (2.0, 0.5), (np.pi, -1.3), (-1.0, 1.4)])
def test_every_look_shows_the_panorama_where_python_says(
    blank: Page, yaw: float, pitch: float
) -> None:
    """With few pixels, so that those in between are seen too, above all where it closes."""
    gray = np.random.default_rng(0).integers(0, 255, (8, 16, 1)).astype(np.uint8)
    made = Backdrop(gray.repeat(3, axis=2), np.zeros(3), 1.0)
    sent = np.asarray(Image.open(io.BytesIO(made.jpeg())))
    begun(blank, None, made)
    seen = drawn(blank, WIDE, yaw, pitch)
    off = np.abs(seen - expected(Backdrop(sent, np.zeros(3), 1.0), directions(WIDE, yaw, pitch)))
    assert off.mean() < 1.5
    assert np.quantile(off, 0.99) < 8


def test_the_panorama_lies_on_a_sphere_around_the_first_camera(
    blank: Page, indoors: Backdrop
) -> None:
    begun(blank, None, indoors)
    at = np.array([0.3, -0.1, 0.2])
    seen = drawn(blank, WIDE, 0.4, 0.1, tuple(at))
    looks = directions(WIDE, 0.4, 0.1)
    share = np.linalg.norm(at) / indoors.radius / 0.6
    start = at / indoors.radius * np.tanh(share) / share
    along = looks @ start
    met = start + looks * (np.sqrt(along**2 + 1 - start @ start) - along)[..., None]
    off = np.abs(seen - expected(indoors, met))
    assert off.mean() < 1.5
    assert np.abs(seen - expected(indoors, looks)).mean() > 2 * off.mean()
    # However far he goes, he does not leave it.
    assert drawn(blank, WIDE, 0, 0, (0, 0, 900)).max(axis=2).mean() > 30


@pytest.mark.parametrize("view", [INDOORS, OUTDOORS], ids=["indoors", "outdoors"])
@pytest.mark.parametrize("size", [WIDE, TALL], ids=["wide", "tall"])
def test_nothing_is_black_near_the_photos_pose(
    blank: Page, view: View, size: tuple[int, int]
) -> None:
    begun(blank, view, make_backdrop(view, 0, (256, 512)))
    down = float(np.arcsin(view.camera.c2w[1, 2]))
    for yaw, pitch in ((0, 0), (-TURN, 0), (TURN, 0), (0, -TURN), (0, TURN)):
        seen = drawn(blank, size, yaw, down + pitch)
        assert seen.max(axis=2).min() > DIM * LEAST, (yaw, pitch)


@pytest.mark.parametrize("view", [INDOORS, OUTDOORS], ids=["indoors", "outdoors"])
def test_no_seam_is_seen_around_the_photo(blank: Page, view: View) -> None:
    """Across its left and right border colours change no more than they do within it."""
    begun(blank, view, make_backdrop(view, 0, (256, 512)))
    seen = drawn(blank, WIDE, 0, float(np.arcsin(view.camera.c2w[1, 2]))).astype(float)
    left = round(WIDE[0] / 2 - WIDE[1] / 2)
    steps = np.abs(np.diff(seen, axis=1)).mean(axis=(0, 2))
    outside, inside = 8, 6
    within = np.quantile(steps[left + inside : -left - inside], 0.95)
    assert steps[left - outside : left + inside].max() < within
    assert steps[-left - inside : -left + outside].max() < within


def test_without_a_backdrop_views_end_sharply_and_then_it_fades_in(
    blank: Page, indoors: Backdrop
) -> None:
    begun(blank, OUTDOORS, None)
    bare = drawn(blank, WIDE)
    assert (bare[:, :60] == bare[0, 0]).all()
    assert bare[0, 0].max() < 20
    left = round(WIDE[0] / 2 - WIDE[1] / 2)
    assert psnr(bare[:, left + 1 : left + 10], photo_as_seen(OUTDOORS)[:, 1:10]) > 20
    begun(blank, OUTDOORS, indoors)
    born = blank.evaluate("() => first.picture.backdrop.born")
    levels = [drawn(blank, WIDE, now=born + t)[:, :40].mean() for t in (0, 200, 400, 600)]
    assert (np.diff(levels) > 5).all()
    assert levels[0] == pytest.approx(bare[:, :40].mean(), abs=1)


def photo_as_seen(view: View) -> U8:
    photo = Image.fromarray(view.rgb).resize((WIDE[1], WIDE[1]), Image.Resampling.BILINEAR)
    return np.asarray(photo)


def psnr(one: Any, other: Any) -> float:
    return float(-10 * np.log10(np.mean((one / 255.0 - other / 255.0) ** 2) + 1e-9))


def test_the_photo_is_flat_at_once_and_the_first_view_takes_its_place(blank: Page) -> None:
    begun(blank, None, None)
    photo, left = OUTDOORS.rgb, round(WIDE[0] / 2 - WIDE[1] / 2)
    blank.evaluate("(text) => first.opening({ address: content(text) })", text(flat_view(photo)))
    flat = drawn(blank, WIDE, now=0)
    assert psnr(flat[3:-3, left + 3 : -left - 3], photo_as_seen(OUTDOORS)[3:-3, 3:-3]) > 24
    # Its camera looks up, as is known once there is geometry: photo and walker turn together.
    c2w = np.eye(4)
    c2w[:3, :3] = rotation_x(0.2)
    camera = Camera(c2w, OUTDOORS.camera.K, (SIDE, SIDE))
    uneven = 2 + np.sin(np.arange(SIDE * SIDE).reshape(SIDE, SIDE) / 900).astype(np.float32)
    view = View(photo, camera, 0, uneven, OUTDOORS.confidence)
    up = float(np.arcsin(c2w[1, 2]))
    blank.evaluate("(c2w) => first.opened({ c2w })", c2w.T.ravel().tolist())
    assert psnr(drawn(blank, WIDE, 0, up, now=0), flat) > 35
    show(blank, view)
    assert psnr(drawn(blank, WIDE, 0, up, now=0), flat) > 30, "it does not fade in"
    assert blank.evaluate("() => [...first.picture.views.keys()]") == ["photo"]


def test_what_comes_too_late_is_not_shown(blank: Page) -> None:
    begun(blank, None, None)
    late = blank.evaluate(
        """async ([photo, panorama]) => {
          const both = [
            first.opening({ address: content(photo) }),
            first.backdrop({ address: content(panorama), centre: [0, 0, 0], radius: 1 }),
          ];
          first.opened({ c2w: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1] });
          first.backdrop({ address: null });
          await Promise.all(both);
          return [first.picture.views.size, first.picture.backdrop.born === Infinity];
        }""",
        [text(flat_view(OUTDOORS.rgb)), text(Backdrop(OUTDOORS.rgb, np.zeros(3), 1.0).jpeg())],
    )
    assert late == [0, True]
