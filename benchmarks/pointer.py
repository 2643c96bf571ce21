"""From the pointer to the recolour of the surfels: 500 views, 50 k and 200 k surfels, in a browser.

The whole program runs, in this process and in a headless Chromium without a GPU. Measured are a row
of the table pointed at (``row``), a move of the ghost (``ghost``, coloured by weight), a view that
is banned or comes back (``ban``) and another K (``k``), each by a real move of the mouse or a key:

- ``in``: from the page's event until Python hears of it
- ``server``: from then until the colours are handed to viser
- ``ack``: from when Python heard until the page has the colours and has said so (see
viewer.page.backlog)
- ``all``: from the page's event until then

and, of a page that is never at rest, how many recolourings a second it gets while the pointer runs
over the rows, ten a second (``sweep``): the latest wins, the others are dropped.

A page that draws slowly hears late and answers late: measure on a machine that does nothing else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._long_walk import long_walk
from benchmarks._metrics import Metric, Row, measured
from viewer.browser.client import Client
from viewer.server.app import App
from viewer.server.config import ViewerConfig
from vmem.session import Session

SIZES = {"50k": 50_000, "200k": 200_000}
VIEWS = 500
SAMPLES = 24
WARM_UP = 4
REST = 1.0
"""Seconds between samples: the frames that one sets off (viser draws for 0.25 s after each message)
are over when the next begins."""
SWEEP, SWEEP_STEP = 3.0, 0.1
"""Seconds that the pointer runs over the rows, and that it takes for each."""
PATIENCE = 10.0
"""Seconds that a sample may take."""
CHROMIUM = Path(os.environ.get("VMEM_CHROMIUM", "/usr/bin/chromium"))
ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
K = "xpath=//*[text()='Views (K)']/following::*[@role='slider'][1]"
WATCH = """for (const name of ["pointerover", "pointerup", "keydown"])
  addEventListener(name, (event) => {
    window.__began = performance.timeOrigin + event.timeStamp;
  }, true);
