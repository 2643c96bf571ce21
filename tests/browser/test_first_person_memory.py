"""Memory over the walker's picture, in a real browser without viser: the real files, fetched from
where the viewer would serve them; tints, legend, chosen views and map as pixels and DOM."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image
from playwright.sync_api import Browser, Page, Route

import vmem
from shaders import load
from tests.support.walking import until
from viewer.first_person.heat import PictureHeat
from viewer.first_person.overlay import PictureOverlay
from viewer.first_person.picture import SCRIPTS, SHADERS
from viewer.first_person.view_file import view_file
from viewer.page.files import Files
from viewer.page.html import VARIABLES
from viewer.paint.palette import AMBER, INVENTED, css
from viewer.paint.surfel_colors import Painted, paint_surfels
from vmem.cameras import Cameras
from vmem.memory import MemorySnapshot
from vmem.retrieval import retrieve
from vmem.types import Retrieval

pytestmark = pytest.mark.browser

SIDE = 160
HOST = "http://viewer.test"
SETUP = """(config) => {
  for (const [name, color] of Object.entries(config.colors))
    document.documentElement.style.setProperty(`--vmem-${name}`, color);
  document.body.style.cssText = "margin:0;position:relative;height:100vh";
  document.body.innerHTML = "<canvas style='width:100%;height:100%;display:block'></canvas>";
  const canvas = document.querySelector("canvas");
  window.keys = [];
  window.addEventListener("keydown", (event) => keys.push(event.code));
  window.picture = new Picture(canvas, config.shaders);
  picture.resize(config.side, config.side);
}"""
FRESH = """(css) => {
  window.walker = new Walker();
  const changed = () => {};
  picture.backdrop.clear();
  window.fp?.overlay.dispose();
  window.fp = {
    heat: (picture.heat = new Heat(picture.gl, changed)),
    overlay: new Overlay(document.body, css, (id) => id, changed),
  };
}"""
DRAW = """(fov) => {
  picture.draw(walker.eye, fov, 4, 0);
  return picture.canvas.toDataURL("image/png");
}"""


class Shown:
    """A page with the picture and what lies over it, and the Python that talks to it."""

    def __init__(self, page: Page, memory: MemorySnapshot) -> None:
        self.page, self.files, self.whole = page, Files(), memory
        self.fetched: list[str] = []
        self.held: list[Callable[[], None]] | None = None
        """Answers that wait to be given; None: none does."""
        self.ids = {view: self._file_of(view) for view in memory.views}
        page.route(f"{HOST}/**", self._serve)
        page.goto(f"{HOST}/")
        page.add_script_tag(content="\n".join(load(name) for name in SCRIPTS[:-1]))
        shaders = {name: load(file) for name, file in SHADERS.items()}
        colors = {name: css(color) for name, color in VARIABLES.items()}
        page.evaluate(SETUP, {"shaders": shaders, "side": SIDE, "colors": colors})
        self.reset()

    def reset(self) -> None:
        """Take away all that a test has laid over the picture."""
        self.page.set_viewport_size({"width": 900, "height": 500})
        self.page.evaluate(FRESH, load("overlay.css"))
        self.heat = PictureHeat(self.files, self.call)
        self.overlay = PictureOverlay(self.call)
        self.shows(self.whole)
        self.fetched.clear()

    def _file_of(self, view: Any) -> str:
        return self.files.add(lambda: view_file(view))

    def _serve(self, route: Route) -> None:
        path = route.request.url.removeprefix(HOST).partition("?")[0]
        self.fetched.append(path)
        content = self.files.content(path)
        if self.held is not None and content is not None:
            self.held.append(lambda: route.fulfill(body=content))
        elif path == "/":
            route.fulfill(body="<!doctype html>", content_type="text/html")
        elif content is None:
            route.fulfill(status=404)
        else:
            route.fulfill(body=content)

    def call(self, operation: str, **config: Any) -> None:
        self.page.evaluate(f"(config) => fp.{operation}(config)", config)

    def shows(self, memory: MemorySnapshot) -> None:
        """Give the picture its last view, and heat the whole memory."""
        self.memory = memory
        text = base64.b64encode(view_file(memory.views[-1])).decode()
        self.page.evaluate(
            """async ([id, text]) => {
              [...picture.views.keys()].forEach((other) => picture.remove(other));
              const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
              picture.add({ ...(await readViewFile(bytes.buffer)), id }, -1e9);
            }""",
            [self.ids[memory.views[-1]], text],
        )
        self.heat.show_memory(memory, self.ids.__getitem__)
        camera = memory.views[-1].camera
        x, _, z = camera.c2w[:3, 2]
        place = [camera.position.tolist(), float(np.arctan2(x, z))]
        self.page.evaluate("([p, yaw]) => Object.assign(walker, {position: p, yaw})", place)

    def drawn(self) -> np.ndarray:
        """(SIDE, SIDE, 3) u8 of the last view from its own place."""
        fov = self.memory.views[-1].camera.fov[0]
        content = base64.b64decode(self.page.evaluate(DRAW, fov).partition(",")[2])
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))

    def settled(self) -> np.ndarray:
        """What is drawn once all that was asked for has come."""
        self.drawn()
        self.page.wait_for_function(
            """() => !fp.heat.fetching && !fp.heat.coming.size && (!fp.heat.on || (fp.heat.colors &&
              [...picture.views.keys()].every((id) => fp.heat.textureOf(id))))"""
        )
        return self.drawn()


@pytest.fixture(scope="module")
def walked() -> MemorySnapshot:
    """Two steps into the exact procedural scene."""
    session = vmem.open(None, backend="world", seed=0, size=96)
    for _ in session.walk("w a"):
        pass
    return session.memory


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 900, "height": 500})
    yield page
    page.close()


@pytest.fixture(scope="module")
def only_shown(page: Page, walked: MemorySnapshot) -> Shown:
    return Shown(page, walked)


@pytest.fixture
def shown(only_shown: Shown) -> Shown:
    """The one page, as at the beginning."""
    only_shown.reset()
    return only_shown


def even(memory: MemorySnapshot, color: np.ndarray, valued: np.ndarray | None = None) -> Painted:
    """All surfels in one colour."""
    colors = np.tile(np.asarray(color, np.uint8), (len(memory.surfels), 1))
    return Painted(colors, "one colour", valued=valued)


def tinted(photo: np.ndarray, color: np.ndarray | None) -> np.ndarray:
    """What a photograph (H, W, 3) in [0, 1] looks like under a colour (3,), or where there is no
    value."""
    light = photo @ [0.299, 0.587, 0.114]
    if color is None:
        return np.repeat(0.6 * light[..., None], 3, axis=-1)
    return 0.75 * color * (0.3 + 0.7 * light)[..., None] + 0.25 * light[..., None]


def test_a_pixel_takes_the_colour_of_its_surfel_in_the_photographs_light(
    shown: Shown, walked: MemorySnapshot
) -> None:
    photo = shown.settled() / 255
    inside = slice(8, -8)
    for color in (INVENTED, np.array([20, 90, 200], np.uint8)):
        shown.heat.show(even(walked, color))
        got = shown.settled()[inside, inside] / 255
        wanted = tinted(photo[inside, inside], color / 255)
        # At a few places memory holds no surfel.
        assert (np.abs(got - wanted).max(axis=-1) < 0.03).mean() > 0.95
    shown.heat.show(even(walked, INVENTED, valued=np.zeros(0, np.int32)))
    got = shown.settled()[inside, inside] / 255
    assert_allclose(got, tinted(photo[inside, inside], None), atol=0.03)
    shown.heat.show(None)
    assert_allclose(shown.settled() / 255, photo, atol=0.01)


def test_surfels_are_coloured_where_they_are(shown: Shown, walked: MemorySnapshot) -> None:
    """Those on the left blue, those on the right orange: so is the picture."""
    camera = walked.views[-1].camera
    left = (walked.surfels.position - camera.position) @ camera.c2w[:3, 0] < 0
    color = np.where(left[:, None], [0, 0, 255], [255, 128, 0]).astype(np.uint8)
    shown.heat.show(Painted(color, "sides"))
    got = shown.settled().astype(int)
    blue = got[..., 2] > got[..., 0]
    assert blue[10:-10, 10 : SIDE // 2 - 6].mean() > 0.97
    assert blue[10:-10, SIDE // 2 + 6 : -10].mean() < 0.03


def test_an_undo_clears_the_colours_until_new_ones_come(
    shown: Shown, walked: MemorySnapshot
) -> None:
    shown.heat.show(even(walked, INVENTED))
    before = shown.settled()
    shown.shows(walked.at_step(1))
    photo = shown.page.evaluate("() => [fp.heat.colors, fp.heat.maps.size]")
    assert photo == [None, len(walked.at_step(1).views)]
    grey = np.array([220, 220, 220])
    shown.heat.show(even(walked.at_step(1), grey))
    after = shown.settled().astype(int)
    assert np.ptp(before.astype(int), axis=-1).mean() > 20
    assert np.ptp(after[10:-10, 10:-10], axis=-1).max() < 6
    points_past_the_end = shown.page.evaluate(
        "(n) => [...fp.heat.maps.values()].some((map) => map.surfels?.some((id) => id > n))",
        len(walked.at_step(1).surfels),
    )
    assert not points_past_the_end
    # Colours of a memory that has no surfel yet: none is taken from beyond their end.
    shown.page.evaluate("() => (fp.heat.colors = new Uint8Array(4))")
    assert shown.drawn()[10:-10, 10:-10].mean() < after[10:-10, 10:-10].mean() - 20


def test_only_what_is_shown_is_fetched_and_the_newest_colours_win(
    shown: Shown, walked: MemorySnapshot
) -> None:
    shown.settled()
    assert not shown.fetched
    for color in (1, 80, 160, 240):
        shown.heat.show(even(walked, np.array([color, 0, 0])))
    shown.settled()
    # The colours, and the map of the one view that is drawn, of many.
    assert len(set(shown.fetched)) == 2
    assert shown.page.evaluate("() => fp.heat.colors[0]") == 240


def test_colours_on_their_way_are_taken_though_memory_grows_but_not_after_an_undo(
    shown: Shown, walked: MemorySnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viewer.first_person.heat.GROWN", 1.0)
    now, ids = walked.at_step(1), shown.ids
    shown.shows(now)
    shown.heat.show(even(now, INVENTED))
    shown.settled()
    for level, later, times in ((40, walked, 1), (80, now, 2)):
        shown.held, before = [], len(shown.fetched)
        shown.heat.show(even(now, np.array([level, 0, 0])))
        until(shown.page, lambda: shown.held)
        shown.heat.show_memory(later, ids.__getitem__)
        held, shown.held = shown.held, None
        for give in held:
            give()
        shown.page.wait_for_function(
            "(level) => !fp.heat.fetching && fp.heat.colors?.[0] === level", arg=level
        )
        colors = shown.fetched[before]
        assert shown.fetched[before:].count(colors) == times
        shown.settled()


def test_the_backdrop_keeps_no_colour_under_heat(shown: Shown, walked: MemorySnapshot) -> None:
    shown.page.evaluate(
        """async () => {
          const canvas = new OffscreenCanvas(4, 2);
          const context = canvas.getContext("2d");
          context.fillStyle = "#c83c1e";
          context.fillRect(0, 0, 4, 2);
          const bitmap = await createImageBitmap(canvas);
          picture.backdrop.set(bitmap, { centre: [0, 0, 0], radius: 9 }, -1e9);
        }"""
    )
    shown.page.evaluate("() => [...picture.views.keys()].forEach((id) => picture.remove(id))")
    assert np.ptp(shown.drawn().astype(int), axis=-1).min() > 100
    shown.heat.show(even(walked, INVENTED))
    got = shown.settled().astype(int)
    assert np.ptp(got, axis=-1).max() <= 2
    assert got.min() > 30


def test_the_legend_says_what_the_colours_mean(shown: Shown, walked: MemorySnapshot) -> None:
    retrieval = retrieve(walked, Cameras.stack([walked.views[-1].camera]))
    shown.overlay.show(True)
    shown.overlay.show_legend("support", paint_surfels("support", walked, retrieval))
    text = shown.page.locator(".vmem-over-legend").inner_text().lower()
    assert text.startswith("support")
    assert f"{len(retrieval.order)} views a surfel" in text
    assert "dark grey: not seen from here" in text
    bar = shown.page.locator(".vmem-over-bar").evaluate("e => getComputedStyle(e).backgroundImage")
    assert bar.count("rgb") == 16
    shown.overlay.show_legend("owner", paint_surfels("owner", walked, retrieval))
    assert not shown.page.locator(".vmem-over-bar").is_visible()
    shown.overlay.show_legend("image", None)
    assert not shown.page.locator(".vmem-over-legend").is_visible()


def test_chosen_views_stand_at_the_foot_with_their_pictures(
    shown: Shown, walked: MemorySnapshot
) -> None:
    retrieval = retrieve(walked, Cameras.stack([walked.views[-1].camera]))
    shown.overlay.show(True)
    shown.overlay.show_chosen(retrieval, walked, retrieval.order[1], shown.ids.__getitem__)
    strip = shown.page.locator(".vmem-over-strip > *")
    marks = [strip.nth(i).get_attribute("data-vmem") for i in range(strip.count())]
    last = len(walked.views) - 1
    assert marks == [*(f"strip:{view}" for view in retrieval.order), f"strip:{last}"]
    assert strip.nth(0).inner_text() == f"{100 * retrieval.share[retrieval.order[0]]:.0f} %"
    assert "pointed" in (strip.nth(1).get_attribute("class") or "")
    shown.page.wait_for_function(
        """() => [...document.querySelectorAll(".vmem-over-view")].every(
          (one) => one.style.backgroundImage.startsWith('url("blob:'))"""
    )
    box = strip.nth(0).bounding_box()
    assert box is not None
    shot = Image.open(io.BytesIO(shown.page.screenshot())).convert("RGB")
    x, y = int(box["x"]), int(box["y"])
    seen = shot.crop((x + 4, y + 4, x + 64, y + 44))
    view = walked.views[retrieval.order[0]].rgb
    assert np.abs(np.asarray(seen).mean((0, 1)) - view[5:55].mean((0, 1))).max() < 30

    forming = np.full((24, 24, 3), (250, 20, 20), np.uint8)
    shown.overlay.show_forming(forming)
    assert strip.last.inner_text() == "forming"
    assert (strip.last.evaluate("e => e.style.backgroundImage")).startswith('url("data:image/jpeg')
    shown.overlay.show_forming(None)
    assert strip.last.inner_text() == "new"


def test_on_a_page_that_cannot_keep_up_the_strip_changes_less_often(
    shown: Shown, walked: MemorySnapshot
) -> None:
    """The latest choice is shown a second after the last, and at once where the page keeps up."""
    targets = [walked.views[0], walked.views[-1]]
    first, second = (retrieve(walked, Cameras.stack([view.camera])) for view in targets)
    assert first.order != second.order
    shown.overlay.show(True)
    strip = shown.page.locator(".vmem-over-view").first

    def after(settle: str) -> str | None:
        shown.page.evaluate(f"() => fp.overlay.settle({settle})")
        return strip.get_attribute("data-vmem")

    def show(retrieval: Retrieval) -> None:
        shown.overlay.show_chosen(retrieval, walked, None, shown.ids.__getitem__)

    after("5000, true")
    show(first)
    assert after("5000, true") == f"strip:{first.order[0]}"
    show(second)
    assert after("5900, true") == f"strip:{first.order[0]}"
    assert after("6000, true") == f"strip:{second.order[0]}"
    show(first)
    assert after("6100, false") == f"strip:{first.order[0]}"
    show(second)
    assert strip.get_attribute("data-vmem") == f"strip:{second.order[0]}"


def test_the_map_shows_the_walker_where_he_is(shown: Shown, walked: MemorySnapshot) -> None:
    shown.overlay.show(True)
    shown.overlay.show_plan(walked)
    shown.page.wait_for_function("() => fp.overlay.map.window")
    plan = shown.overlay.plan
    assert plan is not None
    canvas = shown.page.locator(".vmem-over-map")
    for x, z in ((0.0, 0.0), (0.4 * plan.side + plan.low[0], 0.6 * plan.side + plan.low[1])):
        shown.page.evaluate(
            "(p) => { walker.position = p; fp.overlay.follow(walker.eye, 1.2); }", [x, 0, z]
        )
        pixels = np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB"), int)
        near = np.argwhere(np.abs(pixels - AMBER).max(axis=-1) < 40)
        middle = near.mean(axis=0)[::-1] / pixels.shape[:2][::-1]
        there = plan.place((float(middle[0]), float(middle[1])))
        # The wedge lies ahead of him.
        assert np.hypot(*(there - (x, z))) < 0.15 * plan.side


@pytest.mark.parametrize(("width", "height", "has_map"), [(390, 844, False), (900, 500, True)])
def test_only_what_can_be_pointed_at_takes_the_mouse_and_no_key_is_kept(
    shown: Shown, walked: MemorySnapshot, width: int, height: int, has_map: bool
) -> None:
    page = shown.page
    page.set_viewport_size({"width": width, "height": height})
    retrieval = retrieve(walked, Cameras.stack([walked.views[-1].camera]))
    shown.overlay.show(True)
    shown.overlay.show_chosen(retrieval, walked, None, shown.ids.__getitem__)
    shown.overlay.show_plan(walked)
    shown.overlay.show_legend("support", paint_surfels("support", walked, retrieval))
    under: Any = page.evaluate(
        """() => {
          const [w, h] = [innerWidth, innerHeight];
          const found = [];
          for (let x = 5; x < w; x += 10)
            for (let y = 5; y < h; y += 10) found.push(document.elementFromPoint(x, y).className);
          return found;
        }"""
    )
    covered = [name for name in under if name]
    assert set(covered) <= {"vmem-over-map", "vmem-over-view", "vmem-over-view next"}
    assert ("vmem-over-map" in covered) == has_map
    assert len(covered) / len(under) < 0.16
    boxes = [one.bounding_box() for one in page.locator(".vmem-over-view").all()]
    assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
    # A narrow window has viser's folded panel at its foot.
    foot = height - (12 if has_map else 50)
    assert all(box and box["y"] + box["height"] <= foot for box in boxes)
    assert page.locator(".vmem-over-text").is_visible() == has_map
    page.locator(".vmem-over-view").first.click()
    page.keyboard.press("w")
    assert page.evaluate("() => keys.pop()") == "KeyW"
    shown.overlay.show(False)
    assert not page.locator(".vmem-over-view").first.is_visible()


def test_a_view_whose_map_has_not_come_gives_way(shown: Shown, walked: MemorySnapshot) -> None:
    shown.heat.show(even(walked, INVENTED))
    alone = shown.settled().astype(int)
    shown.page.evaluate(
        """() => {
          const [view] = picture.views.values();
          picture.views.set("other", { ...view, id: "other" });
        }"""
    )
    both = shown.drawn().astype(int)
    shown.page.evaluate("() => picture.views.delete('other')")
    assert np.abs(both - alone).mean() < 6


def test_of_many_maps_those_that_were_drawn_last_are_kept(shown: Shown) -> None:
    kept = shown.page.evaluate(
        """() => {
          const { heat } = fp;
          for (let used = 0; used < 70; used++) {
            const read = { surfels: new Uint32Array(1), texture: heat.makeTexture() };
            heat.maps.set(used, { address: "", revision: 1, used: (used * 37) % 70, ...read });
          }
          heat.forgetOld();
          const there = [...heat.maps.values()].filter(({ used }) => used !== undefined);
          const textures = there.filter(({ texture }) => heat.gl.isTexture(texture)).length;
          return [there.filter(({ surfels }) => surfels).map(({ used }) => used), textures];
        }"""
    )
    assert (sorted(kept[0]), kept[1]) == ([*range(6, 70)], 64)
