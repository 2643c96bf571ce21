"""Surfels drawn by the server, in a real browser: switched on and off by the Settings control."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

from tests.support.walking import canvas, until
from viewer.server.app import App
from viewer.server.config import ViewerConfig
from viewer.walk.workspace import Workspace

pytestmark = pytest.mark.browser


@pytest.fixture
def app() -> Iterator[App]:
    running = App(ViewerConfig(size=128, mode="step", layout="memory", open=False, keep=3.0))
    yield running
    running.close()


@pytest.fixture
def opened(app: App, page: Page) -> Workspace:
    """The walk of a page that shows its first surfels and nothing else."""
    page.goto(f"{app.url}/?fixedDpr=1")
    page.wait_for_function("() => window.__viserMutable?.cameraControl", timeout=60_000)
    until(page, lambda: any(walk.session for walk in app.walks.values()))
    workspace = next(iter(app.walks.values()))
    until(page, lambda: not workspace.worker.busy and chunks(page) != [])
    page.get_by_role("tab", name="Settings").click()
    return workspace


def chunks(page: Page) -> list[str]:
    """The surfels that the browser has."""
    names = page.evaluate("() => Object.keys(window.__viserSceneTree?.getState() ?? {})")
    return [name for name in names if name.startswith("/surfels/")]


def background(page: Page) -> dict[str, object] | None:
    """Size of the picture behind the scene and of its depth, None while there is none."""
    return page.evaluate(
        """() => {
            const { enabled, colorMap, depthMap } =
                window.__viserMutable.backgroundMaterial.uniforms;
            const size = (map) => map.value && [map.value.image.width, map.value.image.height];
            return enabled.value && colorMap.value
                ? { color: size(colorMap), depth: size(depthMap) } : null;
        }"""
    )


def differ(a: np.ndarray, b: np.ndarray) -> float:
    """Share of pixels that differ visibly."""
    return float((np.abs(a - b).max(axis=-1) > 48).mean())


def choose(page: Page, who: str) -> None:
    page.get_by_label("Surfels drawn by").first.click()
    page.get_by_role("option", name=who, exact=True).click()
    # Keys typed in a field are the field's.
    page.evaluate("() => document.activeElement.blur()")


def sharp(page: Page) -> bool:
    """Whether the picture has as many pixels as the window."""
    picture = background(page)
    window = page.evaluate("() => document.querySelector('canvas').clientWidth")
    return picture is not None and abs(picture["color"][0] - window) <= 1  # pyright: ignore


def test_the_server_draws_the_same_room_and_gives_it_back(
    app: App, opened: Workspace, page: Page, artifacts: Path
) -> None:
    page.wait_for_timeout(800)
    own = canvas(page)

    choose(page, "server")
    until(page, lambda: chunks(page) == [] and sharp(page))
    page.wait_for_timeout(500)
    assert chunks(page) == []
    page.screenshot(path=artifacts / "stream.png")
    streamed = canvas(page)
    assert differ(own, streamed) < 0.05
    (client,) = app.clients
    assert client.display.backlog.answers, "the page answers marks"
    nothing = np.broadcast_to(streamed[-1, 0], streamed.shape)
    assert differ(nothing, streamed) > 0.1

    page.keyboard.press("w")
    session = opened.session
    assert session is not None
    until(page, lambda: len(session.memory.steps) == 2 and not opened.worker.busy)
    until(page, lambda: sharp(page))
    page.wait_for_timeout(1200)
    assert differ(streamed, canvas(page)) > 0.02
    assert chunks(page) == []

    choose(page, "browser")
    until(page, lambda: background(page) is None and chunks(page) != [])
    page.wait_for_timeout(800)
    back = canvas(page)
    choose(page, "server")
    until(page, lambda: chunks(page) == [] and sharp(page))
    page.wait_for_timeout(500)
    assert differ(back, canvas(page)) < 0.05