"""

METRICS = (
    Metric("pointer.*.sweep", "1/s", "higher"),
    Metric("pointer.*.*.*.median_ms", "ms"),
    Metric("pointer.*.*.*.p95_ms", "ms"),
)


def run() -> Iterator[Row]:
    """Medians and 95th percentiles as dicts of benchmark, metric, value, unit and better."""
    from playwright.sync_api import sync_playwright

    if not CHROMIUM.exists():
        raise SystemExit(f"no Chromium at {CHROMIUM}: set VMEM_CHROMIUM to one")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        for size, surfels in SIZES.items():
            session = long_walk(surfels, VIEWS)
            app = App(ViewerConfig(size=64, mode="step", layout="memory", open=False, save=False))
            # A context of its own: what the last user chose must not count here.
            context = chromium.new_context(viewport={"width": 1280, "height": 720})
            try:
                bench = _Bench(app, context.new_page(), session)
                rate = bench.sweep()
                yield measured(f"pointer.{size}.sweep", rate)
                for what, samples in bench.measured():
                    yield from _rows(f"pointer.{size}.{what}", samples)
            finally:
                context.close()
                app.close()
        chromium.close()


def _rows(name: str, samples: np.ndarray) -> Iterator[Row]:
    """Rows of samples (n, 3): ms of the three legs; the whole way is a row, too."""
    after = samples[:, 1] + samples[:, 2]
    legs = {"in": samples[:, 0], "server": samples[:, 1], "ack": after, "all": samples.sum(axis=1)}
    for leg, ms in legs.items():
        yield measured(f"{name}.{leg}.median_ms", float(np.median(ms)))
        yield measured(f"{name}.{leg}.p95_ms", float(np.quantile(ms, 0.95)))


class _Bench:
    """One browser on one session."""

    def __init__(self, app: App, page: Any, session: Session) -> None:
        self._page = page
        self._page.add_init_script(WATCH)  # before the page's own listeners, which stop some keys
        self._page.goto(app.url)
        self._until(lambda: bool(app.clients))
        self._until(lambda: any(walk.session for walk in app.walks.values()))
        workspace = next(iter(app.walks.values()))
        self._until(lambda: not workspace.worker.busy)
        self._client: Client = app.clients[0]
        workspace.session = session
        self._settings = workspace.settings
        self._client.post(self._client.show_session)
        self._page.get_by_role("tab", name="Memory").click()
        self._until(lambda: self._client.debugger.explained is not None)
        self._watched = _Watched(self._client)
        self._wait(3)

    @property
    def _rows(self) -> Any:
        return self._page.locator("[data-vmem^='row:']")

    def _point(self, i: int) -> None:
        """At one of the first rows."""
        box = self._rows.nth(i % 6).bounding_box()
        self._page.mouse.move(box["x"] + 60, box["y"] + box["height"] / 2)

    def sweep(self) -> float:
        """Recolourings a second while the pointer runs over the rows."""
        before, end, i = self._watched.recolorings, time.monotonic() + SWEEP, 0
        while time.monotonic() < end:
            self._point(i)
            self._wait(SWEEP_STEP)
            i += 1
        rate = (self._watched.recolorings - before) / SWEEP
        self._wait(2 * REST)
        return rate

    def measured(self) -> Iterator[tuple[str, np.ndarray]]:
        """What is done, and samples (SAMPLES, 3) of it, ms."""
        page, commands = self._page, self._client.commands
        yield "row", self._samples(self._point)
        page.mouse.move(300, 500)
        self._settings.mode = "scout"
        commands.set_heat("weight")
        yield "ghost", self._samples(lambda i: self._press("ad"[i % 2]))
        commands.set_heat("uncovered")
        page.keyboard.press("j")
        yield "ban", self._samples(lambda i: self._press("x"))
        page.locator(K).focus()
        yield "k", self._samples(lambda i: self._press(("ArrowLeft", "ArrowRight")[i % 2]))

    def _press(self, key: str) -> None:
        """Down, and up again once the ghost, say, has been seen to fly."""
        self._page.keyboard.down(key)
        try:
            self._until(lambda: self._watched.sent > 0, PATIENCE)
        finally:
            self._page.keyboard.up(key)

    def _samples(self, act: Callable[[int], None]) -> np.ndarray:
        samples = []
        for i in range(WARM_UP + 2 * SAMPLES):
            self._watched.arm()
            try:
                act(i)
                self._until(self._watched.over, PATIENCE)
            except TimeoutError:
                continue  # a page that is behind may take two moves for one
            began = self._page.evaluate("() => window.__began") / 1e3
            samples.append(1e3 * np.diff([began, *self._watched.times]))
            if len(samples) == WARM_UP + SAMPLES:
                return np.array(samples[WARM_UP:])
            self._wait(REST)
        raise TimeoutError(f"only {len(samples)} recolourings came in time")

    def _wait(self, seconds: float) -> None:
        self._page.wait_for_timeout(1e3 * seconds)

    def _until(self, condition: Callable[[], bool], seconds: float = 120.0) -> None:
        """Let the page run until ``condition()``; TimeoutError if it does not come true."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError("it never happened")
            self._wait(0.01)


def _unnoted(*_: object) -> None:
    """Nothing is to be noted."""


class _Watched:
    """When a client hears of something, when it has sent colours, and when these are in the page.

    Seconds since 1970, as the page's clock gives them as well.
    """

    def __init__(self, client: Client) -> None:
        self.heard = self.sent = self.answered = 0.0
        self.mark = self.recolorings = 0
        backlog: Any = client.display.backlog
        backlog.answered = self._around(backlog.answered, after=self._has_answered)
        backlog.mark = self._around(backlog.mark, after=self._has_sent)
        self._backlog = backlog
        actor: Any = client
        actor.post = self._around(client.post, before=self._has_heard)

    def arm(self) -> None:
        self.heard = self.sent = self.answered = 0.0

    def over(self) -> bool:
        return self.answered > 0

    @property
    def times(self) -> tuple[float, float, float]:
        return self.heard, self.sent, self.answered

    @staticmethod
    def _around(
        call: Callable, before: Callable = _unnoted, after: Callable = _unnoted
    ) -> Callable:
        def watched(*arguments: object) -> None:
            before(*arguments)
            call(*arguments)
            after(*arguments)

        return watched

    def _has_heard(self, *_: object) -> None:
        self.heard = self.heard or time.time()

    def _has_sent(self) -> None:
        self.recolorings += 1
        if self.heard and not self.sent:
            self.mark, self.sent = self._backlog.last_mark, time.time()

    def _has_answered(self, mark: str) -> None:
        if self.sent and int(mark) >= self.mark:
            self.answered = self.answered or time.time()
