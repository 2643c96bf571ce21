"""The program: what stops it from starting, where it listens, and how walks come and go."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
import viser
from PIL import Image

from tests.support.fakes import box_backend, box_photo
from tests.support.standins import FakeHandle, until
from viewer.server import app as program
from viewer.server.app import App, ViewerConfig, ViewerError
from viewer.walk.workspace import Workspace
from vmem.errors import VMemError


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "room.png"
    Image.fromarray(box_photo()).save(path)
    return path


@pytest.fixture
def config(photo: Path) -> ViewerConfig:
    return ViewerConfig(photo=photo, backend="preview", port=0, size=64, open=False)


@pytest.fixture(autouse=True)
def quick_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "viewer.walk.workspace.create_backend", lambda name, *, seed, size, geometry: box_backend()
    )


@pytest.fixture
def start() -> Iterator[Callable[[ViewerConfig], App]]:
    """Starts programs and closes them in the end."""
    running: list[App] = []

    def started(config: ViewerConfig) -> App:
        running.append(App(config))
        return running[-1]

    yield started
    for app in running:
        app.close()


@pytest.fixture
def busy_port() -> Iterator[int]:
    """A port of this machine on which somebody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def status_of(app: App, path: str = "/", host: str | None = None) -> int:
    """HTTP status of a page."""
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=30)
    try:
        connection.request("GET", path, headers={} if host is None else {"Host": host})
        return connection.getresponse().status
    finally:
        connection.close()


# --- what stops it from starting -----------------------------------------------------------------


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


