"""Walking in the picture of the whole program, with real keys and a real mouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from tests.support.fakes import box_photo
from tests.support.walking import changed, pixels, session_of, steps, until
from viewer.server.app import App
from viewer.server.config import ViewerConfig
from viewer.walk.worker import Job
from viewer.walk.workspace import Workspace
from vmem.cameras import Camera

pytestmark = pytest.mark.browser

PLACE = """() => {
  const { position, yaw, pitch } = window.__vmemFirstPerson.walker;
  return [...position, yaw, pitch];
}"""
NEAREST = """() => {
  const { solids_, walker } = window.__vmemFirstPerson;
  return solids_.nearest(walker.position, 1)?.[0] ?? 1;
}"""
AT_REST = "() => !window.__vmemFirstPerson.moving && !window.__vmemFirstPerson.walker.glide"


class Visit:
    """A page that walks, and what the program has of it."""

    def __init__(self, app: App, page: Page) -> None:
        self.app, self.page = app, page
        page.goto(f"{app.url}/?fixedDpr=0.5")
        until(page, lambda: app.clients)
        until(page, lambda: self.workspace.session is not None)
        page.wait_for_function("() => window.__vmemFirstPerson?.picture.views.size > 0")

    @property
    def workspace(self) -> Workspace:
        return self.app.clients[-1].workspace

    @property
    def place(self) -> np.ndarray:
        """(x, y, z, yaw, pitch) of the page's walker."""
        return np.array(self.page.evaluate(PLACE))

    @property
    def ghost(self) -> np.ndarray:
        ghost = self.app.clients[-1].actions.ghost
        assert ghost is not None
        return ghost.camera.position

    def walk(self, key: str, there: Callable[[], bool]) -> None:
        """Hold a key until he is there, and wait until he rests."""
        self.page.keyboard.down(key)
        until(self.page, there)
        self.page.keyboard.up(key)
        self.rests()

    def hold(self, key: str, seconds: float) -> None:
        self.page.keyboard.down(key)
        self.page.wait_for_timeout(1000 * seconds)
        self.page.keyboard.up(key)
        self.rests()

    def rests(self) -> None:
        """Until he stands, and no view is made any more."""
        self.page.wait_for_function(AT_REST)
        calm = 0

        def rested() -> bool:
            nonlocal calm
            agrees = np.allclose(self.ghost, self.place[:3], atol=1e-4)
            calm = calm + 1 if agrees and not self.workspace.worker.busy else 0
            return calm > 12

        until(self.page, rested)

    def shot(self) -> np.ndarray:
        """The picture, without the panel."""
        return pixels(self.page.screenshot())[:240, :300]  # above strip and map


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    photo: Path = tmp_path_factory.mktemp("photo") / "box.png"
    Image.fromarray(box_photo()).resize((288, 288)).save(photo)
    running = App(ViewerConfig(photo=photo, backend="preview", size=96, open=False, keep=30))
    yield running
    running.close()


@pytest.fixture(scope="module")
def visit(app: App, shared_page: Page) -> Visit:
    shared_page.set_viewport_size({"width": 760, "height": 450})
    return Visit(app, shared_page)


@pytest.fixture(autouse=True)
def at_the_photo(visit: Visit) -> None:
    """Every test begins at the photo, with nothing generated."""
    visit.workspace.switch(0)
    visit.rests()
    visit.page.keyboard.press("Home")
    visit.page.keyboard.press("Home")
    until(visit.page, lambda: np.allclose(visit.place, 0, atol=1e-6))
    visit.rests()
    assert steps(visit.workspace) == 0


def test_the_photo_fills_the_window_and_the_first_keys_are_told(visit: Visit) -> None:
    assert visit.page.title() == "VMem Viewer"
    shot = visit.shot()
    assert (shot.max(axis=-1) > 24).mean() > 0.97, "no black at the photo's pose"


