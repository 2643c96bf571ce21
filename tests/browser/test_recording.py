"""A recording opens without Python: as one file, and in viser's own client from any web server."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import viser
from PIL import Image
from playwright.sync_api import Page

from viewer.paint.palette import BACKGROUND
from viewer.share.recording import Recording, RecordingOptions, record_scene
from vmem.memory import MemorySnapshot

pytestmark = pytest.mark.browser

STEP = 6
CLIENT = Path(viser.__file__).parent / "client" / "build"


@pytest.fixture(scope="module")
def recording(walk: MemorySnapshot) -> Recording:
    retrieval = walk.retrievals[STEP]
    assert retrieval is not None
    return record_scene(walk, retrieval, STEP, RecordingOptions("weight"))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Print no access log."""


@pytest.fixture
def site(tmp_path: Path, recording: Recording) -> Iterator[str]:
    """The address of viser's client beside the recording, on a web server for static files."""
    (tmp_path / "index.html").write_bytes((CLIENT / "index.html").read_bytes())
    (tmp_path / "scene.viser").write_bytes(recording.viser)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def check(page: Page, walk: MemorySnapshot, artifact: Path) -> None:
    """The page shows the explanation: true disks, bright where there are votes, and words."""
    retrieval = walk.retrievals[STEP]
    assert retrieval is not None
    page.wait_for_function("() => window.__vmemSurfels?.disks > 0")
    assert page.evaluate("() => window.__vmemSurfels.error") is None
    assert page.evaluate("() => window.__vmemSurfels.disks") == len(retrieval.surfel_weight)
    caption = page.locator("#vmem-caption")
    caption.wait_for()
    assert f"step {STEP}" in caption.inner_text()
    for view in retrieval.order:
        assert f"view {view} (saw" in caption.inner_text()
    # Frustums and their pictures come in after the surfels.
    page.wait_for_timeout(800)
    shot = page.screenshot(path=artifact)
    pixels = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)
    colorful = np.ptp(pixels, axis=2) > 60
    assert colorful.mean() > 0.05
    assert len(np.unique(pixels[colorful] // 16, axis=0)) > 30
    assert (np.abs(pixels - BACKGROUND) > 40).any(axis=2).mean() > 0.1


def test_the_html_opens_from_disk(
    page: Page, walk: MemorySnapshot, recording: Recording, tmp_path: Path, artifacts: Path
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    file = tmp_path / "scene.html"
    file.write_text(recording.html, encoding="utf-8")
    page.goto(f"{file.as_uri()}?fixedDpr=1")
    check(page, walk, artifacts / "recording_html.png")
    assert not [url for url in asked if url.startswith(("http:", "https:", "ws:", "wss:"))]


def test_the_viser_file_plays_in_visers_own_client(
    page: Page, walk: MemorySnapshot, site: str, artifacts: Path
) -> None:
    page.goto(f"{site}/?fixedDpr=1&darkMode&playbackPath={site}/scene.viser")
    check(page, walk, artifacts / "recording_viser.png")