def test_run_checks_before_it_warms_up(
    config: ViewerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    warmed: list[bool] = []
    monkeypatch.setattr(program, "warm_up", lambda: warmed.append(True))
    with pytest.raises(VMemError):
        program.run(replace(config, size=65))
    assert warmed == []


# --- ports ---------------------------------------------------------------------------------------


def test_a_free_port_that_was_asked_for_is_taken(busy_port: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    assert program._choose_port("127.0.0.1", free) == free


@pytest.mark.parametrize("busy", [0, 1, 5])
def test_without_a_wish_the_first_free_port_from_8080_is_taken(
    busy: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        program, "_why_taken", lambda host, port: "in use" if port < 8080 + busy else ""
    )
    assert program._choose_port("127.0.0.1", None) == 8080 + busy


def test_if_no_port_is_free_the_range_and_the_reason_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(program, "_why_taken", lambda host, port: "in use")
    with pytest.raises(ViewerError, match=r"8080 to 8099.*in use"):
        program._choose_port("127.0.0.1", None)


# --- running -------------------------------------------------------------------------------------


def test_it_serves_its_page_to_this_machine_and_stops(
    config: ViewerConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    app = App(config)
    assert app.token is None
    assert app.url == f"http://127.0.0.1:{app.port}"
    assert app.url in app.line
    assert "backend preview (asked for)" in app.line
    assert status_of(app) == 200
    assert status_of(app, host="evil.example") == 403
    app.close()
    assert program._why_taken("127.0.0.1", app.port) == ""
    assert capsys.readouterr().out == "", "viser's own greeting is kept quiet"


def test_a_port_taken_in_place_of_8080_is_mentioned(
    config: ViewerConfig, start: Callable[[ViewerConfig], App], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "_choose_port", lambda host, asked: 0)
    app = start(replace(config, port=None))
    assert f"8080 is busy, so {app.port}" in app.line


@pytest.mark.parametrize("token", [None, "se&cret/1"])
def test_for_other_machines_a_token_is_needed_and_is_in_the_link(
    token: str | None, config: ViewerConfig, start: Callable[[ViewerConfig], App]
) -> None:
    app = start(replace(config, host="0.0.0.0", token=token))
    assert app.token
    assert token in (None, app.token)
    link = urlsplit(app.url)
    assert parse_qs(link.query) == {"token": [app.token]}
    assert app.url in app.line
    assert status_of(app) == 401
    assert status_of(app, "/?token=wrong") == 401
    assert status_of(app, f"/?{link.query}") == 200


def test_made_up_tokens_differ(config: ViewerConfig, start: Callable[[ViewerConfig], App]) -> None:
    first, second = (start(replace(config, host="0.0.0.0")).token for _ in range(2))
    assert first is not None
    assert second is not None
    assert first != second
    assert len(first) >= 20


def test_a_token_may_be_asked_for_on_this_machine_too(
    config: ViewerConfig, start: Callable[[ViewerConfig], App]
) -> None:
    app = start(replace(config, token="mine"))
    assert status_of(app) == 401
    assert status_of(app, "/?token=mine") == 200


def test_an_address_of_colons_is_put_in_brackets() -> None:
    assert program._url("::1", 8080, None) == "http://[::1]:8080"


def test_the_world_is_a_source_of_its_own(config: ViewerConfig) -> None:
    source = program.check(replace(config, photo=None, backend="world"))
    assert source.photo is None


# --- browsers come and go ------------------------------------------------------------------------


class Browsers:
    """Browsers without pages, that come and go at a program."""

    def __init__(self, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
        self.app = app
        self.present: dict[int, FakeHandle] = {}
        self._count = 0
        monkeypatch.setattr(app.server, "get_clients", lambda: dict(self.present))

    def comes(self, storage: dict[str, str] | None = None, stays: bool = True) -> FakeHandle:
        """A browser that remembers ``storage`` loads the page."""
        self._count += 1
        handle = FakeHandle(self.app.server, self._count)
        handle.local_storage.items = dict(storage or {})
        if stays:
            self.present[handle.client_id] = handle
        self.app._connected(cast(viser.ClientHandle, handle))
        return handle

    def goes(self, handle: FakeHandle) -> dict[str, str]:
        """The browser closes the page; what it remembers."""
        del self.present[handle.client_id]
        self.app._disconnected(cast(viser.ClientHandle, handle))
        return handle.local_storage.items


@pytest.fixture
def app(config: ViewerConfig, start: Callable[[ViewerConfig], App]) -> App:
    return start(config)


@pytest.fixture
def browsers(app: App, monkeypatch: pytest.MonkeyPatch) -> Browsers:
    return Browsers(app, monkeypatch)


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Timers of this test: they go off when told to, unless they were cancelled."""
    made: list[Any] = []

    class Timer:
        def __init__(self, seconds: float, then: Callable[[], None]) -> None:
            self.seconds, self._then = seconds, then
            self.cancelled = False
            made.append(self)

        def start(self) -> None:
            """Nothing happens by itself."""

        def cancel(self) -> None:
            self.cancelled = True

        def goes_off(self) -> None:
            if not self.cancelled:
                self._then()

    monkeypatch.setattr(threading, "Timer", Timer)
    return made


def opened(workspace: Workspace) -> None:
    until(lambda: workspace.session is not None and not workspace.worker.busy)


def test_a_browser_gets_a_walk_into_the_photo(app: App, browsers: Browsers) -> None:
    browser = browsers.comes()
    ((key, workspace),) = app.walks.items()
    assert browser.local_storage.items == {program.STORAGE_KEY: key}
    opened(workspace)
    assert workspace.source is not None
    assert workspace.source.title == "room.png"


def test_every_browser_gets_a_walk_and_settings_of_its_own(app: App, browsers: Browsers) -> None:
    browsers.comes()
    browsers.comes()
    one, other = app.walks.values()
    assert one is not other
    assert one.settings is not other.settings
    assert one.settings.scene is not other.settings.scene


def test_a_reloaded_page_finds_its_walk_again(
    app: App, browsers: Browsers, timers: list[Any]
) -> None:
    browser = browsers.comes()
    (workspace,) = app.walks.values()
    opened(workspace)
    session = workspace.session
    memory = browsers.goes(browser)
    again = browsers.comes(memory)
    assert list(app.walks.values()) == [workspace]
    assert again.local_storage.items == memory
    assert workspace.session is session
    assert not workspace.worker.busy
    assert [timer.cancelled for timer in timers] == [True]


def test_a_second_tab_gets_a_walk_of_its_own(app: App, browsers: Browsers) -> None:
    first = browsers.comes()
    second = browsers.comes(first.local_storage.items)
    assert len(app.walks) == 2
    assert second.local_storage.items != first.local_storage.items


def test_a_walk_is_freed_once_its_browser_stays_away(
    app: App, browsers: Browsers, config: ViewerConfig, timers: list[Any]
) -> None:
    browser = browsers.comes()
    (workspace,) = app.walks.values()
    memory = browsers.goes(browser)
    (timer,) = timers
    assert timer.seconds == config.keep
    assert list(app.walks.values()) == [workspace], "it waits"
    timer.goes_off()
    assert app.walks == {}
    assert not workspace.worker.alive
    browsers.comes(memory)
    assert memory[program.STORAGE_KEY] not in app.walks


def test_a_walk_whose_browser_came_back_is_not_freed(
    app: App, browsers: Browsers, timers: list[Any]
) -> None:
    memory = browsers.goes(browsers.comes())
    browsers.comes(memory)
    timers[0]._then()  # it went off at the very moment of the return
    assert list(app.walks) == [memory[program.STORAGE_KEY]]


def test_real_time_frees_walks_too(
    config: ViewerConfig, start: Callable[[ViewerConfig], App], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = start(replace(config, keep=0.01))
    browsers = Browsers(app, monkeypatch)
    browsers.goes(browsers.comes())
    until(lambda: not app.walks)


def test_a_browser_that_leaves_while_it_connects_is_not_forgotten(
    app: App, browsers: Browsers, timers: list[Any]
) -> None:
    handle = browsers.comes(stays=False)
    (workspace,) = app.walks.values()
    assert app.clients == ()
    assert len(timers) == 1
    browsers.comes(handle.local_storage.items)
    assert list(app.walks.values()) == [workspace]
    opened(workspace)  # the photo that it had no time to open is opened now


def test_closing_stops_every_walk_and_forgets_every_browser(
    app: App, browsers: Browsers, timers: list[Any]
) -> None:
    browsers.comes()
    browsers.goes(browsers.comes())
    workspaces = list(app.walks.values())
    app.close()
    assert app.walks == {}
    assert app.clients == ()
    assert [timer.cancelled for timer in timers] == [True]
    for workspace in workspaces:
        until(lambda workspace=workspace: not workspace.worker.alive)
