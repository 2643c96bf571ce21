"""One person's walk as jobs: opening, walking, travelling in history, packing, and going wrong."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.fakes import box_backend, box_photo
from tests.support.standins import PATIENCE, Diary, until
from viewer.settings import Settings
from viewer.walk.jobs import Download
from viewer.walk.source import Source
from viewer.walk.workspace import MAX_WAITING, Workspace
from vmem.backends import Backend
from vmem.cameras import MOVES, apply_move
from vmem.formats.walk import export_walk
from vmem.progress import CancelToken
from vmem.session import Session

SIZE = 64


class Hold:
    """Stops a generator before each frame while it is closed; cancelling gets through."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()
        self.opened.set()

    def __call__(self, frame: int, cancel: CancelToken) -> None:
        self.entered.set()
        until(lambda: self.opened.is_set() or cancel.cancelled)


class Made:
    """Backends that were asked for: (name, seed, size)."""

    def __init__(self, hold: Hold) -> None:
        self.hold = hold
        self.asked: list[tuple[str, int, int]] = []
        self.geometries: list[str | None] = []

    def __call__(self, name: str, *, seed: int, size: int, geometry: str | None) -> Backend:
        self.asked.append((name, seed, size))
        self.geometries.append(geometry)
        return box_backend(self.hold)


def a_photo() -> bytes:
    """The box as the bytes of a PNG file."""
    packed = io.BytesIO()
    Image.fromarray(box_photo()).save(packed, "PNG")
    return packed.getvalue()


PHOTO = Source("box", a_photo())


@pytest.fixture
def hold() -> Hold:
    return Hold()


@pytest.fixture
def made(hold: Hold, monkeypatch: pytest.MonkeyPatch) -> Made:
    made = Made(hold)
    monkeypatch.setattr("viewer.walk.workspace.create_backend", made)
    return made


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def workspace(made: Made, diary: Diary) -> Iterator[Workspace]:
    """A workspace that makes box backends and tells the diary."""
    workspace = Workspace(Settings(size=SIZE, seed=7))
    workspace.listen(diary)
    yield workspace
    workspace.close()


@pytest.fixture
def walking(workspace: Workspace, diary: Diary) -> Workspace:
    """The workspace with the box opened."""
    workspace.open(PHOTO)
    diary.wait_for("finished")
    return workspace


def session_of(workspace: Workspace) -> Session:
    assert workspace.session is not None
    return workspace.session


def steps(workspace: Workspace) -> int:
    return len(session_of(workspace).memory.steps) - 1


def pose(*words: str) -> np.ndarray:
    """Where these moves lead from the origin."""
    c2w = np.eye(4)
    for word in words:
        c2w = apply_move(c2w, MOVES[word])
    return c2w


def done(diary: Diary, change: Callable[[], object]) -> object:
    """The result of the job that ``change`` queues."""
    count = len(diary.of("finished"))
    change()
    return diary.wait_for("finished", count + 1)[-1].result


# --- opening -------------------------------------------------------------------------------------


def test_opening_makes_a_session_of_the_photo_with_the_settings(
    workspace: Workspace, made: Made, diary: Diary
) -> None:
    workspace.settings.context_views, workspace.settings.strategy = 3, "votes"
    workspace.open(PHOTO)
    (event,) = diary.wait_for("finished")
    session = session_of(workspace)
    assert event.label == "open box"
    assert event.result is session
    assert workspace.source is PHOTO
    assert made.asked == [("preview", 7, SIZE)]
    config = session.config
    assert (config.seed, config.context_views, config.strategy) == (7, 3, "votes")
    assert session.memory.views[0].rgb.shape == (SIZE, SIZE, 3)


def test_a_source_without_photo_is_the_procedural_world(
    workspace: Workspace, made: Made, diary: Diary
) -> None:
    workspace.settings.geometry = "layout"  # said of photos: the world knows its depth
    workspace.open(Source("procedural world", None))
    diary.wait_for("failed")  # the box, which stands in for it here, wants a photo
    assert made.asked == [("world", 7, SIZE)]
    assert made.geometries == [None]


def test_a_photo_is_never_given_to_the_world(
    workspace: Workspace, made: Made, diary: Diary
) -> None:
    workspace.settings.backend = "world"  # pyright: ignore[reportAttributeAccessIssue]
    workspace.open(PHOTO)
    diary.wait_for("finished")
    assert made.asked[0][0] == "preview"


