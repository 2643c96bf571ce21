"""``vmem walk`` that ends early: what is written by then, what is said, and the exit status."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.support.fakes import box_backend, box_photo
from tests.support.full_disk import FailingDisk
from vmem.__main__ import main
from vmem.errors import BackendError
from vmem.formats import walk_folder
from vmem.session import Session

FILES = {"frames", "transforms.json", "retrieval.json", "surfels.ply", "walk.mp4"}
VIEWS_A_STEP = 4
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "room.png"
    Image.fromarray(box_photo((64, 64))).save(path)
    return path


@pytest.fixture
def walk(monkeypatch, capfd, photo, tmp_path) -> Callable[..., tuple[int, str, str]]:
    """Walk four steps in this process with a light backend; (exit code, stdout, stderr)."""
    monkeypatch.setattr("vmem.backends.create_backend", lambda *_, **__: box_backend())
    term = signal.getsignal(signal.SIGTERM)

    def walk(*options: str) -> tuple[int, str, str]:
        command = ["vmem", "walk", str(photo), "--moves", "w d w a", "--size", "64"]
        monkeypatch.setattr(sys, "argv", [*command, "--out", str(tmp_path / "out"), *options])
        capfd.readouterr()
        try:
            code = main()
        finally:
            signal.signal(signal.SIGTERM, term)
        return code, *capfd.readouterr()

    return walk


def at_step(number: int, monkeypatch, happens: Callable[[], object]) -> None:
    """Have something happen when that step is begun."""
    move, begun = Session.move, []

    def moved(self: Session, word: str):
        begun.append(word)
        if len(begun) == number:
            happens()
        return move(self, word)

    monkeypatch.setattr(Session, "move", moved)


def raising(error: BaseException) -> Callable[[], object]:
    def fail() -> None:
        raise error

    return fail


def check_exported(folder: Path, last: int, but: frozenset[str] | set[str] = frozenset()) -> None:
    """The steps to ``last`` are in the folder as a whole walk is, and nothing else."""
    assert {path.name for path in folder.iterdir()} == FILES - but
    frames = [f"{view:06d}.png" for view in range(1 + VIEWS_A_STEP * last)]
    assert sorted(path.name for path in (folder / "frames").iterdir()) == frames
    for name in frames:
        with Image.open(folder / "frames" / name) as image:
            assert image.size == (64, 64)
            assert np.asarray(image).std() > 5
    transforms = json.loads((folder / "transforms.json").read_text())
    assert [frame["file_path"] for frame in transforms["frames"]] == [f"frames/{n}" for n in frames]
    if "retrieval.json" not in but:
        steps = [entry["step"] for entry in json.loads((folder / "retrieval.json").read_text())]
        assert steps == list(range(1, last + 1))
    if "walk.mp4" not in but:
        with av.open(str(folder / "walk.mp4")) as container:
            assert sum(1 for _ in container.decode(video=0)) == len(frames)


WRITTEN = r"written to \S+/out: steps 0 to 2 of 4"
ENDS = {
    "Ctrl-C": (raising(KeyboardInterrupt()), 130, rf"stopped: {WRITTEN}"),
    "SIGTERM": (lambda: signal.raise_signal(signal.SIGTERM), 130, rf"stopped: {WRITTEN}"),
    "an error": (
        raising(BackendError("the card is lost: start again")),
        1,
        rf"error: step 3 \(w\): the card is lost: start again; {WRITTEN}",
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_a_walk_leaves_the_steps_before(walk, tmp_path, monkeypatch, end):
    happens, status, said = ENDS[end]
    at_step(3, monkeypatch, happens)
    code, out, err = walk()
    assert (code, out) == (status, "")
    assert re.fullmatch(said + "\n", err)
    check_exported(tmp_path / "out", 2)


def test_a_defect_shows_its_traceback_and_what_is_written(walk, tmp_path, monkeypatch):
    at_step(2, monkeypatch, raising(RuntimeError("a defect")))
    with pytest.raises(RuntimeError, match="a defect") as error:
        walk()
    (note,) = error.value.__notes__
    assert note.startswith("step 2 (d) failed; written to ")
    assert note.endswith("out: steps 0 to 1 of 4")
    check_exported(tmp_path / "out", 1)


def test_an_interrupt_before_the_first_frame_says_that_nothing_is_written(
    walk, tmp_path, monkeypatch
):
    monkeypatch.setattr(Session, "open", lambda *_, **__: raising(KeyboardInterrupt())())
    assert walk() == (130, "", "stopped: nothing was written\n")
    assert not any((tmp_path / "out").iterdir())


def test_a_full_disk_leaves_the_steps_before(walk, tmp_path, monkeypatch):
    disk = FailingDisk(40, once=True)  # in step 3, which is tried again on the way out
    with monkeypatch.context() as patch:
        disk.install(patch)
        code, out, err = walk()
    assert (code, out) == (1, "")
    assert err.startswith(f"error: cannot write {tmp_path}/out/frames/000009.png: ")
    assert "No space left on device; make room there (" in err
    assert err.endswith(f"; written to {tmp_path}/out: steps 0 to 3 of 4\n")
    check_exported(tmp_path / "out", 3)


def test_a_failing_encoder_costs_the_video_alone(walk, tmp_path, monkeypatch):
    monkeypatch.setattr("vmem.formats.video.ENCODER", "libx999")
    code, out, err = walk("--json")
    assert code == 1
    assert json.loads(out)["steps"] == 4
    assert err.startswith(f"error: cannot write {tmp_path}/out/walk.mp4: the encoder libx999 ")
    assert err.endswith("; all other files are written\n")
    check_exported(tmp_path / "out", 4, but={"walk.mp4"})


def interrupted_video(monkeypatch) -> None:
    monkeypatch.setattr(walk_folder, "write_video", lambda *_: raising(KeyboardInterrupt())())


def test_an_interrupt_does_not_wait_for_a_long_video(walk, tmp_path, monkeypatch):
    walk()
    before = (tmp_path / "out" / "walk.mp4").read_bytes()
    monkeypatch.setattr("vmem.cli.steps.QUICK_VIDEO", 9 * 64 * 64 - 1)
    at_step(3, monkeypatch, raising(KeyboardInterrupt()))
    code, _, err = walk()
    assert code == 130
    assert err == (
        f"stopped: written to {tmp_path}/out: steps 0 to 2 of 4, without the video; walk.mp4 there "
        "is an older walk's\n"
    )
    assert (tmp_path / "out" / "walk.mp4").read_bytes() == before
    (tmp_path / "out" / "walk.mp4").unlink()
    check_exported(tmp_path / "out", 2, but={"walk.mp4"})


def test_an_interrupt_of_the_video_keeps_all_else(walk, tmp_path, monkeypatch):
    interrupted_video(monkeypatch)
    code, out, err = walk()
    assert (code, out) == (130, "")
    assert err == f"stopped: written to {tmp_path}/out: steps 0 to 4 of 4, without the video\n"
    check_exported(tmp_path / "out", 4, but={"walk.mp4"})


def test_an_interrupt_while_the_rest_is_written_lets_it_be_written(walk, tmp_path, monkeypatch):
    parts = dict(walk_folder.PARTS)
    surfels, calls = parts["surfels"], []

    def content(memory):
        calls.append(memory)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return surfels.content(memory)

    replaced = walk_folder.Part(surfels.name, content, surfels.is_ours)
    monkeypatch.setitem(walk_folder.PARTS, "surfels", replaced)
    code, _, err = walk()
    assert code == 130
    assert err == f"stopped: written to {tmp_path}/out: steps 0 to 4 of 4, without the video\n"
    check_exported(tmp_path / "out", 4, but={"walk.mp4"})


def test_a_second_interrupt_ends_at_once_and_loses_no_frame(walk, tmp_path, monkeypatch):
    at_step(3, monkeypatch, raising(KeyboardInterrupt()))
    interrupted_video(monkeypatch)
    code, out, err = walk()
    assert (code, out) == (130, "")
    assert err.startswith("stopped: at once, while writing; the frames of the steps made are in ")
    check_exported(tmp_path / "out", 2, but={"walk.mp4"})


def test_an_interrupt_after_a_step_and_before_its_frames_loses_nothing(walk, tmp_path, monkeypatch):
    add, calls = walk_folder.WalkFolder.add, []

    def added(self, memory):
        calls.append(memory)
        if len(calls) == 3:
            raise KeyboardInterrupt
        add(self, memory)

    monkeypatch.setattr(walk_folder.WalkFolder, "add", added)
    code, _, err = walk()
    assert (code, err) == (130, f"stopped: written to {tmp_path}/out: steps 0 to 2 of 4\n")
    check_exported(tmp_path / "out", 2)


def test_an_error_before_the_first_frame_keeps_an_older_walk(walk, tmp_path, monkeypatch):
    walk()
    monkeypatch.setattr(Session, "open", lambda *_, **__: raising(BackendError("no card"))())
    assert walk() == (1, "", "error: no card\n")
    check_exported(tmp_path / "out", 4)


def test_pictures_of_others_are_refused_and_by_force_set_aside(walk, tmp_path):
    frames = tmp_path / "out" / "frames"
    frames.mkdir(parents=True)
    for name in ("000000.png", "000100.png"):
        Image.new("RGB", (40, 30), "red").save(frames / name)
    picture = (frames / "000000.png").read_bytes()
    code, out, err = walk()
    assert (code, out) == (1, "")
    assert "000000.png and 1 more, which no walk wrote: choose another output" in err
    assert {path.name for path in frames.iterdir()} == {"000000.png", "000100.png"}
    assert walk("--force")[0] == 0
    assert (frames / "000000.png.old").read_bytes() == picture
    assert (frames / "000100.png").read_bytes() == picture


def test_a_real_process_obeys_ctrl_c(tmp_path):
    """A step that runs in compiled code, and a signal from outside."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "vmem", "walk", "--backend", "world", "--size", "64"]
    process = subprocess.Popen(
        [*command, "--moves", "d*99", "--out", str(out)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (out / "frames" / "000009.png").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=120)
    assert (process.returncode, said) == (130, "")
    assert errors.startswith(f"stopped: written to {out}: steps 0 to ")
    assert errors.count("\n") == 1
    check_exported(out, int(errors.split()[-3]))