def test_held_keys_walk_and_views_follow_until_he_stands(
    visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, busy = visit.workspace.worker, []
    submit = worker.submit

    def noted(label: str, job: Job, target: Camera | None = None) -> None:
        busy.append(worker.busy)
        submit(label, job, target)

    monkeypatch.setattr(worker, "submit", noted)
    visit.walk("w", lambda: visit.place[2] > 0.25)
    made = steps(visit.workspace)
    assert made >= 1
    assert not any(busy), "views are never queued"
    visit.page.wait_for_timeout(700)
    assert steps(visit.workspace) == made, "who stands still makes none"
    assert visit.page.evaluate(NEAREST) > 0.095, "he keeps clear of surfaces"
    for view in session_of(visit.workspace).memory.views:
        assert view.rgb.std() > 4, "no flat frame is stored"


def test_going_back_the_same_way_makes_no_views_and_undo_takes_a_stretch_back(
    visit: Visit,
) -> None:
    # Out and back twice; the second time not as far, however slow the page is.
    visit.walk("w", lambda: visit.place[2] > 0.3)
    visit.walk("s", lambda: visit.place[2] < 0.05)
    made = steps(visit.workspace)
    visit.walk("w", lambda: visit.place[2] > 0.1)
    visit.walk("s", lambda: visit.place[2] < 0.05)
    assert steps(visit.workspace) - made <= 1
    views = len(session_of(visit.workspace).memory.views)
    visit.hold("ArrowLeft", 0.7)
    assert len(session_of(visit.workspace).memory.views) > views, "turned into the unknown"
    visit.page.keyboard.press("z")
    until(visit.page, lambda: len(session_of(visit.workspace).memory.views) == views)
    visit.rests()
    visit.page.keyboard.press("Shift+Z")
    until(visit.page, lambda: len(session_of(visit.workspace).memory.views) > views)
    visit.rests()


def test_the_mouse_turns_about_the_eye(visit: Visit) -> None:
    visit.hold("w", 0.3)
    before = visit.place
    visit.page.mouse.move(200, 200)
    visit.page.mouse.down()
    visit.page.mouse.move(260, 220, steps=5)
    visit.page.mouse.up()
    visit.page.wait_for_function(AT_REST)
    after = visit.place
    np.testing.assert_allclose(after[:3], before[:3], atol=1e-6)
    assert after[3] > before[3] + 0.1
    assert after[4] > before[4] + 0.03


def test_home_shows_the_first_picture_again(visit: Visit) -> None:
    first = visit.shot()
    visit.hold("w", 0.5)
    visit.hold("ArrowRight", 0.4)
    assert changed(first, visit.shot()) > 0.2
    visit.page.keyboard.press("Home")
    until(visit.page, lambda: np.allclose(visit.place, 0, atol=1e-6))
    visit.rests()
    until(visit.page, lambda: changed(first, visit.shot()) < 0.03)


def test_losing_the_focus_stops_him_and_a_reload_leaves_him_where_he_is(visit: Visit) -> None:
    visit.page.keyboard.down("w")
    until(visit.page, lambda: visit.place[2] > 0.05)
    visit.page.evaluate("() => window.dispatchEvent(new Event('blur'))")
    visit.rests()
    stopped = visit.place
    visit.page.wait_for_timeout(300)
    np.testing.assert_allclose(visit.place, stopped, atol=1e-6)
    visit.page.keyboard.up("w")
    views, client = len(session_of(visit.workspace).memory.views), visit.app.clients[-1]
    visit.page.reload()
    until(visit.page, lambda: visit.app.clients and visit.app.clients[-1] is not client)
    visit.page.wait_for_function("() => window.__vmemFirstPerson?.picture.views.size > 0")
    until(visit.page, lambda: np.allclose(visit.place[:3], stopped[:3], atol=1e-3))
    assert len(session_of(visit.workspace).memory.views) == views


def test_tab_changes_what_fills_the_window(visit: Visit) -> None:
    page = visit.page
    shown = "() => window.__vmemFirstPerson.stage.shown"
    assert page.evaluate(shown) == "picture", "there is no room for both"
    page.keyboard.press("Tab")
    page.wait_for_function("() => window.__vmemFirstPerson.stage.shown === 'memory'")
    page.set_viewport_size({"width": 1500, "height": 450})
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.wait_for_function("() => window.__vmemFirstPerson.stage.shown === 'both'")
    boxes = page.evaluate(
        "() => [__vmemFirstPerson.canvas, __viserMutable.canvas].map((one) => {"
        " const box = one.getBoundingClientRect(); return [box.left, box.right]; })"
    )
    assert boxes[0][1] == pytest.approx(boxes[1][0], abs=2), "side by side"
    page.set_viewport_size({"width": 760, "height": 450})
    page.wait_for_function("() => window.__vmemFirstPerson.stage.shown === 'picture'")
