"""The command line: what a walk writes and prints, and how it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.fakes import box_photo
from vmem.__main__ import main

SIZE = "96"
FILES = ["frames", "retrieval.json", "surfels.ply", "transforms.json", "walk.mp4"]


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    """A photo that is wider than high."""
    path = tmp_path_factory.mktemp("photo") / "room.png"
    Image.fromarray(box_photo((120, 160))).save(path)
    return path


def in_a_process(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """``python -m vmem`` as a user runs it, from a folder that is not the project's."""
    root = str(Path(__file__).resolve().parents[2])
    return subprocess.run(
        [sys.executable, "-m", "vmem", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def run(monkeypatch, capfd, tmp_path):
    """Run the command in this process; (exit code, stdout, stderr)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["vmem", *arguments])
        capfd.readouterr()
        try:
            code = main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capfd.readouterr()
        return code, out, err

    return run


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_walk_into_a_photo(photo, tmp_path):
    arguments = ["walk", str(photo), "--moves", "w a", "--backend", "preview"]
    arguments += ["--seed", "0", "--size", SIZE, "--out", "walk", "--json"]
    done = in_a_process(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    report = json.loads(line)
    assert {"views", "surfels", "links", "steps", "seconds"} <= set(report)
    assert (report["views"], report["steps"]) == (9, 2)
    assert report["backend"] == "preview"
    stages = {"open", "retrieve", "generate", "estimate", "associate", "commit", "export", "total"}
    assert set(report["seconds"]) == stages
    assert all(isinstance(spent, float) and spent >= 0 for spent in report["seconds"].values())

    out = tmp_path / "walk"
    assert entries(out) == FILES
    assert entries(out / "frames") == [f"{i:06d}.png" for i in range(9)]
    transforms = json.loads((out / "transforms.json").read_text())
    assert len(transforms["frames"]) == 9
    for frame in transforms["frames"]:
        assert Image.open(out / frame["file_path"]).size == (int(SIZE), int(SIZE))
    assert [entry["step"] for entry in json.loads((out / "retrieval.json").read_text())] == [1, 2]
    header = (out / "surfels.ply").read_bytes()[:400].decode("ascii", "replace")
    assert f"element vertex {report['surfels']}\n" in header


def test_doctor_names_every_backend(tmp_path):
    done = in_a_process("doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for backend in ("preview", "world", "vmem", "auto"):
        assert backend in done.stdout
    assert entries(tmp_path) == []


def test_equal_commands_write_equal_frames(run, photo, tmp_path):
    for name in ("one", "two"):
        arguments = ["--moves", "w d", "--size", SIZE, "--out", name, "--seed", "5"]
        code, _, err = run("walk", str(photo), *arguments)
        assert (code, err) == (0, "")
    for frame in entries(tmp_path / "one" / "frames"):
        one, two = ((tmp_path / name / "frames" / frame).read_bytes() for name in ("one", "two"))
        assert one == two


def test_strategy_and_number_of_views_are_chosen(run, photo, tmp_path):
    arguments = ["--strategy", "temporal", "--k", "2", "--moves", "w*2", "--size", SIZE, "--json"]
    code, out, err = run("walk", str(photo), *arguments, "--out", "chosen")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert (report["strategy"], report["k"]) == ("temporal", 2)
    last = json.loads((tmp_path / "chosen" / "retrieval.json").read_text())[-1]
    assert (last["strategy"], last["k"]) == ("temporal", 2)


def test_without_json_people_are_told(run, photo):
    code, out, err = run("walk", str(photo), "--moves", "w", "--size", SIZE, "--out", "here")
    assert (code, err) == (0, "")
    assert "note: Cropped to a centred square." in out
    assert "backend preview" in out
    assert "5 views" in out
    assert out.rstrip().endswith("written to here")


def test_the_world_needs_no_photo(run, tmp_path):
    arguments = ["--backend", "world", "--moves", "w d", "--size", SIZE, "--out", "w", "--json"]
    code, out, err = run("walk", *arguments)
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert (report["backend"], report["views"]) == ("world", 9)
    assert entries(tmp_path / "w") == FILES
    first = np.array(Image.open(tmp_path / "w" / "frames" / "000000.png"))
    assert first.shape == (int(SIZE), int(SIZE), 3)
    assert first.std() > 5


REFUSED = [
    (["missing.png"], "there is no file missing.png"),
    (["PHOTO", "--moves", "w x"], "unknown move 'x'"),
    (["PHOTO", "--moves", ""], "no moves given"),
    (["PHOTO", "--moves", "w*0"], "must be between 1 and"),
    (["PHOTO", "--strategy", "luck"], "unknown strategy 'luck': use one of votes, coverage"),
    (["PHOTO", "--k", "0"], "k (context_views) must be a whole number between 1 and 64, got 0"),
    (["PHOTO", "--size", SIZE, "--preset", "fast", "--backend", "preview"], "no sampler 'fast'"),
    (["--backend", "world", "--geometry", "layout"], "only cut3r can replace, not layout"),
    (["--backend", "world", "--size", "100"], "multiple of 8"),
    (["PHOTO", "--seed", "-1"], "seed must be a whole number between 0 and"),
    (["PHOTO", "--size", "7"], "nearest valid size is 64"),
    (["PHOTO", "--size", "100"], "multiple of 8"),
    (["PHOTO", "--backend", "magic"], "unknown backend 'magic': use one of auto"),
    (["PHOTO", "--preset", "fast", "--backend", "magic", "--device", "tpu"], "unknown device"),
    (["PHOTO", "--backend", "world"], "takes no photo"),
    (["--backend", "preview"], "needs a photo"),
    (["notes.txt"], "not an image"),
    (["PHOTO", "--out", "notes.txt"], "cannot write notes.txt"),
    (["PHOTO", "--out", "notes.txt/below"], "cannot write notes.txt/below"),
    (["PHOTO", "--out", "x" * 300], "cannot write xxx"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_bad_input_is_refused_in_one_line(run, photo, tmp_path, arguments, message):
    (tmp_path / "notes.txt").write_text("not a photo")
    code, out, err = run("walk", *(str(photo) if a == "PHOTO" else a for a in arguments))
    assert code == 1
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert message in err
    assert (tmp_path / "notes.txt").read_text() == "not a photo"
    assert not list(tmp_path.rglob("*.png"))


def test_refusals_reach_the_shell(tmp_path):
    done = in_a_process("walk", "missing.png", "--moves", "w", "--json", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "error: there is no file missing.png: check the path\n"
    assert entries(tmp_path) == []


@pytest.mark.parametrize("arguments", [["fly"], ["walk", "--sead", "3"], ["walk", "--seed", "x"]])
def test_unknown_words_and_options_are_refused(run, arguments):
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert err


def test_interrupting_says_so(run, photo, monkeypatch):
    from vmem.session import Session

    def interrupted(self: Session, word: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "move", interrupted)
    code, out, err = run("walk", str(photo), "--size", SIZE, "--out", "here")
    assert (code, out) == (130, "")
    assert err.count("\n") == 1
    assert "stopped" in err
