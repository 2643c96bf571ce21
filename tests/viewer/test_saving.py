"""Walks that are saved by themselves: found again, handed over, left, and looked at only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.browsers import a_photo
from tests.support.fakes import box_backend, open_box
from tests.support.standins import Diary, until
from viewer.settings import Settings
from viewer.walk import saving
from viewer.walk.source import Source
from viewer.walk.workspace import Workspace
from vmem.session import Session
from vmem.store import WalkFile
from vmem.store.library import Library

BOX = Source("my box.png", a_photo())


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "walks")


@pytest.fixture
def make(library: Library, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Workspace]]:
    """Makes workspaces that walk in the box, and closes them in the end."""

    def resumed(path: Path, look: bool, *told: Any) -> Session:
        return Session.resume(path, backend=box_backend(), read_only=look)

    def created(*names: object, **settings: object) -> Any:
        return box_backend()

    monkeypatch.setattr(saving, "resumed", resumed)
    monkeypatch.setattr("viewer.walk.workspace.create_backend", created)
    made: list[Workspace] = []

    def make(library: Library | None = library, **settings: Any) -> Workspace:
        made.append(Workspace(Settings(size=64, **settings), library=library))
        return made[-1]

    yield make
    for workspace in made:
        workspace.close()


def opened(workspace: Workspace, begin: Callable[[], None] | None = None) -> Session:
    """The session once it is opened: into the box, or as ``begin`` asks."""
    before = workspace.session
    begin() if begin else workspace.open(BOX)
    until(lambda: workspace.session is not before and not workspace.worker.busy)
    assert workspace.session is not None
    return workspace.session


def path_of(session: Session) -> Path:
    assert session.file is not None
    return session.file.path


def test_a_walk_is_found_again_as_it_was_left(
    make: Callable[..., Workspace], library: Library
) -> None:
    told: list[Path | None] = []
    workspace = make(strategy="votes", seed=3)
    workspace.saving.on_file = told.append
    session = opened(workspace)
    session.move("w")
    path = path_of(session)
    assert told == [path]
    assert path.parent == library.folder
    assert "my-box" in path.name
    frames = [view.rgb.copy() for view in session.memory.views]
    workspace.close()

    later = make()
    again = opened(later, lambda: later.resume(path, said="It was saved."))
    for one, other in zip(frames, again.memory.views, strict=True):
        np.testing.assert_array_equal(one, other.rgb)
    assert (later.settings.strategy, later.settings.seed) == ("votes", 3)
    assert later.saving.take_news() == ("Your walk is back", "It was saved. It is at step 1.")
    assert later.saving.take_news() is None
    assert later.source is not None
    assert (later.source.title, type(later.source.photo)) == ("my box.png", bytes)
    later.walk_along([again.camera.c2w, again.camera.c2w], "turn")
    until(lambda: len(again.memory.steps) == 3)
    assert again.config.association == session.config.association


def test_a_photo_that_nobody_walked_into_leaves_no_file(
    make: Callable[..., Workspace], library: Library
) -> None:
    workspace = make()
    empty = path_of(opened(workspace))
    walked = opened(workspace)
    walked.move("w")
    third = opened(workspace)
    assert empty.exists(), "the page may still show it"
    workspace.saving.close_left()
    assert not empty.exists()
    assert {walk.path for walk in library.recent(9)} == {path_of(walked), path_of(third)}
    workspace.close()
    assert path_of(third).exists(), "its page may come back"


def test_a_walk_that_is_open_can_be_looked_at(make: Callable[..., Workspace]) -> None:
    one, other = make(), make()
    path = path_of(opened(one))
    session = opened(other, lambda: other.resume(path))
    assert session.read_only
    title, body = other.saving.take_news() or ("", "")
    assert title == "You can look only"
    assert "process" in body
    assert any("look only" in remark for remark in other.remarks)
    one.close()
    assert not opened(other, lambda: other.resume(path)).read_only


def test_the_walk_that_is_shown_is_not_opened_again(make: Callable[..., Workspace]) -> None:
    workspace = make()
    session = opened(workspace)
    workspace.resume(path_of(session))
    until(lambda: not workspace.worker.busy)
    assert workspace.session is session


def test_a_walk_that_cannot_be_opened_says_so_and_another_begins(
    make: Callable[..., Workspace], tmp_path: Path
) -> None:
    workspace = make()
    opened(workspace, lambda: workspace.resume(tmp_path / "gone.vmem", otherwise=BOX))
    title, body = workspace.saving.take_news() or ("", "")
    assert title == "The walk before could not be opened"
    assert "gone.vmem" in body
    diary = Diary()
    workspace.listen(diary)
    workspace.resume(tmp_path / "gone.vmem")
    assert "gone.vmem" in diary.wait_for("failed")[0].message


def test_where_nothing_can_be_saved_the_walk_goes_on(
    make: Callable[..., Workspace], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    workspace = make(Library(tmp_path / "file" / "walks"))
    session = opened(workspace)
    assert session.file is None
    title, body = workspace.saving.take_news() or ("", "")
    assert title == "This walk is not saved"
    assert "--no-save" in body
    assert opened(make(None)).file is None


def test_a_session_that_was_lent_is_not_closed(make: Callable[..., Workspace]) -> None:
    session = open_box()
    workspace = make()
    workspace.adopt(session)
    workspace.close()
    session.move("w")


def test_walks_are_named_and_thrown_away(make: Callable[..., Workspace], library: Library) -> None:
    workspace = make()
    left = path_of(opened(workspace))
    left_session = workspace.session
    assert left_session is not None
    left_session.move("w")
    present = opened(workspace)
    workspace.saving.close_left()
    workspace.saving.rename(left, "Quay", present)
    workspace.saving.rename(path_of(present), "Here", present)
    assert [WalkFile.summary(path).title for path in (left, path_of(present))] == ["Quay", "Here"]
    with pytest.raises(OSError, match="open another one first"):
        workspace.saving.remove(path_of(present), present)
    workspace.saving.remove(left, present)
    assert [walk.path for walk in library.recent(9)] == [path_of(present)]
