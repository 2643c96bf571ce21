"""Addresses of a walk's views: each fetches its own, those of another branch or walk none."""

from __future__ import annotations

import pytest

from tests.support.fakes import open_box
from viewer.first_person.picture import _FILES, MOST_FILES, _file_of
from viewer.first_person.view_folder import ViewFolder, name_of, view_named
from viewer.page.files import Files
from vmem.memory import MemorySnapshot
from vmem.session import Session
from vmem.types import View


def content_of(view: View) -> bytes:
    assert view.id is not None
    return f"{view.id}, {id(view)}".encode()


@pytest.fixture
def branched() -> Session:
    session = open_box()
    for word in "ww":
        session.move(word)
    session.switch(1)
    session.move("d")
    return session


def test_every_view_is_found_by_its_name_and_nothing_else_is(branched: Session) -> None:
    views = branched.memory.views
    assert [view_named(views, name_of(view)) for view in views] == list(views)
    for name in ("", "0", "0.", ".0", "0.1", "2.0", "9.9", "-1.0", "0.0.0", "1.4", "1" * 30, "a.b"):
        assert view_named(views, name) is None, name
    assert view_named((), "0.0") is None


def test_a_folder_has_the_views_that_are_shown(branched: Session) -> None:
    files = Files()
    folder = ViewFolder(files, content_of)
    there = branched.memory
    ids = folder.show(there.views)
    addresses = [ids(view) for view in there.views]
    assert [files.content(address) for address in addresses] == list(map(content_of, there.views))
    branched.switch(2)
    ids = folder.show(branched.memory.views)
    assert [files.content(address) is None for address in addresses] == [False] * 5 + [True] * 4
    assert [ids(view) for view in branched.memory.views[:5]] == addresses[:5]
    assert files.content(addresses[0].rpartition("/")[0]) is None
    assert files.content(addresses[0] + "/") is None
    ids = folder.show(there.views, anew=True)
    assert all(files.content(address) is None for address in addresses)
    assert files.content(ids(there.views[0])) == content_of(there.views[0])
    folder.close()
    assert files.content(ids(there.views[0])) is None


def test_few_files_are_kept(walk: MemorySnapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[View] = []
    monkeypatch.setattr("viewer.first_person.picture.MOST_FILES", 3)
    monkeypatch.setattr(
        "viewer.first_person.picture.view_file", lambda view: made.append(view) or b"file"
    )
    _FILES.clear()
    for view in (*walk.views[:5], *walk.views[2:5], walk.views[0]):
        assert _file_of(view) == b"file"
    assert made == [*walk.views[:5], walk.views[0]]
    assert len(_FILES) == 3 < MOST_FILES
    _FILES.clear()
