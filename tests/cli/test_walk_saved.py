"""``vmem walk --save``: the walk as one file beside its folder, also when it ends early."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.fakes import box_backend, box_photo
from vmem.__main__ import main
from vmem.errors import BackendError
from vmem.session import Session


@pytest.fixture
def walk(monkeypatch, capfd, tmp_path) -> Callable[..., tuple[int, str, str]]:
    """Walk three steps in this process with a light backend; (exit code, stdout, stderr)."""
    monkeypatch.setattr("vmem.backends.create_backend", lambda *_, **__: box_backend())
    Image.fromarray(box_photo((64, 64))).save(tmp_path / "room.png")
    monkeypatch.chdir(tmp_path)

    def walk(*options: str) -> tuple[int, str, str]:
        command = ["vmem", "walk", "room.png", "--moves", "w d w", "--size", "64", "--out", "out"]
        monkeypatch.setattr(sys, "argv", [*command, "--save", "room.vmem", *options])
        capfd.readouterr()
        return main(), *capfd.readouterr()

    return walk


def resumed_frames(path: Path) -> list[np.ndarray]:
    """(H, W, 3) u8 of every view of a saved walk, after one more step, which it must allow."""
    session = Session.resume(path, backend=box_backend())
    frames = [view.rgb for view in session.memory.views]
    session.move("s")
    session.close()
    return frames


def exported_frames(folder: Path) -> list[np.ndarray]:
    return [np.array(Image.open(path)) for path in sorted((folder / "frames").iterdir())]


def test_a_walk_is_saved_and_goes_on_where_it_ended(walk, tmp_path):
    code, out, err = walk("--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["save"] == "room.vmem"
    np.testing.assert_array_equal(
        resumed_frames(tmp_path / "room.vmem"), exported_frames(tmp_path / "out")
    )


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), 130), (BackendError("no card"), 1)]
)
def test_what_was_made_is_saved_too_when_it_ends_early(walk, tmp_path, monkeypatch, error, status):
    move, begun = Session.move, []

    def moved(self: Session, word: str):
        begun.append(word)
        if len(begun) == 3:
            raise error
        return move(self, word)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "move", moved)
        assert walk()[0] == status
    frames = resumed_frames(tmp_path / "room.vmem")
    assert len(frames) == 9
    np.testing.assert_array_equal(frames, exported_frames(tmp_path / "out"))


def test_a_file_that_is_there_is_kept(walk, tmp_path):
    (tmp_path / "room.vmem").write_text("mine")
    code, out, err = walk()
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert "room.vmem" in err
    assert (tmp_path / "room.vmem").read_text() == "mine"
    assert not any((tmp_path / "out").iterdir())
