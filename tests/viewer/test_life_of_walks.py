"""The program while it runs: what it serves to whom, and how walks come and go."""

from __future__ import annotations

import http.client
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
from tests.support.standins import until
from tests.support.visits import Browsers
from viewer.server import app as program
from viewer.server.app import App
from viewer.server.config import ViewerConfig, check
from viewer.server.port import url, why_taken
from viewer.walk.source import Source
from viewer.walk.workspace import Workspace
from vmem.formats import photos


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
def start() -> Iterator[Callable[..., App]]:
    """Starts programs and closes them in the end."""
    running: list[App] = []

    def started(config: ViewerConfig, source: Source | None = None) -> App:
        running.append(App(config, source))
        return running[-1]

    yield started
    for app in running:
        app.close()


def status_of(app: App, path: str = "/", host: str | None = None) -> int:
    """HTTP status of a page."""
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=30)
    try:
        connection.request("GET", path, headers={} if host is None else {"Host": host})
        return connection.getresponse().status
    finally:
        connection.close()


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
    assert why_taken("127.0.0.1", app.port) == ""
    assert capsys.readouterr().out == "", "viser's own greeting is kept quiet"


def test_a_port_taken_in_place_of_8080_is_mentioned(
    config: ViewerConfig, start: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "choose_port", lambda host, asked: 0)
    app = start(replace(config, port=None))
    assert f"8080 is busy, so {app.port}" in app.line


