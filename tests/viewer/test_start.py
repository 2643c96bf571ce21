"""The start of the program: what stops it, on which port it listens, and how a signal ends it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import viser
from PIL import Image
from websockets.frames import CloseCode
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from tests.support.fakes import box_photo
from viewer.server import app as program
from viewer.server import port as port_module
from viewer.server.app import App
from viewer.server.config import ViewerConfig, ViewerError
from viewer.server.listener import listener
from vmem.errors import VMemError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path: Path) -> ViewerConfig:
    photo = tmp_path / "room.png"
    Image.fromarray(box_photo()).save(photo)
    return ViewerConfig(photo=photo, backend="preview", port=0, size=64, open=False)


@pytest.fixture
def busy_port() -> Iterator[int]:
    """A port of this machine on which somebody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"size": 65}, "multiple of 8"),
        ({"size": 8}, "nearest valid size is 64"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"backend": "magic"}, "unknown backend"),
        ({"backend": "vmem"}, "cannot run"),
        ({"backend": "world"}, "takes no photo"),
        ({"photo": Path("no-such-photo.png")}, "no-such-photo.png"),
        ({"port": 70000}, "between 0 and 65535"),
        ({"port": -1}, "between 0 and 65535"),
        ({"host": "no-such-host.invalid"}, "no-such-host.invalid"),
    ],
)
def test_a_wrong_setting_is_told_before_a_server_listens(
    wrong: dict[str, Any], said: str, config: ViewerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listen(*arguments: object, **keywords: object) -> None:
        raise AssertionError("a server listens")

    def lookup(host: str, *arguments: object, **keywords: object) -> list[Any]:
        if host.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET,)]

    monkeypatch.setattr(viser, "ViserServer", listen)
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(VMemError) as caught:
        App(replace(config, **wrong))
    assert said in str(caught.value)
    # What the vmem backend lacks takes a screen, all else a line.
    assert len(str(caught.value).splitlines()) <= (23 if wrong.get("backend") == "vmem" else 1)


def test_a_file_that_is_no_photo_stops_the_start(tmp_path: Path, config: ViewerConfig) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no picture")
    with pytest.raises(VMemError, match=r"notes\.txt"):
        App(replace(config, photo=path))


def test_a_busy_port_that_was_asked_for_is_an_error(busy_port: int, config: ViewerConfig) -> None:
    with pytest.raises(ViewerError, match=f"cannot listen on 127.0.0.1:{busy_port}.*--port"):
        App(replace(config, port=busy_port))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="read from /proc")
def test_who_has_a_busy_port_is_named(busy_port: int, config: ViewerConfig) -> None:
    with pytest.raises(ViewerError, match=rf"in use by .+ \(process {os.getpid()}\)\. Choose"):
        App(replace(config, port=busy_port))


def test_a_port_that_nobody_has_and_tables_that_are_not_there_name_nobody(
    busy_port: int, tmp_path: Path
) -> None:
    assert listener(1) == ""
    assert listener(busy_port, tmp_path) == ""


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Backends whose kernels were prepared."""
    prepared: list[str] = []

    def stages(backend: str) -> dict[str, Callable[[], object]]:
        return {"open": lambda: prepared.append(backend)}

    monkeypatch.setattr(program, "stages", stages)
    return prepared


@pytest.mark.parametrize("wrong", [{"size": 65}, {"port": -1}])
def test_run_checks_before_it_prepares_kernels(
    wrong: dict[str, Any], config: ViewerConfig, prepared: list[str]
) -> None:
    with pytest.raises(VMemError):
        program.run(replace(config, **wrong))
    assert prepared == []


def test_a_busy_port_is_found_before_kernels_are_prepared(
    busy_port: int, config: ViewerConfig, prepared: list[str]
) -> None:
    with pytest.raises(ViewerError, match="cannot listen"):
        program.run(replace(config, port=busy_port))
    assert prepared == []


class Broken(Exception):
    """A kernel that cannot be compiled."""


def test_the_page_is_served_while_kernels_are_prepared_and_what_fails_ends_the_program(
    config: ViewerConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    statuses: list[int] = []

    def look_and_fail() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/")
        statuses.append(connection.getresponse().status)
        connection.close()
        raise Broken

    monkeypatch.setattr(program, "stages", lambda backend: {"open": look_and_fail})
    with pytest.raises(Broken):
        program.run(replace(config, port=port))
    assert statuses == [200]
    assert capsys.readouterr().out.startswith(f"VMem Viewer at http://127.0.0.1:{port} ")
    assert port_module.why_taken("127.0.0.1", port) == "", "the server is stopped"


# --- ports ---------------------------------------------------------------------------------------


def test_a_free_port_that_was_asked_for_is_taken(busy_port: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    assert port_module.choose_port("127.0.0.1", free) == free


@pytest.mark.parametrize("busy", [0, 1, 5])
def test_without_a_wish_the_first_free_port_from_8080_is_taken(
    busy: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        port_module, "why_taken", lambda host, port: "in use" if port < 8080 + busy else ""
    )
    assert port_module.choose_port("127.0.0.1", None) == 8080 + busy


def test_if_no_port_is_free_the_range_and_the_reason_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(port_module, "why_taken", lambda host, port: "in use")
    with pytest.raises(ViewerError, match=r"8080 to 8099.*in use"):
        port_module.choose_port("127.0.0.1", None)


# --- signals ---


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM to be handled")
def test_sigterm_ends_the_program_in_good_order_and_soon(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "run_viewer.py"), "--no-open", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--backend", "preview", "--size", "64"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("VMem Viewer at http://127.0.0.1:")
        at = line.split()[3].removeprefix("http://")
        protocol = Subprotocol(f"viser-v{viser.__version__}")
        with connect(f"ws://{at}", origin=Origin(f"http://{at}"), subprotocols=[protocol]) as page:
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            for _ in page:
                """Until it is closed."""
        said, errors = process.communicate(timeout=60)
        took = time.monotonic() - began
    finally:
        process.kill()
    assert page.close_code == CloseCode.GOING_AWAY
    assert process.returncode == 0
    assert said == "\nstopped\n"
    assert "Traceback" not in errors
    assert took < 5
