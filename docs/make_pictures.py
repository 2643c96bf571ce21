"""Make the pictures of README: the program itself, in a real browser, on a real photo.

``python docs/make_pictures.py [PHOTO]`` needs the ``test`` extra and a Chromium (VMEM_CHROMIUM, or
/usr/bin/chromium).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from viewer.server.app import App
from viewer.server.config import ViewerConfig
from viewer.server.warmup import warm_up
from viewer.settings import Layout, Mode
from viewer.walk.workspace import Workspace
from vmem.formats.photos import samples

IMAGES = Path(__file__).parent / "images"
CHROMIUM = os.environ.get("VMEM_CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
SCENE = "hotel_room.jpg"
WALK = "wwdda"


def main() -> None:
    """Walk a little and take the pictures."""
    scene = next(sample.path for sample in samples() if sample.path.name == SCENE)
    photo = Path(sys.argv[1]) if len(sys.argv) > 1 else scene
    IMAGES.mkdir(exist_ok=True)
    warm_up()
    _visit(photo, (1800, 960), "walk", "both", _walk)
    _visit(photo, (1440, 860), "step", "memory", _take)


def _visit(
    photo: Path,
    size: tuple[int, int],
    mode: Mode,
    layout: Layout,
    take: Callable[[Page, Workspace], None],
) -> None:
    app = App(ViewerConfig(photo=photo, size=384, mode=mode, layout=layout, open=False, save=False))
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            page = browser.new_page(viewport={"width": size[0], "height": size[1]})
            page.set_default_timeout(120_000)
            page.goto(f"{app.url}/?fixedDpr=1")
            take(page, _opened(page, app))
            browser.close()
    finally:
        app.close()


def _walk(page: Page, workspace: Workspace) -> None:
    """The walker's picture beside memory, after some steps aside and a look."""
    for key, seconds in (("w", 0.5), ("d", 0.4), ("ArrowLeft", 0.15)):
        page.keyboard.down(key)
        page.wait_for_timeout(1000 * seconds)
        page.keyboard.up(key)
        page.wait_for_timeout(1500)
        _until(page, lambda: not workspace.worker.busy)
    page.wait_for_timeout(4000)
    page.screenshot(path=IMAGES / "picture.png")
    page.keyboard.press("h")
    page.wait_for_timeout(4000)
    page.screenshot(path=IMAGES / "picture_heat.png")


def _opened(page: Page, app: App) -> Workspace:
    page.wait_for_function("() => window.__viserMutable?.cameraControl", timeout=60_000)
    _until(page, lambda: any(walk.session for walk in app.walks.values()))
    # Chromium here draws in software, and viser says so: not what the picture is about.
    for close in page.locator(".mantine-Notification-closeButton").all():
        close.click()
    return next(iter(app.walks.values()))


def _take(page: Page, workspace: Workspace) -> None:
    for key in WALK:
        _press(page, workspace, key)
    _press(page, workspace, "v")
    page.screenshot(path=IMAGES / "standing.png")
    _press(page, workspace, "d")
    page.get_by_role("tab", name="Memory").click()
    for _ in range(2):
        _press(page, workspace, "h")
    page.screenshot(path=IMAGES / "memory.png")


def _press(page: Page, workspace: Workspace, key: str) -> None:
    page.keyboard.press(key)
    page.wait_for_timeout(300)
    _until(page, lambda: not workspace.worker.busy)
    page.wait_for_timeout(900)


def _until(page: Page, condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the viewer did not get there")
        page.wait_for_timeout(50)


if __name__ == "__main__":
    main()
