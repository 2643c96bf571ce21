"""A walk's folder while it is written: what is there after a full disk, an error or a kill."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.fakes import box_backend, box_photo
from tests.support.full_disk import FailingDisk
from vmem.formats import ExportError, VideoError, export_walk, ply, walk_folder
from vmem.formats.files import ABANDONED
from vmem.formats.walk_folder import PARTS, WalkFolder, size_of_parts
from vmem.memory import MemorySnapshot
from vmem.session import Session, SessionConfig


def walked(words: str) -> MemorySnapshot:
    """Steps of two views."""
    session = Session.open(box_photo(), backend=box_backend(), config=SessionConfig(target_views=2))
    for word in words.split():
        session.move(word)
    return session.memory


@pytest.fixture(scope="module")
def long() -> MemorySnapshot:
    """Three steps: seven views."""
    return walked("d w a")


@pytest.fixture(scope="module")
def short() -> MemorySnapshot:
    """Two steps: five views."""
    return walked("w a")


@pytest.fixture
def without_video(monkeypatch) -> None:
    """The video is another test's."""
    monkeypatch.setattr(walk_folder, "write_video", lambda memory, path: None)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def write(memory: MemorySnapshot, folder: Path) -> None:
    """Write a walk step by step, and what describes the steps after an error too."""
    with WalkFolder(folder) as out:
        try:
            for step in range(len(memory.steps)):
                out.add(memory.at_step(step))
        finally:
            out.finish(memory)


def steps_there(folder: Path, memory: MemorySnapshot) -> int | None:
    """The last step whose frames are in the folder, all of which must be whole; None for none."""
    found = names(folder / "frames") if (folder / "frames").is_dir() else set()
    assert found == {f"{view:06d}.png" for view in range(len(found))}
    for view in range(len(found)):
        with Image.open(folder / "frames" / f"{view:06d}.png") as image:
            np.testing.assert_array_equal(np.asarray(image), memory.views[view].rgb)
    ends = [end.n_views for end in memory.steps]
    assert len(found) in (0, *ends), "whole steps"
    return ends.index(len(found)) if found else None


def check_described(folder: Path, memory: MemorySnapshot, last: int | None) -> set[str]:
    """Which of PARTS are there; each must describe the steps to ``last``."""
    there = {part.name for part in PARTS.values() if (folder / part.name).exists()}
    assert last is not None or not there
    for part in PARTS.values():
        if part.name in there:
            content = b"".join(part.content(memory.at_step(last or 0)))
            assert (folder / part.name).read_bytes() == content
    return there


