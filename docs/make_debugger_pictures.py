"""Make docs/images/debug_*.png: a loop that does not close, and its cure, in the real program.

``python docs/make_debugger_pictures.py [figures]`` walks a shipped photo with the strategy
``temporal`` and again with ``coverage``, looks into both with the retrieval debugger in a real
browser, and prints the figures of docs/debugging-retrieval.md; with ``figures`` it only prints
those, which needs no browser. Else it needs the ``test`` extra and a Chromium (VMEM_CHROMIUM, or
/usr/bin/chromium).
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from make_pictures import ARGUMENTS, CHROMIUM, IMAGES, _opened, _until
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from viewer.server.app import App
from viewer.server.config import ViewerConfig
from viewer.server.warmup import warm_up
from viewer.share.explanation_zip import pack_explanation
from viewer.share.recording import RecordingOptions
from viewer.walk.workspace import Workspace
from vmem.arrays import U8
from vmem.cameras import MOVES, apply_move, path_targets
from vmem.formats.photos import samples
from vmem.memory import MemorySnapshot
from vmem.retrieval.attribution import picture_shares
from vmem.session import Session, SessionConfig
from vmem.types import Query

SCENE = "quay.jpg"
SIZE = 288
WALK = "a" * 8 + "d" * 8 + "w" * 7 + "s" * 7
"""Look round to the left and back, then down the quay, past its end, and back: 30 steps."""
STEP, TURN = 0.18, 12
"""In scene units and degrees."""
BROKEN, WAY_OUT = 26, 20
"""A step on the way home at which much is known that is not used, and the step on the way out that
ended in the same place."""
PANEL = 1052
"""Where the panel begins, in pixels from the left of a page 1440 wide."""
FACADE = (430, 450)
"""A pixel of that page in which a surfel of the facade is drawn."""
LIMIT = 390_000
"""Bytes of a picture."""


def main() -> None:
    """Print the figures; then take the pictures."""
    IMAGES.mkdir(exist_ok=True)
    failing, cured = walked("temporal"), walked("coverage")
    print_figures(failing, cured)
    if "figures" in sys.argv:
        return
    save(IMAGES / "debug_walk.png", contact_sheet(failing.memory, cured.memory))
    save_panel(failing.memory)
    warm_up()
    app = App(
        ViewerConfig(photo=photo(), size=SIZE, mode="step", layout="memory", open=False, save=False)
    )
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(f"{app.url}/?fixedDpr=1")
            debug(page, app, _opened(page, app), cured)
            browser.close()
    finally:
        app.close()


def photo() -> Path:
    """The sample that is walked."""
    return next(sample.path for sample in samples() if sample.path.name == SCENE)


# --- figures ---------------------------------------------------------------------------------


def walked(strategy: str) -> Session:
    """The walk, made with a strategy."""
    config = SessionConfig(strategy=strategy)
    session = Session.open(photo(), backend="preview", size=SIZE, config=config)
    for word in WALK:
        end = apply_move(
            session.camera.c2w, MOVES[word], turn_angle=np.radians(TURN), step_size=STEP
        )
        session.step(path_targets(session.camera, end, config.target_views), label=word)
    return session


def print_figures(failing: Session, cured: Session) -> None:
    """The tables of the document."""
    print("| step | strategy | views used | seen by them | only by others | nothing | off by |")
    print("|---|---|---|---|---|---|---|")
    for step in (25, 26, 27, 30):
        for session in (failing, cured):
            memory = session.memory
            print(_row(memory, step, f"{step} | {memory.retrievals[step].strategy}"))  # pyright: ignore
    print(f"\nStep {BROKEN} again, from the same state, with other queries:\n")
    print("| query | views used | seen by them | only by others | nothing | off by |")
    print("|---|---|---|---|---|---|")
    path = failing.history.head.path()
    home, targets = path[-1].id, failing.memory.retrievals[BROKEN].targets  # pyright: ignore
    plain = Query(4, "temporal")
    tried = {name: replace(plain, strategy=name) for name in ("temporal", "pose", "fov", "votes")}
    tried |= {"reference": replace(plain, strategy="reference"), "coverage": Query(4, "coverage")}
    tried |= {f"temporal, K = {k}": replace(plain, k=k) for k in (8, 12)}
    tried |= {"temporal, view 0 pinned": replace(plain, pinned=(0,))}
    for name, query in tried.items():
        failing.switch(path[BROKEN - 1].id)
        failing.step(targets, query=query)
        print(_row(failing.memory, BROKEN, name))
    failing.switch(home)
    for session in (failing, cured):
        memory = session.memory
        retrieval = memory.retrievals[-1]
        assert retrieval is not None
        print(f"\n{retrieval.strategy}: {retrieval.summary(len(WALK))}")


def _row(memory: MemorySnapshot, step: int, name: str) -> str:
    retrieval = memory.retrievals[step]
    assert retrieval is not None
    shares = picture_shares(memory, retrieval)
    parts = (shares.covered, shares.known, shares.nothing)
    told = " | ".join(f"{100 * part:.0f} %" for part in parts)
    views = ", ".join(map(str, retrieval.order))
    return f"| {name} | {views} | {told} | {_off(memory, step):.1f} |"


def _off(memory: MemorySnapshot, step: int) -> float:
    """Mean difference, in levels of 255, of a step's last frame on the way home from the frame that
    was made, or photographed, in the same place on the way out."""
    before = 2 * len(WALK) - 14 - step
    then, now = (memory.views[_last(memory, i)] for i in (before, step))
    assert np.allclose(then.camera.c2w, now.camera.c2w, atol=1e-5)
    return float(np.abs(then.rgb.astype(int) - now.rgb).mean())


def _last(memory: MemorySnapshot, step: int) -> int:
    return memory.steps[step].n_views - 1


# --- pictures --------------------------------------------------------------------------------


def contact_sheet(failing: MemorySnapshot, cured: MemorySnapshot) -> U8:
    """The way out, and the way home as made from either strategy's views; a column a place."""
    home = range(24, 31)
    rows = [
        [failing.views[_last(failing, 46 - step)].rgb for step in home],
        [failing.views[_last(failing, step)].rgb for step in home],
        [cured.views[_last(cured, step)].rgb for step in home],
    ]
    return np.concatenate([_strip(row) for row in rows])


