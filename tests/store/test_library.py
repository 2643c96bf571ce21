"""The folder of saved walks: listed, renamed, thrown away, and kept within its cap."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes import open_box
from vmem.store import StoreError, WalkFile, WalkHeld
from vmem.store.library import EMPTY_AFTER, Library, Unreadable, data_folder

Saves = Callable[..., Path]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "walks")


@pytest.fixture
def saves(library: Library) -> Saves:
    """Saves a walk of one step that changed some hours ago, or the photo alone."""

    def saves(name: str, hours: float = 0.0, *, title: str = "", steps: int = 1) -> Path:
        path = library.new_path(name)
        session = open_box()
        session.keep(path)
        for _ in range(steps):
            session.move("w")
        assert session.file is not None
        session.file.title = title
        session.close()
        aged(path, hours)
        return path

    return saves


def aged(path: Path, hours: float) -> None:
    then = time.time() - 3600 * hours
    for file in path.parent.glob(f"{path.name}*"):
        os.utime(file, (then, then))


def total(library: Library) -> int:
    return sum(file.stat().st_size for file in library.folder.rglob("*.vmem"))


def test_walks_are_listed_by_when_they_changed(library: Library, saves: Saves) -> None:
    old, new = saves("a", 5), saves("b", 1)
    (library.folder / "c.vmem").write_bytes(b"not a walk")
    (library.folder / "notes.txt").write_text("not ours")
    broken, *walks = library.recent(9)
    assert isinstance(broken, Unreadable)
    assert "c.vmem" in broken.why
    assert [walk.path for walk in walks] == [new, old]
    assert [walk.path for walk in library.recent(2)] == [broken.path, new]
    assert Library(library.folder / "none").recent(9) == []


@given(st.text(max_size=60))
def test_any_title_makes_a_name_of_its_own_for_a_file(title: str) -> None:
    library = Library(Path(os.environ["VMEM_DATA"]) / "names")  # made once for all examples
    path = library.new_path(title)
    assert path.parent == library.folder
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-[a-z0-9-]{1,40}-[0-9a-f]{6}\.vmem", path.name)


def test_the_data_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert Library.default().folder == Path(os.environ["VMEM_DATA"]) / "walks"
    monkeypatch.setenv("VMEM_DATA", "~/here")
    assert data_folder() == Path.home() / "here"
    monkeypatch.delenv("VMEM_DATA")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert data_folder().name == "vmem"


def test_deleted_walks_are_in_the_trash_whole(library: Library, saves: Saves) -> None:
    path = saves("a")
    kept = library.remove(path)
    assert (kept.parent, kept.exists(), path.exists()) == (library.trash, True, False)
    assert WalkFile.summary(kept).steps == 1
    os.replace(kept, path)
    assert library.remove(path) == kept, "it can be moved back"
    saves("b").rename(path)
    assert library.remove(path) != kept, "nothing in the trash is overwritten"
    assert library.recent(9) == []


def test_what_is_open_is_neither_renamed_nor_deleted(library: Library, saves: Saves) -> None:
    path = saves("a", 100)
    with WalkFile.open(path):
        for change in (library.remove, library.discard, lambda path: library.rename(path, "b")):
            with pytest.raises(WalkHeld, match="process"):
                change(path)
        assert Library(library.folder, cap=1).tidy() == ()
    assert path.exists()


def test_a_damaged_walk_can_be_thrown_away(library: Library, saves: Saves) -> None:
    path = saves("a")
    path.write_bytes(path.read_bytes()[:5000])
    beside = path.with_name(path.name + "-wal")
    beside.write_bytes(b"log")
    kept = library.remove(path)
    assert kept.with_name(kept.name + "-wal").read_bytes() == b"log"
    assert list(library.folder.glob("a*")) == []


def test_the_cap_takes_the_trash_then_the_oldest_without_a_name(
    library: Library, saves: Saves, caplog: pytest.LogCaptureFixture
) -> None:
    thrown = library.remove(saves("thrown"))
    named = saves("named", 50, title="Quay")
    old, new = saves("old", 40), saves("new", 3)
    one = new.stat().st_size
    everything = total(library)

    def tidied(cap: int) -> list[Path]:
        return list(Library(library.folder, cap).tidy())

    assert tidied(everything) == []
    assert tidied(everything - 1) == [thrown]
    assert tidied(everything - one - 1) == [old]
    with caplog.at_level(logging.WARNING):
        assert tidied(1) == [new]
    assert "named or open" in caplog.text
    assert [walk.path for walk in library.recent(9)] == [named]


def test_photos_without_a_step_go_after_a_day(library: Library, saves: Saves) -> None:
    hours = EMPTY_AFTER / 3600 + 1
    gone = saves("gone", hours, steps=0)
    saves("named", hours, steps=0, title="Quay")
    saves("walked", hours)
    saves("fresh", steps=0)
    assert library.tidy() == (gone,)
    assert len(library.recent(9)) == 3


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="VMEM_DATA"):
        Library(tmp_path / "file" / "walks").new_path("a")
