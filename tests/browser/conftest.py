"""A headless Chromium, and a viser server to look at. Plain Playwright, no pytest plugin."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import viser
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.desk import WAY, Desk
from tests.support.walking import open_walk, steps
from viewer.server.app import App
from viewer.server.config import ViewerConfig

# Debian's headless shell first: it takes a third less of the CPU, as it keeps no windows.
INSTALLED = ("/usr/bin/chromium-headless-shell", "/usr/bin/chromium")
CHROMIUM = Path(
    os.environ.get("VMEM_CHROMIUM") or next(filter(os.path.exists, INSTALLED), INSTALLED[-1])
)
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    # The scene is drawn on the CPU anyway: putting the page together there too saves copies.
    "--disable-gpu-compositing",
]
WITHOUT_ANTIALIASING = """(() => {
  const real = HTMLCanvasElement.prototype.getContext;
  HTMLCanvasElement.prototype.getContext = function (kind, asked) {
    return real.call(this, kind, kind === "webgl2" ? { ...asked, antialias: false } : asked);
  };
})()"""
"""On the CPU, four samples a pixel are half of a picture's time."""
PAGE_TIMEOUT_MS = 30_000
expect.set_options(timeout=PAGE_TIMEOUT_MS)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}: set VMEM_CHROMIUM to one")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=CHROMIUM_ARGUMENTS
        )
        yield chromium
        chromium.close()


def _new_page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 900, "height": 500})
    context.set_default_timeout(PAGE_TIMEOUT_MS)
    context.add_init_script(WITHOUT_ANTIALIASING)
    yield context.new_page()
    context.close()


def _new_server() -> Iterator[viser.ViserServer]:
    server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    server.scene.world_axes.visible = False
    yield server
    server.stop()


def _look_at(server: viser.ViserServer, page: Page) -> Page:
    # fixedDpr keeps viser from lowering the resolution on a slow machine.
    page.goto(f"http://127.0.0.1:{server.get_port()}/?fixedDpr=1")
    page.wait_for_function("() => window.__viserMutable?.cameraControl")
    return page


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page of its own browser context."""
    yield from _new_page(browser)


@pytest.fixture
def viser_server() -> Iterator[viser.ViserServer]:
    """A bare viser server on a free port."""
    yield from _new_server()


@pytest.fixture
def viser_page(page: Page, viser_server: viser.ViserServer) -> Page:
    """A page whose viser client has its 3D scene."""
    return _look_at(viser_server, page)


@pytest.fixture(scope="module")
def shared_viser_server() -> Iterator[viser.ViserServer]:
    """As viser_server, one for all tests of a module that leave it as they found it."""
    yield from _new_server()


@pytest.fixture(scope="module")
def shared_page(browser: Browser) -> Iterator[Page]:
    """As page, one for all tests of a module."""
    yield from _new_page(browser)


@pytest.fixture(scope="module")
def shared_viser_page(shared_page: Page, shared_viser_server: viser.ViserServer) -> Page:
    """As viser_page, for shared_viser_server."""
    return _look_at(shared_viser_server, shared_page)


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """Where screenshots go (ignored by git)."""
    folder = Path(__file__).parents[1] / "artifacts"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def debugger_app() -> Iterator[App]:
    running = App(
        ViewerConfig(backend="world", size=96, mode="step", layout="memory", open=False, keep=0.5)
    )
    yield running
    running.close()


@pytest.fixture(scope="session")
def debugger_page(browser: Browser) -> Iterator[Page]:
    yield from _new_page(browser)


@pytest.fixture(scope="session")
def shared_desk(debugger_app: App, debugger_page: Page) -> Desk:
    """The walk, made with keys in a page that then shows the Memory tab."""
    page = debugger_page
    page.set_viewport_size({"width": 860, "height": 580})
    workspace = open_walk(debugger_app, page, resolution=0.7)  # thin lines are looked at
    client = debugger_app.clients[0]
    desk = Desk(page, workspace, client)
    desk.set_number("Turn", 24)
    desk.set_number("Step", 0.3)
    settings = workspace.settings
    desk.until(lambda: (settings.turn_degrees, settings.step_size) == (24, 0.3))
    for made, key in enumerate(WAY, start=1):
        page.keyboard.press(key)
        desk.until(lambda made=made: steps(workspace) == made)
    desk.until(lambda: not workspace.worker.busy)
    desk = Desk(page, workspace, client)
    page.get_by_role("tab", name="Memory").click()
    desk.choose("Views listed", "all")
    return desk


@pytest.fixture
def desk(shared_desk: Desk) -> Desk:
    """The walk with the ghost explained and nothing tried out, whatever was done before."""
    shared_desk.reset()
    return shared_desk
