"""A headless Chromium, and a viser server to look at. Plain Playwright, no pytest plugin."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import viser
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = Path(os.environ.get("VMEM_CHROMIUM", "/usr/bin/chromium"))
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
PAGE_TIMEOUT_MS = 30_000


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