def write_on(
    disk: FailingDisk, memory: MemorySnapshot, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> str | None:
    """Write to a failing disk; the error, which must come exactly where the disk has failed."""
    error = None
    with monkeypatch.context() as patch:
        disk.install(patch)
        try:
            write(memory, folder)
        except ExportError as raised:
            error = str(raised)
    assert disk.failed == (error is not None)
    return error


# --- a full disk -----------------------------------------------------------------------------


@pytest.mark.parametrize("once", [True, False], ids=["one operation fails", "the disk stays full"])
def test_a_disk_that_fails_at_each_operation_leaves_whole_steps(
    short, tmp_path, monkeypatch, without_video, once
):
    described: set[str] = set()
    fails_at = 0
    for fails_at in count():
        folder = tmp_path / str(fails_at)
        folder.mkdir()
        (folder / "notes.txt").write_text("mine")
        error = write_on(FailingDisk(fails_at, once=once), short, folder, monkeypatch)
        if error is None:
            break
        assert "No space left" in error
        assert (folder / "notes.txt").read_text() == "mine"
        assert not list(folder.rglob(".*")), "nothing half written"
        last = steps_there(folder, short)
        described |= check_described(folder, short, last)
        if once:
            assert last == 2, "what a disk refuses once is written in the end"
        assert f"steps 0 to {last}" in error or last in (None, 0, 2)
    assert fails_at > 30
    assert described == {"transforms.json", "retrieval.json", "surfels.ply"} - (
        set() if once else {"surfels.ply"}  # the last one, which fails if any has failed
    )


def test_an_older_walk_stays_whole_until_the_new_one_is(
    long, short, tmp_path, monkeypatch, without_video
):
    short = short.at_step(1)
    export_walk(long, tmp_path)
    before = contents(tmp_path)
    replaced = 0
    for fails_at in count():
        error = write_on(FailingDisk(fails_at), short, tmp_path, monkeypatch)
        if error is None:
            break
        assert "No space left" in error
        if contents(tmp_path) == before:
            assert not replaced
            continue
        # Frames and cameras are the new ones; the part that failed is still the older one's.
        replaced += 1
        assert contents(tmp_path).keys() <= before.keys()
        last = steps_there(tmp_path, short)
        assert last == 1
        assert json.loads((tmp_path / "transforms.json").read_text())["frames"][-1]["step"] == 1
        assert "surfels.ply: No space left" in error
        assert error.endswith("; surfels.ply there is an older walk's")
        shutil.rmtree(tmp_path / "frames")
        (tmp_path / "frames").mkdir()
        for name, content in before.items():
            (tmp_path / name).write_bytes(content)
    assert replaced > 2
    assert steps_there(tmp_path, short) == 1
    assert check_described(tmp_path, short, 1) == {part.name for part in PARTS.values()}


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Callable[[int], Path]]:
    """Makes file systems of so many bytes, where the system lets us."""
    made: list[Path] = []

    def make(size: int) -> Path:
        folder = tmp_path / f"disk{size}"
        folder.mkdir()
        options = ["-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
        try:
            subprocess.run(["mount", *options], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("this process may not mount a file system")
        made.append(folder)
        return folder

    yield make
    for folder in made:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full_leaves_steps_with_all_that_describes_them(short, small_disk):
    """The system's own errors, and room that was kept for the files that are written last."""
    found = []
    for size in range(48 * 1024, 144 * 1024, 8 * 1024):
        folder = small_disk(size)
        with suppress(ExportError):
            write(short, folder)
        assert not list(folder.rglob(".*"))
        last = steps_there(folder, short)
        found.append(last)
        if last is not None:
            assert check_described(folder, short, last) == {part.name for part in PARTS.values()}
    assert found == sorted(found, key=lambda last: -1 if last is None else last)
    assert found[0] is None
    assert found[-1] == 2
    assert len(set(found)) == 4, "each number of steps at some size"


@pytest.mark.parametrize("steps", range(4))
def test_the_room_kept_is_enough(long, steps):
    memory = long.at_step(steps)
    size = sum(len(piece) for part in PARTS.values() for piece in part.content(memory))
    assert size <= size_of_parts(memory) <= 3 * size + 12_000


# --- in order --------------------------------------------------------------------------------


def test_frames_are_there_when_their_step_is(short, tmp_path, without_video):
    with WalkFolder(tmp_path) as out:
        for step, end in enumerate(short.steps):
            out.add(short.at_step(step))
            assert steps_there(tmp_path, short) == step
            assert out.written == end.n_views
            assert names(tmp_path) == {"frames"}
        assert out.finish(short) == 2
    assert check_described(tmp_path, short, 2) == {part.name for part in PARTS.values()}


def test_an_older_walk_is_replaced_at_the_end(long, short, tmp_path, without_video):
    export_walk(long, tmp_path)
    before = contents(tmp_path)
    with WalkFolder(tmp_path) as out:
        out.add(short)
        now = contents(tmp_path)
        assert {name: now[name] for name in before} == before
        out.finish(short)
    assert steps_there(tmp_path, short) == 2


def test_a_walk_that_is_given_up_leaves_the_older_one(long, short, tmp_path, without_video):
    export_walk(long, tmp_path)
    before = contents(tmp_path)
    with WalkFolder(tmp_path) as out:
        out.add(short)
    assert contents(tmp_path) == before


def test_a_file_that_came_meanwhile_is_not_lost(short, tmp_path):
    with WalkFolder(tmp_path) as out:
        out.add(short.at_step(0))
        for name in ("frames/000004.png", "retrieval.json", "walk.mp4"):
            (tmp_path / name).write_text("mine")
        with pytest.raises(ExportError, match=r"000004\.png, which no walk wrote") as error:
            out.finish(short)
    assert not isinstance(error.value, VideoError)
    told = str(error.value)
    assert "retrieval.json, which" in told
    assert "walk.mp4, which" in told
    assert told.endswith("; written: steps 0 to 1")
    for name in ("frames/000004.png", "retrieval.json", "walk.mp4"):
        assert (tmp_path / name).read_text() == "mine"
    assert (tmp_path / "surfels.ply").exists()


def test_one_walk_at_a_time(short, tmp_path):
    with WalkFolder(tmp_path) as out:
        out.add(short)
        before = contents(tmp_path)
        with pytest.raises(ExportError, match="another process is writing a walk there"):
            export_walk(short, tmp_path)
        assert contents(tmp_path) == before
    with WalkFolder(tmp_path):
        pass


def test_what_a_killed_export_left_is_removed_when_it_is_old(short, tmp_path, without_video):
    (tmp_path / "frames").mkdir()
    others = {".vmem-notes.part", ".vmem-0123456789ab", "vmem-0123456789ab.part.png"}
    for folder in (tmp_path, tmp_path / "frames"):
        for name in {".vmem-0123456789ab.part.png", ".vmem-0123456789ab.part", *others}:
            (folder / name).write_text("half")
            os.utime(folder / name, times=(0, time.time() - 2 * ABANDONED))
        (folder / ".vmem-aaaaaaaaaaaa.part.png").write_text("being written")
    others |= {".vmem-aaaaaaaaaaaa.part.png"}
    export_walk(short, tmp_path)
    assert names(tmp_path) - {"frames"} - {part.name for part in PARTS.values()} == others
    assert {name for name in names(tmp_path / "frames") if not name[0].isdigit()} == others


@pytest.mark.parametrize("name", [".writable", ".transforms.part.json", ".000000.part.png"])
def test_hidden_files_of_others_are_left_alone(short, tmp_path, without_video, name):
    (tmp_path / "frames").mkdir()
    for folder in (tmp_path, tmp_path / "frames"):
        (folder / name).write_text("mine")
    export_walk(short, tmp_path)
    for folder in (tmp_path, tmp_path / "frames"):
        assert (folder / name).read_text() == "mine"


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[:-1],
        lambda content: content.replace(b"float radius", b"float weight"),
        lambda content: content.replace(b"little", b"big"),
        lambda content: content.replace(b"element vertex", b"comment vertex"),
        lambda content: content[:40],
        lambda content: b"ply\n",
        lambda content: b"",
    ],
)
def test_other_point_clouds_are_not_of_a_walk(short, tmp_path, change):
    content = b"".join(PARTS["surfels"].content(short))
    path = tmp_path / "surfels.ply"
    path.write_bytes(content)
    assert ply.is_of_a_walk(path)
    path.write_bytes(change(content))
    assert not ply.is_of_a_walk(path)
