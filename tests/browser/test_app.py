"""The whole program in a real browser: real keys, the session's state, pixels, a screenshot."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from tests.support.walking import canvas, changed, open_walk, session_of, steps, until
from viewer.server.app import App
from viewer.server.config import ViewerConfig
from viewer.walk.workspace import Workspace

pytestmark = pytest.mark.browser
ARTIFACTS = Path(__file__).parents[1] / "artifacts"


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture with a floor, a wall and something to recognise."""
    rows, columns = np.mgrid[0:240, 0:240]
    image = np.where(
        (rows > 150)[..., None],
        np.stack([90 + (columns // 20 + rows // 12) % 2 * 70] * 3, axis=-1),
        np.stack([120 + columns // 3, 150 + 0 * rows, 200 - rows // 2], axis=-1),
    ).astype(np.uint8)
    image[60:130, 150:200] = (200, 60, 40)
    path = tmp_path_factory.mktemp("photo") / "room.png"
    Image.fromarray(image).save(path)
    return path


@pytest.fixture(scope="module")
def app(photo: Path) -> Iterator[App]:
    running = App(
        ViewerConfig(photo=photo, size=128, mode="step", layout="memory", open=False, keep=15.0)
    )
    yield running
    running.close()


@pytest.fixture(scope="module")
def walk(app: App, shared_page: Page) -> Workspace:
    """The walk of a page that has loaded and shows its first surfels."""
    return open_walk(app, shared_page)


@pytest.fixture
def page(shared_page: Page) -> Page:
    return shared_page


@pytest.fixture
def opened(app: App, walk: Workspace, page: Page) -> Workspace:
    """The photo opened anew in that page, whatever was done before."""
    (client,) = app.clients
    until(page, lambda: not walk.worker.busy)
    before, source = walk.session, walk.source
    assert source is not None
    client.post(client.actions.set_mode, "step")
    client.post(client.actions.set_heat, "image")
    client.post(client.actions.set_next, "auto", 128, 0)
    client.post(client.actions.open, source)
    until(page, lambda: walk.session is not before and not walk.worker.busy)
    page.get_by_role("tab", name="Walk").click()
    page.evaluate("() => document.activeElement?.blur()")
    page.wait_for_timeout(500)
    assert steps(walk) == 0
    return walk


def test_walking_with_real_keys(opened: Workspace, page: Page) -> None:
    start = canvas(page)
    page.keyboard.press("w")
    until(page, lambda: steps(opened) == 1)
    first = session_of(opened).memory
    assert len(first.views) == 5
    assert first.views[-1].camera.c2w[2, 3] > 0.05

    page.keyboard.press("a")
    until(page, lambda: steps(opened) == 2 and not opened.worker.busy)
    assert session_of(opened).camera.c2w[0, 2] < -0.05
    page.wait_for_timeout(800)
    walked = canvas(page)
    assert changed(start, walked) > 0.02

    page.keyboard.press("h")
    until(page, lambda: opened.settings.scene.heat == "weight")
    page.wait_for_timeout(800)
    heated = canvas(page)
    assert changed(walked, heated) > 0.02

    page.keyboard.press("z")
    until(page, lambda: steps(opened) == 1)
    assert np.array_equal(session_of(opened).memory.surfels.position, first.surfels.position)
    page.keyboard.press("Shift+Z")
    until(page, lambda: steps(opened) == 2)

    page.keyboard.press("Space")
    until(page, lambda: steps(opened) == 3 and not opened.worker.busy)
    page.wait_for_timeout(800)
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / "walk.png")


def test_escape_cancels_and_loses_nothing(opened: Workspace, page: Page) -> None:
    before = session_of(opened).memory
    generator = session_of(opened).backend.generator
    held = Holding(generator)
    object.__setattr__(session_of(opened).backend, "generator", held)
    page.keyboard.press("w")
    until(page, lambda: held.entered)
    page.keyboard.press("Escape")
    until(page, lambda: not opened.worker.busy)
    assert session_of(opened).memory is before
    page.get_by_text("cancelled").first.wait_for(timeout=5000)

    held.hold = False
    page.keyboard.press("w")
    until(page, lambda: steps(opened) == 1)


class Holding:
    """A generator that waits, polling for cancel, until it is let go."""

    def __init__(self, inner) -> None:
        self.inner = inner
        self.hold = True
        self.entered = False

    def generate(self, context, targets, *, seed, on_progress, cancel, sampler=None):
        self.entered = True
        while self.hold:
            cancel.check()
        return self.inner.generate(
            context, targets, seed=seed, on_progress=on_progress, cancel=cancel, sampler=sampler
        )


def test_typing_in_a_field_does_not_walk(opened: Workspace, page: Page) -> None:
    page.get_by_role("tab", name="Settings").click()
    field = page.get_by_label("Seed").first
    field.click()
    page.keyboard.type("5")
    page.keyboard.press("w")
    page.wait_for_timeout(500)
    assert steps(opened) == 0
    assert not opened.worker.busy


def test_fly_mode_moves_smoothly_and_generates_on_space(opened: Workspace, page: Page) -> None:
    page.get_by_text("scout", exact=True).first.click()
    until(page, lambda: opened.settings.mode == "scout")
    page.mouse.click(300, 600)
    page.keyboard.down("w")
    page.wait_for_timeout(700)
    page.keyboard.up("w")
    page.wait_for_function("() => !window.__vmemFirstPerson.moving")
    page.wait_for_timeout(700)
    assert steps(opened) == 0
    flown = ghost_position(page)
    page.wait_for_timeout(300)
    assert flown == ghost_position(page), "the ghost must stop when the key is released"
    assert flown[2] > 0.1
    page.keyboard.press("Space")
    until(page, lambda: steps(opened) >= 1 and not opened.worker.busy)
    assert abs(session_of(opened).camera.position[2] - flown[2]) < 2e-2


def ghost_position(page: Page) -> list[float]:
    return page.evaluate("() => window.__viserMutable.nodeRefFromName['/ghost'].position.toArray()")


def test_keys_are_answered_quickly(opened: Workspace, page: Page) -> None:
    """Prints the latency from key to moved ghost in the browser; asserts only that it moves."""
    page.get_by_text("scout", exact=True).first.click()
    until(page, lambda: opened.settings.mode == "scout")
    page.mouse.click(300, 600)
    latencies = []
    for _ in range(8):
        latencies.append(
            page.evaluate(
                """() => new Promise((resolve) => {
                    const at = () => JSON.stringify(
                        window.__viserMutable.nodeRefFromName['/ghost'].position.toArray());
                    const before = at(), began = performance.now();
                    const key = (type) => document.body.dispatchEvent(new KeyboardEvent(
                        type, {code: 'KeyD', key: 'd', bubbles: true}));
                    key('keydown');
                    const poll = setInterval(() => {
                        if (at() !== before || performance.now() - began > 5000) {
                            clearInterval(poll); key('keyup');
                            resolve(performance.now() - began);
                        }
                    }, 1);
                })"""
            )
        )
        page.wait_for_timeout(150)
    print(f"key to moved ghost: median {statistics.median(latencies):.0f} ms, {latencies}")
    assert max(latencies) < 5000


def test_a_reload_finds_the_same_walk(app: App, opened: Workspace, page: Page) -> None:
    page.keyboard.press("w")
    until(page, lambda: steps(opened) == 1)
    page.reload()
    page.wait_for_function(
        "() => window.__vmemFrustums?.['/views']?.views.length > 4",
        timeout=60_000,
    )
    assert list(app.walks.values()) == [opened]
    page.keyboard.press("w")
    until(page, lambda: steps(opened) == 2)


def test_two_browsers_walk_apart_and_a_closed_one_is_freed(
    app: App, opened: Workspace, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_keep", 2.0)
    other = page.context.browser.new_context()  # pyright: ignore[reportOptionalMemberAccess]
    second = other.new_page()
    second.goto(app.url)
    until(page, lambda: len(app.walks) == 2 and all(w.session for w in app.walks.values()))
    page.keyboard.press("w")
    until(page, lambda: steps(opened) == 1)
    apart = next(walk for walk in app.walks.values() if walk is not opened)
    assert steps(apart) == 0
    other.close()
    until(page, lambda: list(app.walks.values()) == [opened], seconds=45)


def test_leaving_in_the_middle_of_a_step(app: App, opened: Workspace, page: Page) -> None:
    held = Holding(session_of(opened).backend.generator)
    object.__setattr__(session_of(opened).backend, "generator", held)
    page.keyboard.press("w")
    until(page, lambda: held.entered)
    page.goto("about:blank")
    held.hold = False
    until(page, lambda: steps(opened) == 1)
    page.goto(app.url)
    page.wait_for_function(
        "() => window.__vmemFrustums?.['/views']?.views.length > 4",
        timeout=60_000,
    )
    assert list(app.walks.values()) == [opened]