def _strip(frames: Sequence[U8], side: int = 160, gap: int = 4) -> U8:
    small = [cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) for frame in frames]
    edged = [cv2.copyMakeBorder(frame, 0, gap, 0, gap, 0, value=(255,) * 3) for frame in small]  # pyright: ignore
    return np.asarray(cv2.hconcat(edged), np.uint8)


def save_panel(memory: MemorySnapshot) -> None:
    """The figure for a paper, as the program exports it, at the width of this page."""
    retrieval = memory.retrievals[BROKEN]
    assert retrieval is not None
    packed = pack_explanation(memory, retrieval, BROKEN, options=RecordingOptions("uncovered"))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        panel = Image.open(io.BytesIO(archive.read("panel.png"))).convert("RGB")
    panel.thumbnail((1400, 1400), Image.Resampling.LANCZOS)
    save(IMAGES / "debug_panel.png", np.asarray(panel))


def save(path: Path, picture: U8) -> None:
    """As PNG, with fewer colours if it is large."""
    image = Image.fromarray(picture)
    image.save(path, optimize=True)
    for colors in (256, 128, 64):
        if path.stat().st_size <= LIMIT:
            return
        image.quantize(colors, dither=Image.Dither.NONE).save(path, optimize=True)


# --- the debugger ----------------------------------------------------------------------------


def debug(page: Page, app: App, workspace: Workspace, cured: Session) -> None:
    """Walk, find out, mend, with the keys a user would press; a picture at each stop."""
    client = app.clients[0]
    client.commands.set_strides(STEP, TURN)
    client.commands.set_query("strategy", "temporal")
    page.get_by_role("tab", name="Memory").click()
    for word in WALK:
        press(page, workspace, word, 0)
    for _ in range(len(WALK) - BROKEN + 1):
        press(page, workspace, ",", 300)
    while workspace.settings.scene.heat != "uncovered":
        press(page, workspace, "h", 300)
    page.wait_for_timeout(2500)
    save(IMAGES / "debug_step.png", taken(page))

    page.mouse.move(*FACADE)
    press(page, workspace, "o", 1000)
    # So tall that the whole tab is on the page.
    page.set_viewport_size({"width": 1440, "height": 3000})
    page.wait_for_timeout(2500)
    save(IMAGES / "debug_surfel.png", part(page, "Ask a surfel", "Strategies side by side"))
    press(page, workspace, "m", 2500)
    failing_matrix = part(page, "Timeline", "Ask a surfel")
    box = page.locator('[data-vmem="matrix"]').bounding_box()
    assert box is not None
    row, views = (BROKEN + 0.5) / (len(WALK) + 1), len(cured.memory.views)
    page.mouse.click(box["x"] + 0.5 * box["width"] / views, box["y"] + row * box["height"])
    page.wait_for_timeout(1000)
    press(page, workspace, "i", 4000)
    save(IMAGES / "debug_pin.png", part(page, "Explain (, .)", "What if"))
    press(page, workspace, "u", 500)
    press(page, workspace, "b", 4000)
    both = part(page, "Strategies side by side", "Export this explanation (Y)")
    save(IMAGES / "debug_strategies.png", both)

    workspace.session = cured
    client.post(client.show_session)
    page.wait_for_timeout(3000)
    pair = [failing_matrix, part(page, "Timeline", "Ask a surfel")]
    height = min(len(picture) for picture in pair)
    save(IMAGES / "debug_timeline.png", np.concatenate([one[:height] for one in pair], axis=1))


def press(page: Page, workspace: Workspace, key: str, wait: int = 900) -> None:
    """Press a key, and wait until what it began is done."""
    page.keyboard.press(key)
    page.wait_for_timeout(250)
    _until(page, lambda: not workspace.worker.busy)
    page.wait_for_timeout(wait)


def part(page: Page, first: str, after: str) -> U8:
    """The panel from one text to just above another."""
    top, bottom = (
        page.get_by_text(text, exact=True).first.bounding_box() for text in (first, after)
    )
    assert top is not None
    assert bottom is not None
    above = 12
    return taken(page)[round(top["y"]) - above : round(bottom["y"]) - above, PANEL:]


def taken(page: Page) -> U8:
    """The page as it is, (h, w, 3)."""
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"), np.uint8)


if __name__ == "__main__":
    main()
