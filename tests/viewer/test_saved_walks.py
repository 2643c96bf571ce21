"""The list of saved walks in the Session tab, and what its links do."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import viser

from tests.support.browsers import Browser, a_photo
from tests.support.fakes import box_backend, open_box
from tests.support.standins import labelled, until, use
from viewer.page.pointing import PointerEvent
from viewer.panels.session import name_of, walks_html, when
from viewer.settings import Settings
from viewer.walk import saving
from viewer.walk.source import Source
from viewer.walk.workspace import Workspace
from vmem.session import Session
from vmem.store import Summary
from vmem.store.library import Library, Unreadable

NOW = time.mktime((2026, 11, 28, 17, 20, 0, 0, 0, -1))
QUAY = Summary(
    path=Path("quay.vmem"),
    title="",
    photo="<quay>.jpg",
    backend="preview",
    steps=1,
    views=5,
    created=NOW,
    changed=NOW,
    size=3_200_000,
    thumbnail=a_photo(),
    held_by="",
)


def html_of(walk: Summary | Unreadable, present: Path | None = None) -> str:
    return walks_html({"a1": walk}, present, NOW)


def test_a_walk_is_listed_with_what_is_known_of_it() -> None:
    text = html_of(QUAY)
    assert "&lt;quay&gt;.jpg" in text
    assert "1 step · 17:20 · 3.2 MB" in text
    assert "data:image/jpeg;base64," in text
    for link in ("walk-open:a1", "walk-rename:a1", "walk-delete:a1"):
        assert f'data-vmem="{link}"' in text
    assert "walk-look" not in text
    named = html_of(replace(QUAY, title="Evening", steps=12))
    assert "<b>Evening</b>" in named
    assert "&lt;quay&gt;.jpg · 12 steps" in named


def test_only_what_can_be_done_is_offered() -> None:
    held = html_of(replace(QUAY, held_by="process 7 on desk"))
    assert "open in process 7 on desk" in held
    assert "walk-look:a1" in held
    assert "walk-delete" not in held
    ours = html_of(replace(QUAY, held_by=f"process {os.getpid()} on desk"))
    assert "open in another tab" in ours
    present = html_of(QUAY, QUAY.path)
    assert "shown here" in present
    assert ("walk-rename:a1" in present, "walk-open" in present) == (True, False)
    broken = html_of(Unreadable(Path("broken.vmem"), "broken.vmem is <damaged>"))
    assert "<span>is &lt;damaged&gt;" in broken
    assert ("walk-delete:a1" in broken, "walk-open" in broken) == (True, False)
    assert walks_html({}, None, NOW) == ""


@pytest.mark.parametrize("thumbnail", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_a_thumbnail_that_is_none_leaves_its_place(thumbnail: bytes) -> None:
    assert "<i></i>" in html_of(replace(QUAY, thumbnail=thumbnail))


@pytest.mark.parametrize(
    ("days", "said"), [(0, "17:20"), (1, "27 Nov 17:20"), (400, "24 Oct 2025")]
)
def test_moments_are_said_as_shortly_as_they_are_clear(days: int, said: str) -> None:
    assert when(NOW - 86400 * days, NOW) == said


@pytest.fixture
def browser(
    server: viser.ViserServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Browser]:
    """A browser in a walk that is saved, beside another one; its Session tab is open."""

    def resumed(path: Path, look: bool, *told: object) -> Session:
        return Session.resume(path, backend=box_backend(), read_only=look)

    def created(*names: object, **settings: object) -> Any:
        return box_backend()

    monkeypatch.setattr(saving, "resumed", resumed)
    monkeypatch.setattr("viewer.walk.workspace.create_backend", created)
    library = Library(tmp_path)
    other = open_box()
    other.keep(library.new_path("other"))
    other.move("w")
    other.close()
    workspace = Workspace(Settings(mode="step", layout="memory", size=64), library=library)
    workspace.open(Source("box", a_photo()))
    until(lambda: workspace.session is not None and not workspace.worker.busy)
    browser = Browser(server, workspace)
    browser.client.post(browser.client.display.tab_opened, "Session")
    browser.rests()
    yield browser
    browser.client.leave()
    workspace.close()


def clicks(browser: Browser, link: str, path: Path) -> None:
    event = PointerEvent("click", f"walk-{link}:{name_of(path)}", (0.5, 0.5), 1)
    browser.client.post(browser.client.actions.point, event)
    browser.rests()


def paths(browser: Browser) -> tuple[Path, Path]:
    """The walk that is shown, and the other one."""
    library, file = browser.workspace.saving.library, browser.session.file
    assert library is not None
    assert file is not None
    (other,) = (walk.path for walk in library.recent(9) if walk.path != file.path)
    return file.path, other


def test_another_walk_is_opened_and_the_one_before_closed(browser: Browser) -> None:
    browser.presses("KeyW")
    until(lambda: browser.steps == 1)
    present, other = paths(browser)
    before = browser.session
    clicks(browser, "open", other)
    until(lambda: browser.session.file is not None and browser.session.file.path == other)
    browser.rests()
    assert browser.steps == 1
    assert "shown here" in browser.client.display.session.listed
    assert "another tab" not in browser.client.display.session.listed
    with pytest.raises(Exception, match="closed"):
        before.move("w")
    clicks(browser, "open", present)
    until(lambda: browser.session.file is not None and browser.session.file.path == present)


def test_a_walk_is_renamed_in_a_window(browser: Browser, server: viser.ViserServer) -> None:
    _, other = paths(browser)
    clicks(browser, "rename", other)
    labelled(server, "New name")._impl.value = " Evening "
    use(labelled(server, "Rename"))
    browser.rests()
    assert "<b>Evening</b>" in browser.client.display.session.listed
    assert not browser.client.notifications.window_is_open


def test_a_walk_is_deleted_after_a_question(browser: Browser, server: viser.ViserServer) -> None:
    _, other = paths(browser)
    clicks(browser, "delete", other)
    assert other.exists(), "it was only asked"
    use(labelled(server, "Delete"))
    browser.rests()
    assert not other.exists()
    assert (other.parent / "trash" / other.name).exists()
    clicks(browser, "delete", other)
    assert not browser.client.notifications.window_is_open, "it is listed no more"


def test_what_cannot_be_deleted_is_said(browser: Browser, server: viser.ViserServer) -> None:
    present, _ = paths(browser)
    clicks(browser, "delete", present)
    use(labelled(server, "Delete"))
    browser.rests()
    assert present.exists()
    assert browser.handle.notifications[-1][0] == "Not deleted"