@pytest.mark.parametrize("token", [None, "se&cret/1"])
def test_for_other_machines_a_token_is_needed_and_is_in_the_link(
    token: str | None, config: ViewerConfig, start: Callable[..., App]
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


def test_made_up_tokens_differ(config: ViewerConfig, start: Callable[..., App]) -> None:
    first, second = (start(replace(config, host="0.0.0.0")).token for _ in range(2))
    assert first is not None
    assert second is not None
    assert first != second
    assert len(first) >= 20


def test_a_token_may_be_asked_for_on_this_machine_too(
    config: ViewerConfig, start: Callable[..., App]
) -> None:
    app = start(replace(config, token="mine"))
    assert status_of(app) == 401
    assert status_of(app, "/?token=mine") == 200


def test_an_address_of_colons_is_put_in_brackets() -> None:
    assert url("::1", 8080, None) == "http://[::1]:8080"


def test_the_world_is_a_source_of_its_own(config: ViewerConfig) -> None:
    source = check(replace(config, photo=None, backend="world"))
    assert source.photo is None


# --- browsers come and go ------------------------------------------------------------------------


@pytest.fixture
def app(config: ViewerConfig, start: Callable[..., App]) -> App:
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
    assert key == browsers.key_of(browser)
    opened(workspace)
    assert workspace.source is not None
    assert workspace.source.title == "room.png"


@pytest.mark.parametrize("sample", [False, True])
def test_the_start_photo_is_decoded_once(
    sample: bool,
    config: ViewerConfig,
    start: Callable[..., App],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoded: list[object] = []
    load = photos._load

    def counted(file: Any, *arguments: Any, **options: Any) -> Any:
        decoded.append(file)
        return load(file, *arguments, **options)

    monkeypatch.setattr(photos, "_load", counted)
    if sample:
        config = replace(config, photo=None)
    app = start(config, check(config))
    browsers = Browsers(app, monkeypatch)
    for _ in range(2):
        browsers.comes()
    for workspace in app.walks.values():
        opened(workspace)
    assert len(decoded) == 1


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
    key = browsers.goes(browsers.comes())
    (workspace,) = app.walks.values()
    opened(workspace)
    session = workspace.session
    again = browsers.comes(key)
    assert app.walks == {key: workspace}
    assert workspace.session is session
    assert not workspace.worker.busy
    assert [timer.cancelled for timer in timers] == [True]
    assert [client.handle for client in app.clients] == [again]


def test_a_second_tab_gets_a_walk_of_its_own(app: App, browsers: Browsers) -> None:
    browsers.comes()
    browsers.comes()
    assert len(app.walks) == 2


@pytest.mark.parametrize("same_page", [True, False])
def test_the_key_takes_over_whatever_is_believed_of_the_old_connection(
    same_page: bool, app: App, browsers: Browsers, timers: list[Any]
) -> None:
    """A laptop has slept: the old connection is dead, and nobody has said so."""
    before = browsers.comes(page="one")
    key = browsers.key_of(before)
    (workspace,) = app.walks.values()
    opened(workspace)
    (old,) = app.clients
    after = browsers.comes(key, page="one" if same_page else "two")
    assert app.walks == {key: workspace}
    assert browsers.sent_away == [(before.client_id, not same_page)]
    assert not old.alive
    (client,) = app.clients
    assert client.handle is after
    browsers.goes(before)  # the system finds out at last
    assert timers == [], "the walk waits for nobody"
    until(lambda: client._shown_session is workspace.session)
    client.post(client.actions.move, "w")
    until(lambda: workspace.session is not None and len(workspace.session.memory.steps) == 2)


def test_a_page_whose_walk_was_opened_elsewhere_takes_nothing_back_by_itself(
    app: App, browsers: Browsers
) -> None:
    holder = browsers.comes()
    browsers.comes(browsers.key_of(holder), elsewhere=True)
    assert [client.handle for client in app.clients] == [holder]
    assert browsers.sent_away == []


def test_a_connection_that_is_late_takes_nothing_from_a_younger_one(
    app: App, browsers: Browsers
) -> None:
    early = browsers.connects()
    late = browsers.comes(browsers.key_of(early))
    app._connected(cast(viser.ClientHandle, early))
    assert [client.handle for client in app.clients] == [late]
    assert browsers.sent_away == [(early.client_id, True)]


def test_a_walk_is_freed_once_its_browser_stays_away(
    app: App, browsers: Browsers, config: ViewerConfig, timers: list[Any]
) -> None:
    browser = browsers.comes()
    (workspace,) = app.walks.values()
    key = browsers.goes(browser)
    (timer,) = timers
    assert timer.seconds == config.keep
    assert list(app.walks.values()) == [workspace], "it waits"
    timer.goes_off()
    assert app.walks == {}
    assert not workspace.worker.alive
    browsers.comes(key)
    assert list(app.walks) == [key], "the tab keeps its key"


def test_a_walk_whose_browser_came_back_is_not_freed(
    app: App, browsers: Browsers, timers: list[Any]
) -> None:
    key = browsers.goes(browsers.comes())
    browsers.comes(key)
    timers[0]._then()  # it went off at the very moment of the return
    assert list(app.walks) == [key]


def test_real_time_frees_walks_too(
    config: ViewerConfig, start: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = start(replace(config, keep=0.01))
    browsers = Browsers(app, monkeypatch)
    browsers.goes(browsers.comes())
    until(lambda: not app.walks)


def test_a_page_that_leaves_while_it_connects_finds_its_walk_later(
    app: App, browsers: Browsers, timers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes before its panels are made: nobody was told of it when its connection ended."""
    handle = browsers.connects()
    begin = app._begin

    def begin_and_lose(*told: Any) -> None:
        begin(*told)
        browsers.present.clear()

    monkeypatch.setattr(app, "_begin", begin_and_lose)
    app._connected(cast(viser.ClientHandle, handle))
    (workspace,) = app.walks.values()
    assert app.clients == ()
    assert len(timers) == 1
    monkeypatch.setattr(app, "_begin", begin)
    browsers.comes(browsers.key_of(handle))
    assert list(app.walks.values()) == [workspace]
    opened(workspace)


def test_a_page_that_is_gone_before_it_says_who_it_is_leaves_nothing(
    app: App, browsers: Browsers
) -> None:
    handle = browsers.connects()
    browsers.present.clear()
    app._connected(cast(viser.ClientHandle, handle))
    assert app.walks == {}


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
