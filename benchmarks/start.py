"""From starting the program to its page, and to what the page is sent first. No browser takes part:
a websocket client says what viser's page says, and takes what it takes.

- ``start.warm``, ``start.cold``: until the page is served, with all kernels compiled and with none
- ``.photo``: until the flat photo is sent; ``.surfels``: until surfels are; ``.cpu``: of the
  process until then
- ``.ratio_before``: in the time of the program that prepares all kernels first, run in turn with it

Every process starts on its own; seconds are medians, ratios those of the medians.
"""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import msgspec.msgpack
import numpy as np
import viser
import zstandard
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from benchmarks._listener import answer_to
from benchmarks._metrics import Metric, Row, measured

METRICS = (
    *(Metric(f"start.{kind}", "s") for kind in ("warm", "cold")),
    *(Metric(f"start.*.{part}", "s") for part in ("photo", "surfels", "cpu")),
    *(Metric(f"start.{kind}.ratio_before", "ratio", tolerance=0.5) for kind in ("warm", "cold")),
    *(
        Metric(f"start.*.{part}.ratio_before", "ratio", tolerance=0.5)
        for part in ("surfels", "cpu")
    ),
)
ROOT = Path(__file__).parents[1]
NOW = (str(ROOT / "run_viewer.py"),)
BEFORE = ("-m", "benchmarks._start_before")
WARM_ROUNDS, COLD_ROUNDS = 5, 3
PATIENCE = 120.0
"""Seconds after which nothing is expected any more."""
CAMERA = {
    "type": "ViewerCameraMessage",
    "wxyz": (1.0, 0.0, 0.0, 0.0),
    "position": (0.0, 0.0, 0.0),
    "fov": 1.0,
    "near": 0.01,
    "far": 100.0,
    "image_height": 480,
    "image_width": 640,
    "look_at": (0.0, 0.0, 1.0),
    "up_direction": (0.0, -1.0, 0.0),
}
"""With its first camera a page says that it is ready."""


@dataclass(frozen=True)
class Started:
    """Seconds since the process was started."""

    page: float
    """Until the page was served."""
    photo: float
    """Until the flat photo was sent; nan: it never was."""
    surfels: float
    """Until surfels were sent."""
    cpu: float
    """CPU seconds of the process until then."""


def run() -> Iterator[Row]:
    """``start.warm`` with compiled kernels and ``start.cold`` without: until the page is served,
    the photo and surfels are sent, and CPU seconds until then; over the same with all kernels
    prepared before the page is served."""
    with tempfile.TemporaryDirectory() as kernels:
        started(NOW, kernels, settle=True)
        pairs = [(started(BEFORE, kernels), started(NOW, kernels)) for _ in range(WARM_ROUNDS)]
        yield from _rows("start.warm", pairs)
    pairs = []
    for _ in range(COLD_ROUNDS):
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
            pairs.append((started(BEFORE, one), started(NOW, other)))
    yield from _rows("start.cold", pairs)


def _rows(name: str, pairs: list[tuple[Started, Started]]) -> Iterator[Row]:
    """Rows of (before, now) pairs."""
    was, now = (np.median([astuple(pair[side]) for pair in pairs], axis=0) for side in (0, 1))
    for place, part in enumerate(("", ".photo", ".surfels", ".cpu")):
        yield measured(name + part, float(now[place]))
        if part != ".photo":
            ratio = float(now[place] / was[place])
            yield measured(f"{name}{part}.ratio_before", ratio)


def started(
    program: tuple[str, ...], kernels: str, *, root: Path = ROOT, settle: bool = False
) -> Started:
    """Start a program of the checkout ``root`` with the kernels of a folder, and end it when it has
    sent surfels; or, to ``settle``, when it compiles no further kernel."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["--no-open", "--backend", "preview", "--port", str(port)]
    # With a data folder of its own: no walk of the user's is opened, and none is left.
    own = {"NUMBA_CACHE_DIR": kernels, "PYTHONPATH": str(root), "VMEM_DATA": f"{kernels}/data"}
    environment = os.environ | own
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *program, *arguments],
        cwd=root,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        page = _served(process, port)
        photo, surfels = _sent(port)
        if settle:
            _settle(kernels)
    finally:
        process.kill()
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = -9
    cpu = used.ru_utime + used.ru_stime
    return Started(page - began, photo - began, surfels - began, cpu)


def _served(process: subprocess.Popen, port: int) -> float:
    """The time at which the page is there."""
    while process.poll() is None:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            connection.request("GET", "/")
            if connection.getresponse().status == 200:
                connection.close()
                return time.perf_counter()
        time.sleep(0.01)
    raise RuntimeError("the program ended before it served a page")


def _sent(port: int) -> tuple[float, float]:
    """The times at which a page is sent the flat photo (nan: never) and the first surfels."""
    at = f"127.0.0.1:{port}"
    version = f"viser-v{viser.__version__}"
    photo = np.nan
    with connect(
        f"ws://{at}",
        origin=f"http://{at}",  # pyright: ignore[reportArgumentType]
        subprotocols=[version],  # pyright: ignore[reportArgumentType]
        compression=None,
        max_size=None,
    ) as page:
        page.send(msgspec.msgpack.encode(CAMERA))
        while True:
            for message in _messages(page):
                name = message.get("name") or ""
                if message["type"] == "LocalStorageGetItemRequestMessage":
                    page.send(msgspec.msgpack.encode(_nothing_kept(message)))
                elif message["type"] == "RunJavascriptMessage":
                    value, channel = answer_to(message["source"])
                    if channel:
                        said = {"uuid": channel, "updates": {"value": value}}
                        page.send(msgspec.msgpack.encode({"type": "GuiUpdateMessage", **said}))
                elif message["type"] == "ImageMessage" and name == "/opening":
                    photo = time.perf_counter()
                elif name.startswith("/surfels/"):
                    return photo, time.perf_counter()


def _messages(page: Connection) -> list[dict[str, Any]]:
    """The next messages of viser, without their arrays."""
    packed = page.recv(PATIENCE)
    assert isinstance(packed, bytes)
    size = int.from_bytes(packed[8:16], "little")
    plain = zstandard.ZstdDecompressor().decompress(packed[16 : 16 + size])
    return msgspec.msgpack.decode(plain)["messages"]


def _nothing_kept(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "LocalStorageGetItemResponseMessage",
        "value": None,
        "error": None,
        "request_uuid": request["request_uuid"],
    }


def _settle(kernels: str) -> None:
    """Until no kernel has been written for five seconds."""
    files, since = -1, time.perf_counter()
    while time.perf_counter() - since < 5:
        now = sum(1 for _ in Path(kernels).rglob("*.nb?"))
        if now != files:
            files, since = now, time.perf_counter()
        time.sleep(0.1)
