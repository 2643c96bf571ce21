"""A walk's file: what was added is there, to the bit, after any history of steps and undos."""

from __future__ import annotations

import itertools
import os
import resource
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.store.records import (
    ORIGIN,
    SURFELS,
    VIEWS,
    files_in,
    make_record,
    same,
    save_walk,
    without,
)
from vmem.session.history import History
from vmem.store import StoreError, WalkFile, WalkHeld
from vmem.types import StepRecord, ViewId


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A walk of three steps; whoever changes it takes a copy."""
    return save_walk(tmp_path_factory.mktemp("saved") / "walk.vmem", 3)


@pytest.fixture
def walk(saved: Path, tmp_path: Path) -> Path:
    path = tmp_path / "walk.vmem"
    path.write_bytes(saved.read_bytes())
    return path


def test_what_was_added_comes_back_to_the_bit(saved: Path) -> None:
    with WalkFile.open(saved, read_only=True) as file:
        assert file.origin == ORIGIN
        assert (file.head(), file.dropped, file.title) == (3, (), "")
        for node in range(4):
            assert same(file.record(node), make_record(node))
            assert file.seconds(node) == {"a": 0.5}
        row = file.nodes()[2]
        assert (row.id, row.parent, row.label, row.name, row.recent) == (2, 1, "step 2", "", 3)
        assert (row.n_views, row.n_surfels, row.n_links) == (VIEWS, SURFELS, 9)
        view = make_record(2).views[1]
        assert file.camera(ViewId(2, 1))[1] == 2
        assert same(np.asarray(Image.open(BytesIO(file.frame_png(ViewId(2, 1))))), view.rgb)
        assert same(file.retrieval(3), make_record(3).retrieval)
        assert file.retrieval(0) is None


@settings(max_examples=4)
@given(st.sets(st.sampled_from(["provenance", "age", "latents", "geometry_state"])))
def test_optional_parts_may_be_absent(absent: set[str]) -> None:
    with TemporaryDirectory() as folder:
        record = without(make_record(0), *absent)
        with WalkFile.create(Path(folder) / "w.vmem", ORIGIN) as file:
            file.add(0, None, "photo", record, {})
            assert same(file.record(0), record)


@settings(max_examples=5)
@given(st.lists(st.tuples(st.sampled_from("suurg"), st.integers(0, 9)), min_size=4, max_size=12))
def test_steps_and_undos_are_those_of_the_history(moves: list[tuple[str, int]]) -> None:
    history = History(make_record(0, 0), "photo")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "w.vmem"
        with WalkFile.create(path, ORIGIN) as file:
            file.add(0, None, "photo", history.head.record, {})
            for move, number in moves:
                before = history.head
                if move == "s":
                    record = make_record(len(history.nodes), len(before.path()))
                    node = history.add(record, "w")
                    file.add(node.id, before.id, "w", record, {})
                    continue
                target = {"u": before.parent, "r": before.recent}.get(
                    move, history.nodes[number % len(history.nodes)]
                )
                if target is not None:
                    history.move_to(target)
                    file.move_head(target.id)
            inside = file.nodes()
        with WalkFile.open(path, read_only=True) as file:
            assert file.head() == history.head.id
            assert file.nodes() == inside
            for row, node in zip(file.nodes(), history.nodes, strict=True):
                assert row.parent == (node.parent.id if node.parent else None)
                assert row.recent == (node.recent.id if node.recent else None)
            last = history.nodes[-1]
            assert same(file.record(last.id), last.record)


def test_names_and_titles_stay(walk: Path) -> None:
    with WalkFile.open(walk) as file:
        file.title = "Quay: evening"
        file.rename_node(2, "left of the crane")
        file.rename_node(1, "no")
        file.rename_node(1, "")
    with WalkFile.open(walk, read_only=True) as file:
        assert file.title == "Quay: evening"
        assert [row.name for row in file.nodes()] == ["", "", "left of the crane", ""]


def test_a_new_walk_appears_whole_with_its_first_step(tmp_path: Path) -> None:
    path = tmp_path / "new.vmem"
    file = WalkFile.create(path, ORIGIN)
    assert files_in(tmp_path) == {}
    assert file.nodes() == []
    file.title = "early"
    file.add(0, None, "photo", make_record(0), {})
    assert WalkFile.summary(path).title == "early"
    file.close()
    assert list(files_in(tmp_path)) == ["new.vmem"]
    with WalkFile.create(tmp_path / "never.vmem", ORIGIN):
        pass
    assert list(files_in(tmp_path)) == ["new.vmem"]


def test_nothing_is_ever_written_over(walk: Path, tmp_path: Path) -> None:
    late = WalkFile.create(tmp_path / "late.vmem", ORIGIN)
    (tmp_path / "late.vmem").write_text("mine")
    (tmp_path / "log.vmem-wal").write_text("mine")
    before = files_in(tmp_path)
    with pytest.raises(StoreError, match="exists already"):
        WalkFile.create(walk, ORIGIN)
    with pytest.raises(StoreError, match="exists already"):
        late.add(0, None, "photo", make_record(0), {})
    with pytest.raises(StoreError, match="vmem-wal lies"):
        WalkFile.create(tmp_path / "log.vmem", ORIGIN)
    with pytest.raises(StoreError, match="no folder"):
        WalkFile.create(tmp_path / "none" / "w.vmem", ORIGIN)
    with WalkFile.open(walk, read_only=True) as file, pytest.raises(StoreError, match="exists"):
        file.copy_to(tmp_path / "late.vmem")
    assert files_in(tmp_path) == before


@pytest.mark.parametrize(
    ("node", "parent", "words"),
    [(3, 2, "cannot be step 3"), (4, 9, "no step 9"), (4, None, "cannot"), (0, None, "cannot")],
)
def test_steps_that_do_not_fit_are_refused(
    walk: Path, node: int, parent: int | None, words: str
) -> None:
    with WalkFile.open(walk) as file:
        with pytest.raises(StoreError, match=words):
            file.add(node, parent, "w", make_record(4, 4), {})
        assert len(file.nodes()) == 4


def test_views_of_another_step_are_refused(walk: Path) -> None:
    with WalkFile.open(walk) as file, pytest.raises(StoreError, match="cannot have the id"):
        file.add(4, 3, "w", make_record(5, 4), {})


def test_what_is_not_there_is_said(saved: Path) -> None:
    with WalkFile.open(saved, read_only=True) as file:
        for asked in (
            lambda: file.record(9),
            lambda: file.view(ViewId(9, 0)),
            lambda: file.frame_png(ViewId(1, 7)),
            lambda: file.retrieval(-1),
        ):
            with pytest.raises(StoreError, match=r"no .*(step|view) (9|1\.7|-1)"):
                asked()


def test_looking_only_refuses_to_write_and_leaves_nothing(walk: Path, tmp_path: Path) -> None:
    before, stat = files_in(tmp_path), walk.stat()
    with WalkFile.open(walk, read_only=True) as file:
        for change in (
            lambda: file.add(4, 3, "w", make_record(4), {}),
            lambda: file.move_head(0),
            lambda: file.rename_node(1, "x"),
            lambda: setattr(file, "title", "x"),
        ):
            with pytest.raises(StoreError, match="look only"):
                change()
        assert files_in(tmp_path) == before
    assert files_in(tmp_path) == before
    assert walk.stat().st_mtime_ns == stat.st_mtime_ns


def test_a_closed_file_says_so(walk: Path) -> None:
    file = WalkFile.open(walk)
    file.close()
    file.close()
    for asked in (lambda: file.move_head(1), lambda: file.record(1)):
        with pytest.raises(StoreError, match="was closed"):
            asked()


def test_a_file_that_was_moved_or_deleted_takes_no_more(walk: Path) -> None:
    """What is written then would lie in a log beside the old name."""
    away = walk.with_name("away.vmem")
    with WalkFile.open(walk) as file:
        walk.rename(away)
        with pytest.raises(StoreError, match="was moved, deleted or replaced"):
            file.move_head(1)
        away.rename(walk)
        file.move_head(1)
    with WalkFile.open(walk, read_only=True) as file:
        assert file.head() == 1


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_what_names_no_file_is_said(name: str) -> None:
    with pytest.raises(StoreError, match="names no file"):
        WalkFile.summary(name)


def test_a_tilde_is_the_home_folder(walk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(walk.parent))
    assert WalkFile.summary(f"~/{walk.name}").steps == 3


def test_a_summary_says_what_a_list_shows(walk: Path, tmp_path: Path) -> None:
    with WalkFile.open(walk) as file:
        file.title = "Quay"
        held = WalkFile.summary(walk)
        assert held.held_by == f"process {os.getpid()} on {os.uname().nodename}"
        with pytest.raises(WalkHeld, match=f"written by process {os.getpid()}"):
            WalkFile.open(walk)
        file.move_head(1)  # The summary took no lock of this process away.
    summary = WalkFile.summary(walk)
    assert (summary.title, summary.photo, summary.backend) == ("Quay", "quay.jpg", "preview")
    assert (summary.steps, summary.views, summary.held_by) == (3, 4 * VIEWS, "")
    assert summary.size == walk.stat().st_size
    assert summary.created < summary.changed
    assert Image.open(BytesIO(summary.thumbnail)).size == (12, 12)
    assert list(files_in(tmp_path)) == ["walk.vmem"]


def test_a_copy_is_whole_and_nobodys(walk: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.vmem"
    with WalkFile.open(walk) as file:
        file.move_head(1)
        file.copy_to(copy)
        assert WalkFile.summary(copy).held_by == ""
        with WalkFile.open(copy) as other:
            assert other.nodes() == file.nodes()
            assert other.head() == 1
            assert same(other.record(3), make_record(3))
    assert sorted(files_in(tmp_path)) == ["copy.vmem", "walk.vmem"]


def test_a_link_leads_to_the_walk(walk: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.vmem"
    link.symlink_to(walk)
    with WalkFile.open(link) as file:
        file.move_head(0)
        assert list(files_in(tmp_path / "elsewhere")) == ["link.vmem"]
    assert WalkFile.open(walk, read_only=True).head() == 0


@contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_step_that_the_disk_refuses_leaves_everything_as_it_was(walk: Path) -> None:
    big = make_record(4, size=64)
    with WalkFile.open(walk) as file:
        nodes = file.nodes()
        # A log of so many bytes takes some of the step, not all.
        for room in (0, 4_000, 40_000):
            with _files_of_at_most(room), pytest.raises(StoreError, match="check it and its free"):
                file.add(4, 3, "w", big, {})
            assert (file.nodes(), file.head()) == (nodes, 3)
            assert same(file.record(3), make_record(3))
        file.add(4, 3, "w", big, {})
        assert same(file.record(4), big)
    with WalkFile.open(walk, read_only=True) as file:
        assert file.dropped == ()
        assert same(file.record(4), big)


def test_a_full_disk_is_said(walk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vmem.store import connections, schema

    def connect(*place: Any, **options: Any) -> sqlite3.Connection:
        connection = schema.connect(*place, **options)
        connection.execute("PRAGMA max_page_count=12")
        return connection

    monkeypatch.setattr(connections, "connect", connect)
    with WalkFile.open(walk) as file:
        with pytest.raises(StoreError, match="the disk is full; free some space"):
            file.add(4, 3, "w", make_record(4, size=64), {})
        file.rename_node(3, "still writable")
    assert WalkFile.open(walk, read_only=True).nodes()[3].name == "still writable"


def test_a_walk_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    file = WalkFile.create(tmp_path / "w.vmem", ORIGIN)
    with _files_of_at_most(5_000), pytest.raises(StoreError, match="cannot make"):
        file.add(0, None, "photo", make_record(0), {})
    assert files_in(tmp_path) == {}
    file.add(0, None, "photo", make_record(0), {})
    file.close()
    assert list(files_in(tmp_path)) == ["w.vmem"]


def test_reading_goes_on_while_steps_are_written(walk: Path) -> None:
    errors: list[BaseException] = []
    done = threading.Event()
    with WalkFile.open(walk) as file:

        def read() -> None:
            try:
                for node in itertools.cycle(range(4)):
                    assert same(file.record(node), make_record(node))
                    if done.is_set():
                        return
            except BaseException as error:
                errors.append(error)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for thread in readers:
            thread.start()
        for node in range(4, 9):
            file.add(node, node - 1, "w", make_record(node), {})
        done.set()
        for thread in readers:
            thread.join()
        assert errors == []
        assert same(file.record(8), make_record(8))


def test_what_was_expected_is_saved_as_it_is(walk: Path) -> None:
    record = make_record(3)
    frames = np.stack([view.rgb for view in record.views])
    views = tuple(replace(view, rgb=frames[i]) for i, view in enumerate(record.views))
    with WalkFile.open(walk) as file:
        # One step is begun and given up, another made.
        other = make_record(9, 3)
        file.expect(np.stack([view.rgb for view in other.views]))
        assert other.retrieval is not None
        file.expect(other.retrieval)
        file.expect(frames)
        record = replace(
            make_record(4),
            views=tuple(replace(view, id=ViewId(4, view.id.number)) for view in views if view.id),
        )
        assert record.retrieval is not None
        file.expect(record.retrieval)
        file.add(4, 3, "w", record, {})
        assert same(file.record(4), record)
    with pytest.raises(StoreError, match="was closed"):
        file.expect(frames)


def test_records_need_no_answer(tmp_path: Path) -> None:
    record: StepRecord = replace(make_record(1), retrieval=None, request=None)
    with WalkFile.create(tmp_path / "w.vmem", ORIGIN) as file:
        file.add(0, None, "photo", make_record(0), {})
        file.add(1, 0, "w", record, {})
        assert same(file.record(1), record)
