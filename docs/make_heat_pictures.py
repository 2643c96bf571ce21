"""Make docs/images/heat_1.png to heat_3.png: the heat map follows the ghost in a big memory.

``python docs/make_heat_pictures.py [--server]`` walks the procedural world until its memory has
some 200,000 surfels, opens the viewer on it in a real browser, flies the ghost with the keys, and
prints what the Memory tab says at each stop. With ``--server`` the server draws the surfels. Needs
the ``test`` extra and a Chromium (VMEM_CHROMIUM, or /usr/bin/chromium).
"""

from __future__ import annotations

import sys

import numpy as np
from make_pictures import ARGUMENTS, CHROMIUM, IMAGES, _opened
from playwright.sync_api import Page, sync_playwright

from viewer.server.app import App
from viewer.server.config import ViewerConfig
from vmem.backends import create_backend
from vmem.cameras import MOVES, apply_move, path_targets
from vmem.session import Session, SessionConfig
from vmem.types import AssociationConfig

SURFELS = 200_000
SIZE = 384
LAP = 12
"""Turns of 30 degrees."""
FLIGHTS = (("w", 500), ("a", 2200), ("d", 4000))
"""Keys held for milliseconds; a picture after each."""


def main() -> None:
    """Walk, open, fly, and take the pictures."""
    session = big_memory()
    print(f"{len(session.memory.surfels)} surfels, {len(session.memory.views)} views")
    app = App(
        ViewerConfig(
            backend="world", size=SIZE, mode="step", layout="memory", open=False, save=False
        )
    )
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            page = browser.new_page(viewport={"width": 1440, "height": 860})
            page.goto(f"{app.url}/?fixedDpr=1")
            workspace = _opened(page, app)
            while workspace.worker.busy:
                page.wait_for_timeout(100)
            client = app.clients[0]
            workspace.session = session
            settings = workspace.settings
            settings.mode, settings.view_from, settings.scene.heat = "scout", "free", "weight"
            settings.scene.drawn_by = "server" if "--server" in sys.argv else "browser"
            settings.scene.billboards = False
            client.post(client.show_session)
            client.commands.go_to_view(0)
            client.commands.set_view_from("free")
            page.wait_for_timeout(4000)
            with client.handle.atomic():
                client.handle.camera.position = (0.35, -1.3, -1.2)
                client.handle.camera.look_at = (0.35, 0.0, 0.3)
            page.get_by_role("tab", name="Memory").click()
            page.wait_for_timeout(4000)
            for number, (key, milliseconds) in enumerate(FLIGHTS, 1):
                _fly(page, key, milliseconds)
                page.screenshot(path=IMAGES / f"heat_{number}.png")
                print(f"heat_{number}:", client.display.memory.explain.shown.health)
            browser.close()
    finally:
        app.close()


def big_memory() -> Session:
    """A walk through the procedural world that leaves SURFELS surfels, or a few more."""
    config = SessionConfig(association=AssociationConfig(points_per_frame=SIZE * SIZE // 4))
    session = Session.open(None, backend=create_backend("world", size=SIZE), config=config)
    while True:
        for move in ["a"] * LAP + ["w"]:
            pose = session.camera.c2w
            end = apply_move(pose, MOVES[move], turn_angle=2 * np.pi / LAP, step_size=0.3)
            session.step(path_targets(session.camera, end, config.target_views), label=move)
            if len(session.memory.surfels) >= SURFELS:
                return session


def _fly(page: Page, key: str, milliseconds: int) -> None:
    page.keyboard.down(key)
    page.wait_for_timeout(milliseconds)
    page.keyboard.up(key)
    page.wait_for_timeout(4000)


if __name__ == "__main__":
    main()
