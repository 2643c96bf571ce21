"""The program is killed in the middle of a step and started again: the page that stayed open comes
back to the same walk by itself, in real Chromium."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.support.walking import until
from vmem.store import WalkFile

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL"),
]
ROOT = Path(__file__).parents[2]


class Program:
    """The program on one port, with a data folder of its own."""

    def __init__(self, data: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/?fixedDpr=0.5"
        self._environment = os.environ | {"PYTHONPATH": str(ROOT), "VMEM_DATA": str(data)}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = "--no-open --backend world --size 96 --mode step --layout memory --port"
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "run_viewer.py"), *words.split(), str(self.port)],
            env=self._environment,
            stdout=subprocess.DEVNULL,
        )

    @property
    def serves(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=5):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path)
    program.start()
    yield program
    program.kill()


def place(page: Page) -> str:
    """The line of the Walk tab that says where the walk is."""
    lines = page.evaluate("() => document.body.innerText").split("\n")
    return next((line for line in lines if " surfels" in line), "")


def test_the_page_comes_back_to_its_walk(
    program: Program, page: Page, tmp_path: Path, artifacts: Path
) -> None:
    page.set_viewport_size({"width": 860, "height": 440})
    until(page, lambda: program.serves)
    page.goto(program.url)
    until(page, lambda: place(page).startswith("step 0"))
    for _ in range(6):  # steps that are made one after the other: it is killed in one of them
        page.keyboard.press("w")
    until(page, lambda: not place(page).startswith("step 0"))
    program.kill()
    (path,) = (tmp_path / "walks").glob("*.vmem")
    made = WalkFile.summary(path).steps
    assert 1 <= made < 6

    program.start()
    page.get_by_text("Your walk is back").wait_for(timeout=90_000)
    assert place(page).startswith(f"step {made} ")
    page.screenshot(path=artifacts / "back_after_kill.png")
    page.keyboard.press("a")
    until(page, lambda: place(page).startswith(f"step {made + 1} "))
    assert WalkFile.summary(path).steps == made + 1
