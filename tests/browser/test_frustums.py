"""Frustums in a real browser: few draw calls, the right pixels, and what the pointer does."""

from __future__ import annotations

import queue
import time

import numpy as np
import pytest
import viser
from playwright.sync_api import Page

import viewer.paint.thinning as thinning
from benchmarks.page import COUNT, DRAWS
from tests.support.desk import near
from tests.support.walking import pixels, until
from viewer.paint.palette import AMBER, DARK, FAINT, QUIET, SKY
from viewer.scene.frustums import Frustums, half_size
from vmem.cameras import Camera
from vmem.types import View

pytestmark = pytest.mark.browser

YELLOW = (251, 255, 0)
K = np.array([[60.0, 0, 32], [0, 60, 20], [0, 0, 1]])
COLUMNS, ROWS = 6, 4
WHERE = """(points) => points.map(([x, y, z]) => {
  const { camera, nodeRefFromName, canvas } = window.__viserMutable;
  const box = canvas.getBoundingClientRect();
  const at = camera.position.clone().set(x, y, z);
  at.applyMatrix4(nodeRefFromName["/views"].matrixWorld).project(camera);
  return [box.left + (at.x + 1) / 2 * box.width, box.top + (1 - at.y) / 2 * box.height];
})"""


def grid() -> list[View]:
    """Views side by side that look along z, each with a picture of its own colour."""
    rng = np.random.default_rng(0)
    nothing = np.zeros((40, 64), np.float32)
    views = []
    for i in range(COLUMNS * ROWS):
        c2w = np.eye(4)
        c2w[:3, 3] = 0.12 * (i % COLUMNS - 2.5), 0.12 * (i // COLUMNS - 1.5), 0
        rgb = np.broadcast_to(rng.integers(0, 256, 3).astype(np.uint8), (40, 64, 3))
        views.append(View(np.ascontiguousarray(rgb), Camera(c2w, K, (40, 64)), 0, nothing, nothing))
    return views


class Wall:
    """A page that shows frustums and nothing else, from behind."""

    def __init__(self, server: viser.ViserServer, page: Page) -> None:
        self.page, self.views = page, grid()
        server.gui.configure_theme(dark_mode=True)
        page.add_init_script(COUNT)
        page.goto(f"http://127.0.0.1:{server.get_port()}/?fixedDpr=1")
        page.wait_for_function("() => window.__viserMutable?.cameraControl")
        deadline = time.monotonic() + 30
        while not server.get_clients():
            assert time.monotonic() < deadline, "no client connected"
            time.sleep(0.02)
        client = list(server.get_clients().values())[-1]
        client.gui.main_panel.dock_right()
        self.empty = int(np.median(page.evaluate(DRAWS, 10)))
        self.client = client
        self.clicked: queue.Queue[int] = queue.Queue()
        self.frustums = Frustums(client.scene, self.clicked.put, thickness=3.0)
        page.wait_for_timeout(500)
        with client.atomic():
            client.camera.up_direction = (0, -1, 0)
            client.camera.position, client.camera.look_at = (0, -0.01, -0.6), (0, 0, 0.05)
        for note in page.locator(".mantine-Notification-root button").all():
            note.click()
        self.reset()

    def reset(self) -> None:
        """All views, in their first colours, and the pointer away."""
        self.frustums.truncate(0)
        self.frustums.add(self.views)
        self.page.mouse.move(3, 3)
        until(self.page, lambda: len(self.drawn()) == len(self.views))
        self.page.wait_for_timeout(400)

    def drawn(self) -> list[tuple[int, ...]]:
        """Colours of the lines that the page draws."""
        colors = self.page.evaluate("() => window.__vmemFrustums['/views'].colorsDrawn()")
        return [tuple(color) for color in colors]

    def place(self, view: int, x: float = 0.0, y: float = 0.0) -> tuple[float, float]:
        """Where in the window a place (x, y) in [-1, 1] of a view's picture is."""
        camera = self.views[view].camera
        at = camera.c2w[:3, :3] @ (half_size(camera) * [x, y, 1]) + camera.position
        (found,) = self.page.evaluate(WHERE, [at.tolist()])
        return found[0], found[1]

    def picture(self, view: int) -> tuple[int, ...]:
        """The one colour of a view's picture."""
        return tuple(self.views[view].rgb[0, 0].tolist())

    def as_line(self, color: tuple[int, int, int]) -> tuple[int, ...]:
        """The pixels of a line of that colour that viser draws itself: it maps their tones."""
        points = np.array([[(-0.2, 0.27, 0), (0.2, 0.27, 0)]], np.float32)
        scene = self.client.scene
        line = scene.add_line_segments("/l", points, color, thickness=9, thickness_units="screen")
        self.page.wait_for_timeout(400)
        (at,) = self.page.evaluate(WHERE, [[0.1, 0.27, 0]])
        x, y = (round(value) for value in at)
        shown = pixels(self.page.screenshot())[y, x]
        line.remove()
        return tuple(shown.tolist())

    def seen(self, view: int, x: float, y: float) -> np.ndarray:
        """(7, 7, 3) pixels about a place of a view's picture."""
        at, above = (round(value) for value in self.place(view, x, y))
        shot = pixels(self.page.screenshot())
        return shot[above - 3 : above + 4, at - 3 : at + 4]


@pytest.fixture(scope="module")
def shared_wall(shared_viser_server: viser.ViserServer, shared_page: Page) -> Wall:
    return Wall(shared_viser_server, shared_page)


@pytest.fixture
def wall(shared_wall: Wall) -> Wall:
    shared_wall.reset()
    return shared_wall


def test_all_frustums_cost_a_handful_of_draw_calls(wall: Wall) -> None:
    drawn = int(np.median(wall.page.evaluate(DRAWS, 10)))
    assert wall.empty < drawn <= wall.empty + 4


def test_pictures_stand_where_their_views_are(wall: Wall) -> None:
    for view in (0, 7, 17, 23):
        assert near(wall.seen(view, 0.0, 0.6), wall.picture(view)).mean() > 0.2, view


def test_lines_have_the_colours_that_viser_gives_lines(wall: Wall) -> None:
    share = np.zeros(len(wall.views))
    share[:12] = 0.1
    wall.frustums.highlight({2}, share, 9)
    expected = [QUIET] * 12 + [FAINT] * 12
    expected[2], expected[9] = AMBER, SKY
    until(wall.page, lambda: wall.drawn() == expected)
    wall.page.wait_for_timeout(300)
    for view, color in ((2, AMBER), (9, SKY)):
        shown = wall.as_line(color)
        assert near(wall.seen(view, 0.2, -1.0), shown, 8).any()
        assert not near(wall.seen(view - 1, 0.2, -1.0), shown, 40).any()


def test_what_is_pointed_at_is_lit_and_only_that(wall: Wall) -> None:
    for view in (8, 15):
        wall.page.mouse.move(*wall.place(view, 0.3, 0.3))
        until(wall.page, lambda view=view: wall.drawn()[view] == YELLOW)
        assert wall.drawn().count(YELLOW) == 1
        wall.page.wait_for_timeout(300)
        assert near(wall.seen(view, 0.2, 1.0), wall.as_line(YELLOW), 8).any()
    wall.page.mouse.move(3, 3)
    until(wall.page, lambda: YELLOW not in wall.drawn())


def test_a_click_names_the_view_of_its_picture(wall: Wall) -> None:
    for view in (0, 10, 23):
        wall.page.mouse.move(*wall.place(view, -0.3, 0.5))
        wall.page.wait_for_timeout(200)
        wall.page.mouse.down()
        wall.page.wait_for_timeout(60)
        wall.page.mouse.up()
        assert wall.clicked.get(timeout=30) == view
    assert wall.clicked.empty()


def test_views_that_go_are_drawn_no_more_and_others_take_their_place(wall: Wall) -> None:
    wall.frustums.truncate(5)
    until(wall.page, lambda: len(wall.drawn()) == 5)
    wall.page.wait_for_timeout(300)
    assert wall.seen(5, 0.0, 0.6).max() < 40
    assert wall.seen(4, 0.0, 0.6).max() >= 40
    wall.frustums.add([wall.views[23]])
    until(wall.page, lambda: len(wall.drawn()) == 6)
    wall.page.wait_for_timeout(400)
    assert near(wall.seen(23, 0.0, 0.6), wall.picture(23)).mean() > 0.2


def test_faded_pictures_are_darker(wall: Wall) -> None:
    bright = wall.seen(22, 0.0, 0.6).mean()
    wall.frustums.truncate(22)
    wall.frustums.add(wall.views[22:], {23})
    until(wall.page, lambda: wall.drawn()[22:] == [DARK, QUIET])
    wall.page.wait_for_timeout(400)
    assert 0.1 * bright < wall.seen(22, 0.0, 0.6).mean() < 0.6 * bright
    assert near(wall.seen(23, 0.0, 0.6), wall.picture(23)).mean() > 0.2


def test_of_a_long_walk_views_in_between_go_and_the_others_stay_where_they_are(
    wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thinning, "NEWEST", 6)
    monkeypatch.setattr(thinning, "OLDER", 4)
    wall.frustums.truncate(20)
    wall.frustums.highlight({3}, np.ones(20))
    left = [0, 3, 4, 8, 12, *range(14, 20)]
    assert sorted(wall.frustums.numbers) == left
    until(wall.page, lambda: len(wall.drawn()) == len(left))
    wall.page.wait_for_timeout(400)
    for view in (3, 8, 17):
        assert near(wall.seen(view, 0.0, 0.6), wall.picture(view)).mean() > 0.2, view
    for view in (2, 13, 21):
        assert wall.seen(view, 0.0, 0.6).max() < 40, view
    wall.page.mouse.click(*wall.place(8, -0.3, 0.5), delay=60)
    assert wall.clicked.get(timeout=30) == 8


def test_hidden_frustums_are_neither_seen_nor_lit(wall: Wall) -> None:
    wall.frustums.visible = False
    wall.page.wait_for_timeout(400)
    assert wall.seen(8, 0.2, 1.0).max() < 40
    wall.page.mouse.move(*wall.place(8, 0.3, 0.3))
    wall.page.wait_for_timeout(300)
    assert YELLOW not in wall.drawn()
    wall.frustums.visible = True
    wall.page.wait_for_timeout(300)
    assert wall.page.evaluate("() => window.__vmemFrustums['/views'].error") is None