@pytest.mark.parametrize("bad", [b"no picture", b""])
def test_a_photo_that_cannot_be_read_keeps_the_walk_that_was(
    bad: bytes, walking: Workspace, diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    before = walking.session
    walking.open(Source("bad", bad))
    (event,) = diary.wait_for("failed")
    assert event.label == "open bad"
    assert "photo" in event.message
    assert walking.session is before
    assert walking.source is PHOTO
    assert caplog.records == []
    done(diary, lambda: walking.walk_along([pose(), pose("w")], "w"))
    assert steps(walking) == 1


def test_a_cancelled_opening_keeps_the_walk_that_was(
    walking: Workspace, made: Made, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = walking.session

    def slow(name: str, *, seed: int, size: int, geometry: str | None) -> Backend:
        walking.worker.cancel()
        return box_backend()

    monkeypatch.setattr("viewer.walk.workspace.create_backend", slow)
    walking.open(Source("other", a_photo()))
    diary.wait_for("cancelled")
    assert walking.session is before
    assert walking.source is PHOTO


def test_opening_another_photo_begins_anew(walking: Workspace, diary: Diary) -> None:
    done(diary, lambda: walking.walk_along([pose(), pose("w")], "w"))
    before = session_of(walking)
    walking.settings.seed = 9
    done(diary, lambda: walking.open(Source("again", a_photo())))
    assert session_of(walking) is not before
    assert steps(walking) == 0
    assert session_of(walking).config.seed == 9


# --- walking -------------------------------------------------------------------------------------


def test_steps_are_walked_in_order_each_from_where_the_last_one_ended(
    walking: Workspace, diary: Diary
) -> None:
    assert walking.walk_along([pose(), pose("w"), pose("w", "w")], "scout")
    assert walking.walk_along([pose(), pose("w", "w", "d")], "d")
    diary.wait_for("finished", 4)
    assert [event.label for event in diary.of("started")[1:]] == [
        "step scout",
        "step scout",
        "step d",
    ]
    memory = session_of(walking).memory
    assert len(memory.views) == 1 + 3 * 4
    ends = [memory.views[end.n_views - 1].camera.c2w for end in memory.steps]
    for end, expected in zip(ends, [(), ("w",), ("w", "w"), ("w", "w", "d")], strict=True):
        np.testing.assert_allclose(end, pose(*expected), atol=1e-12)
    assert [node.label for node in session_of(walking).history.nodes] == [
        "photo",
        "scout",
        "scout",
        "d",
    ]


def test_settings_count_from_the_next_step_on_but_the_seed_is_the_walks(
    walking: Workspace, diary: Diary
) -> None:
    walking.settings.strategy, walking.settings.context_views = "temporal", 2
    walking.settings.seed = 99
    done(diary, lambda: walking.walk_along([pose(), pose("w")], "w"))
    retrieval = session_of(walking).memory.retrievals[-1]
    assert retrieval is not None
    assert (retrieval.strategy, retrieval.k) == ("temporal", 2)
    assert session_of(walking).config.seed == 7


def test_impossible_settings_fail_the_step_and_change_nothing(
    walking: Workspace, diary: Diary
) -> None:
    before = session_of(walking).memory
    walking.settings.context_views = 0
    walking.walk_along([pose(), pose("w")], "w")
    (event,) = diary.wait_for("failed")
    assert "context_views" in event.message
    assert session_of(walking).memory is before


def test_without_a_walk_nothing_is_queued(workspace: Workspace, diary: Diary) -> None:
    assert not workspace.walk_along([pose(), pose("w")], "w")
    workspace.undo()
    workspace.redo()
    workspace.switch(0)
    workspace.export()
    assert not workspace.worker.busy
    assert diary.events == []


def test_too_many_waiting_steps_are_refused_and_cancel_drops_them(
    walking: Workspace, hold: Hold, diary: Diary
) -> None:
    hold.opened.clear()
    assert walking.walk_along([pose(), pose("w")], "w")
    assert hold.entered.wait(PATIENCE)
    for _ in range(MAX_WAITING):
        assert walking.walk_along([pose(), pose("w")], "w")
    assert not walking.walk_along([pose(), pose("w")], "w")
    assert walking.worker.waiting == MAX_WAITING
    before = session_of(walking).memory
    assert walking.worker.cancel() == MAX_WAITING + 1
    diary.wait_for("cancelled")
    assert session_of(walking).memory is before
    hold.opened.set()
    done(diary, lambda: walking.walk_along([pose(), pose("w")], "w"))
    assert steps(walking) == 1


def test_a_flight_is_let_in_whole(walking: Workspace, hold: Hold) -> None:
    hold.opened.clear()
    assert walking.walk_along([pose(), pose("w")], "w")
    assert hold.entered.wait(PATIENCE)
    assert walking.walk_along([pose("w")] * (2 * MAX_WAITING + 1), "scout")
    assert walking.worker.waiting == 2 * MAX_WAITING
    assert not walking.walk_along([pose(), pose("w")], "w")


def test_what_was_queued_for_the_walk_before_is_not_done_in_the_new_one(
    walking: Workspace, hold: Hold, diary: Diary
) -> None:
    old = session_of(walking)
    hold.opened.clear()
    walking.walk_along([pose(), pose("w")], "w")
    assert hold.entered.wait(PATIENCE)
    walking.open(Source("new", a_photo()))
    walking.walk_along([pose(), pose("w", "w")], "late")
    walking.undo()
    hold.opened.set()
    diary.wait_for("cancelled", 2)
    assert [event.label for event in diary.of("cancelled")] == ["step late", "undo"]
    assert len(old.memory.steps) == 2
    assert session_of(walking) is not old
    assert steps(walking) == 0


# --- history -------------------------------------------------------------------------------------


def test_undo_redo_and_switch_are_jobs(walking: Workspace, diary: Diary) -> None:
    for words in (("w",), ("w", "w")):
        done(diary, lambda words=words: walking.walk_along([pose(), pose(*words)], "w"))
    longest = session_of(walking).memory
    assert done(diary, walking.undo) is True
    assert steps(walking) == 1
    assert done(diary, walking.redo) is True
    assert session_of(walking).memory.views == longest.views
    assert done(diary, walking.redo) is False
    done(diary, lambda: walking.switch(0))
    assert steps(walking) == 0
    assert done(diary, walking.undo) is False
    done(diary, lambda: walking.switch(2))
    assert session_of(walking).memory.views == longest.views


def test_undo_takes_back_the_step_that_is_still_being_made(
    walking: Workspace, hold: Hold, diary: Diary
) -> None:
    hold.opened.clear()
    walking.walk_along([pose(), pose("w")], "w")
    assert hold.entered.wait(PATIENCE)
    walking.undo()
    assert steps(walking) == 0
    hold.opened.set()
    diary.wait_for("finished", 3)
    assert steps(walking) == 0
    assert len(session_of(walking).history.nodes) == 2


def test_a_step_after_an_undo_starts_a_branch(walking: Workspace, diary: Diary) -> None:
    done(diary, lambda: walking.walk_along([pose(), pose("w")], "w"))
    done(diary, walking.undo)
    done(diary, lambda: walking.walk_along([pose(), pose("d")], "d"))
    history = session_of(walking).history
    assert [node.label for node in history.nodes] == ["photo", "w", "d"]
    assert history.head.parent is history.nodes[0]


def test_a_switch_to_a_step_that_is_not_there_fails_plainly(
    walking: Workspace, diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    walking.switch(5)
    (event,) = diary.wait_for("failed")
    assert "5" in event.message
    assert caplog.records == []


# --- export and end ------------------------------------------------------------------------------


def test_the_packed_walk_is_what_export_writes(
    walking: Workspace, diary: Diary, tmp_path: Path
) -> None:
    done(diary, lambda: walking.walk_along([pose(), pose("w")], "w"))
    packed = done(diary, walking.export)
    assert isinstance(packed, Download)
    assert packed.name == "walk.zip"
    export_walk(session_of(walking).memory, tmp_path)
    expected = {str(f.relative_to(tmp_path)): f for f in tmp_path.rglob("*") if f.is_file()}
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert archive.testzip() is None
        names = {name for name in archive.namelist() if not name.endswith("/")}
        assert names == set(expected)
        assert {"frames/000004.png", "transforms.json", "surfels.ply", "walk.mp4"} <= names
        for name in names - {"walk.mp4"}:
            assert archive.read(name) == expected[name].read_bytes(), name


def test_without_a_usable_encoder_the_video_alone_is_missing(
    walking: Workspace, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmem.formats.video.ENCODER", "libx999")
    packed = done(diary, walking.export)
    assert isinstance(packed, Download)
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        names = set(archive.namelist())
        assert {"frames/000000.png", "transforms.json", "surfels.ply"} <= names
        assert "walk.mp4" not in names
        assert b"encoder libx999 of FFmpeg" in archive.read("walk.mp4 is missing.txt")


def test_closing_cancels_what_runs_and_ends_the_worker(
    made: Made, hold: Hold, diary: Diary
) -> None:
    workspace = Workspace(Settings(size=SIZE))
    workspace.listen(diary)
    workspace.open(PHOTO)
    diary.wait_for("finished")
    before = session_of(workspace).memory
    hold.opened.clear()
    workspace.walk_along([pose(), pose("w")], "w")
    assert hold.entered.wait(PATIENCE)
    workspace.close()
    until(lambda: not workspace.worker.busy)
    assert session_of(workspace).memory is before
    assert diary.of("cancelled") == [], "nobody listens any more"


def test_who_comes_late_hears_what_the_running_job_said_last(
    walking: Workspace, hold: Hold
) -> None:
    hold.opened.clear()
    walking.walk_along([pose(), pose("w")], "w")
    assert hold.entered.wait(PATIENCE)
    late = Diary()
    walking.listen(late)
    (event,) = late.events
    assert event.kind == "progress"
    assert event.label == "step w"
    hold.opened.set()
    late.wait_for("finished")
    idle = Diary()
    until(lambda: not walking.worker.busy)
    walking.listen(idle)
    assert idle.events == []


def test_a_walk_goes_on_while_nobody_listens(walking: Workspace, diary: Diary) -> None:
    walking.listen(None)
    walking.walk_along([pose(), pose("w")], "w")
    until(lambda: not walking.worker.busy)
    assert steps(walking) == 1
    walking.listen(diary)
    done(diary, walking.undo)
    assert steps(walking) == 0
    assert "step w" not in {label for _, label in diary.story}
