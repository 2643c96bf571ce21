"""A tab whose program was ended, or whose walk was freed: it finds its walk, and hears why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.fakes import box_backend, box_photo, open_box
from tests.support.standins import FakeHandle, until
from tests.support.visits import Browsers
from viewer.server.app import App
from viewer.server.config import ViewerConfig, ViewerError, check
from viewer.walk import saving
from viewer.walk.workspace import Workspace
from vmem.session import Session
from vmem.store import StoreError, WalkFile

Starts = Callable[..., Browsers]


@pytest.fixture
def config(tmp_path: Path) -> ViewerConfig:
    for name in ("room.png", "quay.png"):
        Image.fromarray(box_photo()).save(tmp_path / name)
    return ViewerConfig(photo=tmp_path / "room.png", port=0, size=64, open=False, keep=60.0)


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Starts]:
    """Starts a program with this user's data; the one before has ended, or was killed."""

    def resumed(path: Path, look: bool, *told: object) -> Session:
        return Session.resume(path, backend=box_backend(), read_only=look)

    def created(*names: object, **settings: object) -> Any:
        return box_backend()

    monkeypatch.setenv("VMEM_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(saving, "resumed", resumed)
    monkeypatch.setattr("viewer.walk.workspace.create_backend", created)
    running: list[App] = []

    def start(config: ViewerConfig, session: Session | None = None) -> Browsers:
        while running:
            running.pop().close()
        running.append(App(config, session=session))
        return Browsers(running[-1], monkeypatch)

    yield start
    for app in running:
        app.close()


def shown(pages: Browsers, handle: FakeHandle) -> Workspace:
    """The walk of a page, once all that there is to show is shown."""
    workspace = pages.app.walks[pages.key_of(handle)]
    until(lambda: workspace.session is not None and not workspace.worker.busy)
    client = next(client for client in pages.app.clients if client.handle is handle)
    until(lambda: client._shown_session is workspace.session)
    until(lambda: workspace.saving.news is None)
    return workspace


def walked(pages: Browsers) -> str:
    """The key of a tab that has made a step."""
    handle = pages.comes()
    session = shown(pages, handle).session
    assert session is not None
    session.move("w")
    return pages.key_of(handle)


def steps(workspace: Workspace) -> int:
    assert workspace.session is not None
    return len(workspace.session.memory.steps) - 1


@pytest.mark.parametrize("named", [True, False])
def test_a_tab_finds_its_walk_in_the_next_program(
    named: bool, starts: Starts, config: ViewerConfig
) -> None:
    key = walked(starts(config))
    pages = starts(config if named else replace(config, photo=None))
    handle = pages.comes(key)
    assert steps(shown(pages, handle)) == 1
    assert (
        "Your walk is back",
        "It was saved before the program ended. It is at step 1.",
    ) in handle.notifications


def test_a_program_that_was_started_for_another_photo_shows_that(
    starts: Starts, config: ViewerConfig, tmp_path: Path
) -> None:
    key = walked(starts(config))
    pages = starts(replace(config, photo=tmp_path / "quay.png"))
    handle = pages.comes(key)
    workspace = shown(pages, handle)
    assert steps(workspace) == 0
    assert workspace.source is not None
    assert workspace.source.title == "quay.png"
    ((title, body),) = handle.notifications
    assert title == "A new walk"
    assert "room" in body, "the walk before is named"
    assert "Session" in body


def test_a_walk_that_was_freed_is_opened_again(starts: Starts, config: ViewerConfig) -> None:
    pages = starts(replace(config, keep=0.0))
    key = walked(pages)
    (handle,) = pages.present.values()
    pages.goes(handle)
    until(lambda: not pages.app.walks)
    handle = pages.comes(key)
    assert steps(shown(pages, handle)) == 1
    assert handle.notifications[-1][0] == "Your walk is back"
    assert "closed after 0 seconds" in handle.notifications[-1][1]


def test_what_is_not_saved_is_missed_by_name(
    starts: Starts, config: ViewerConfig, tmp_path: Path
) -> None:
    pages = starts(replace(config, keep=0.0, save=False))
    key = walked(pages)
    (handle,) = pages.present.values()
    pages.goes(handle)
    until(lambda: not pages.app.walks)
    handle = pages.comes(key)
    assert steps(shown(pages, handle)) == 0
    assert "--no-save" in handle.notifications[-1][1]
    assert not (tmp_path / "data").exists()


def test_a_walk_whose_file_is_gone_says_so(
    starts: Starts, config: ViewerConfig, tmp_path: Path
) -> None:
    key = walked(starts(config))
    starts(config)
    for file in (tmp_path / "data" / "walks").glob("*.vmem"):
        file.unlink()
    pages = starts(config)
    handle = pages.comes(key)
    assert steps(shown(pages, handle)) == 0
    assert handle.notifications[-1][0] == "The walk before could not be opened"


def test_a_saved_walk_that_is_named_is_for_the_first_tab(
    starts: Starts, config: ViewerConfig, tmp_path: Path
) -> None:
    path = tmp_path / "mine.vmem"
    session = open_box()
    session.keep(path)
    session.move("w")
    session.close()
    config = replace(config, photo=None, session=path)
    pages = starts(config)
    first = pages.comes()
    assert steps(shown(pages, first)) == 1
    other = shown(pages, pages.comes())
    assert steps(other) == 0
    shown_by = shown(pages, first).session
    assert shown_by is not None
    shown_by.move("w")
    again = starts(config)
    assert steps(shown(again, again.comes(pages.key_of(first)))) == 2


def test_a_session_of_a_script_is_shown_and_left_open(
    starts: Starts, config: ViewerConfig, tmp_path: Path
) -> None:
    key = walked(starts(config))
    session = open_box()
    session.keep(tmp_path / "script.vmem")
    pages = starts(replace(config, photo=None), session)
    assert shown(pages, pages.comes(key)).session is session
    pages.app.close()
    session.move("w")
    assert WalkFile.summary(tmp_path / "script.vmem").steps == 1
    session.close()


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ({"walks_gb": 0.0}, ViewerError, "--walks-gb"),
        ({"session": Path("no.vmem"), "photo": None}, StoreError, r"no\.vmem"),
        ({"session": Path("no.vmem")}, ViewerError, "leave the photo or --session out"),
    ],
)
def test_settings_of_saving_are_checked(
    wrong: dict[str, Any], error: type[Exception], said: str, config: ViewerConfig
) -> None:
    with pytest.raises(error, match=said):
        check(replace(config, **wrong))
