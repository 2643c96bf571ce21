"""What browser tests of the whole program share: opening a walk, waiting, looking at pixels."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import numpy as np
from PIL import Image
from playwright.sync_api import Page

from viewer.server.app import App
from viewer.walk.workspace import Workspace
from vmem.session import Session


def open_walk(app: App, page: Page, resolution: float = 0.5) -> Workspace:
    """The new walk of a page that has loaded and shows its first surfels.

    resolution: pixels of the scene a pixel of the page. Disks drawn on the CPU take most of a
    test's time, by the pixel.
    """
    others = set(app.walks)
    # fixedDpr keeps viser from lowering the resolution on a slow machine.
    page.goto(f"{app.url}/?fixedDpr={resolution}")
    page.wait_for_function("() => window.__viserMutable?.cameraControl", timeout=60_000)
    until(page, lambda: len(app.walks) > len(others))
    (workspace,) = (walk for key, walk in app.walks.items() if key not in others)
    until(page, lambda: workspace.session is not None and not workspace.worker.busy)
    page.wait_for_function(
        "() => window.__vmemFrustums?.['/views']?.views.length > 0",
        timeout=30_000,
    )
    page.wait_for_timeout(500)
    return workspace


def until(page: Page, condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Let the browser run until ``condition()``; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        page.wait_for_timeout(25)


def session_of(workspace: Workspace) -> Session:
    assert workspace.session is not None
    return workspace.session


def steps(workspace: Workspace) -> int:
    """Steps made, the photo not counted."""
    return len(session_of(workspace).memory.steps) - 1


def pixels(shot: bytes) -> np.ndarray:
    """A screenshot as (H, W, 3) i16."""
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), np.int16)


def canvas(page: Page) -> np.ndarray:
    """The window's pixels (H, W, 3), left of the panel."""
    shot = pixels(page.screenshot())
    return shot[:, : shot.shape[1] // 2]


def changed(before: np.ndarray, after: np.ndarray) -> float:
    """Share of pixels that differ visibly."""
    return float((np.abs(before - after).max(axis=-1) > 24).mean())
