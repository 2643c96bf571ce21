"""Frames that form, in a real browser: seen while a step runs, gone when it is given up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from tests.support.fakes import FormingGenerator, box_photo, forming_backend
from tests.support.walking import changed, pixels, session_of, until
from viewer.server.app import App
from viewer.server.config import ViewerConfig
from viewer.walk.workspace import Workspace
from vmem.errors import VMemError
from vmem.progress import CancelToken

pytestmark = pytest.mark.browser

SIZE = 128
BOARDS = """() => Object.fromEntries(
  Object.entries(window.__viserSceneTree.getState())
    .filter(([name]) => name.startsWith('/billboards/'))
    .map(([name, node]) => [name, {
      visible: node.visibility !== false && node.effectiveVisibility !== false,
      position: window.__viserMutable.nodeRefFromName[name]?.position.toArray(),
    }]))"""


class Steps:
    """Lets a generator go on step by step; cancelling gets through."""

    def __init__(self) -> None:
        self.allowed = threading.Semaphore(0)
        self.error: Exception | None = None

    def __call__(self, step: int, cancel: CancelToken) -> None:
        while not self.allowed.acquire(timeout=0.01):
            cancel.check()
        if self.error is not None:
            raise self.error


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
def workspace(
    page: Page, steps: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    """The walk of a page that has opened the box and gone one step forward."""
    monkeypatch.setattr(
        "viewer.walk.workspace.create_backend",
        lambda name, *, seed, size, geometry: forming_backend(steps),
    )
    photo = tmp_path / "box.png"
    Image.fromarray(box_photo((SIZE, SIZE))).save(photo)
    app = App(
        ViewerConfig(
            photo=photo, backend="preview", size=SIZE, mode="step", layout="memory", open=False
        )
    )
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(app.url)
    page.wait_for_function("() => window.__viserMutable?.cameraControl", timeout=60_000)
    until(page, lambda: any(walk.session for walk in app.walks.values()))
    (workspace,) = app.walks.values()
    until(page, lambda: not workspace.worker.busy)
    page.wait_for_function("() => window.__vmemFrustums?.['/views']?.views.length > 0")
    page.wait_for_timeout(500)
    steps.allowed.release(FormingGenerator.STEPS)
    page.keyboard.press("w")
    until(page, lambda: len(session_of(workspace).memory.steps) == 2)
    page.wait_for_function(f"() => Object.keys(({BOARDS})()).length === 2")
    page.wait_for_timeout(800)
    yield workspace
    app.close()


def boards(page: Page) -> dict[str, list[float]]:
    """Positions of the billboards that are to be seen, by name."""
    found = page.evaluate(BOARDS)
    return {name: board["position"] for name, board in found.items() if board["visible"]}


def kept_pixels(page: Page, path: Path) -> np.ndarray:
    """The window (H, W, 3) left of the panel, which is also kept as a file."""
    image = pixels(page.screenshot(path=path))
    return image[:, : image.shape[1] * 2 // 3]


def test_frames_are_seen_forming(
    workspace: Workspace, page: Page, steps: Steps, artifacts: Path
) -> None:
    memory = session_of(workspace).memory
    old = boards(page)
    start = kept_pixels(page, artifacts / "forming_0_before.png")

    page.keyboard.press("w")
    steps.allowed.release(2)
    page.get_by_text("denoising 2/5").first.wait_for()
    until(page, lambda: len(boards(page)) == 1)
    page.wait_for_timeout(800)
    forming = boards(page)
    noisy = kept_pixels(page, artifacts / "forming_1_two_steps.png")
    assert [np.allclose(forming[name], old[name]) for name in forming] == [False]
    assert changed(start, noisy) > 0.01

    steps.allowed.release(2)
    page.get_by_text("denoising 4/5").first.wait_for()
    page.wait_for_timeout(800)
    clearer = kept_pixels(page, artifacts / "forming_2_four_steps.png")
    assert boards(page) == forming, "they stay where they are"
    assert changed(noisy, clearer) > 0.005

    page.keyboard.press("Escape")
    until(page, lambda: not workspace.worker.busy)
    page.get_by_text("nothing was changed").first.wait_for()
    until(page, lambda: len(boards(page)) == 2)
    page.wait_for_timeout(800)
    cancelled = kept_pixels(page, artifacts / "forming_3_cancelled.png")
    assert session_of(workspace).memory is memory
    assert boards(page) == old
    # The eye is back to within a fraction of a pixel, which shows along sharp edges only.
    print(changed(start, noisy), changed(noisy, clearer), changed(start, cancelled))
    assert changed(start, cancelled) < 0.02

    page.keyboard.press("w")
    steps.allowed.release(FormingGenerator.STEPS)
    until(page, lambda: len(session_of(workspace).memory.steps) == 3)
    until(page, lambda: len(boards(page)) == 2)
    page.wait_for_timeout(800)
    kept_pixels(page, artifacts / "forming_4_finished.png")
    finished = boards(page)
    for name, place in forming.items():
        np.testing.assert_allclose(finished[name], place, atol=1e-6)


def test_a_failure_is_explained_in_a_window(
    workspace: Workspace, page: Page, steps: Steps, artifacts: Path
) -> None:
    memory, old = session_of(workspace).memory, boards(page)
    steps.error = VMemError(
        "the GPU ran out of memory while denoising: 11.2 of 12.0 GB are in use.\n"
        "  Use --preset fast, close other programs that use the GPU,\n"
        "  or see https://example.org/memory for smaller frames."
    )
    link = page.get_by_role("dialog").get_by_role("link", name="https://example.org/memory")
    page.keyboard.press("a")
    steps.allowed.release()
    link.wait_for()
    page.wait_for_timeout(800)
    page.screenshot(path=artifacts / "forming_5_failed.png")
    assert session_of(workspace).memory is memory
    assert boards(page) == old
    page.keyboard.press("Escape")
    link.wait_for(state="detached")


def test_a_backend_that_cannot_run_is_explained_and_not_chosen(
    workspace: Workspace, page: Page, monkeypatch: pytest.MonkeyPatch, artifacts: Path
) -> None:
    def refuse(name: str) -> tuple[str, str]:
        raise VMemError(
            f"the {name} backend cannot run here:\n"
            "  1. ask for access at https://example.org/weights\n"
            "  2. python -m vmem weights download"
        )

    monkeypatch.setattr("viewer.browser.actions.resolve", refuse)
    session = workspace.session
    page.get_by_role("tab", name="Settings").click()
    backend = page.get_by_label("Backend").first
    backend.click()
    page.get_by_role("option", name="vmem").click()
    page.get_by_role("dialog").get_by_text("python -m vmem weights download").wait_for()
    page.wait_for_timeout(800)
    page.screenshot(path=artifacts / "forming_6_refused.png")
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    assert backend.input_value() == "preview"
    assert workspace.settings.backend == "preview"
    assert workspace.session is session
    assert not workspace.worker.busy
