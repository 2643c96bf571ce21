"""How files reach the disk."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from vmem.formats.files import ExportError, Replacements, replacing, write_json


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_the_disk_loses_is_noticed(tmp_path, monkeypatch):
    path = tmp_path / "old.json"
    write_json(path, {"old": True})
    monkeypatch.setattr(os, "fsync", lambda handle: os.ftruncate(handle, 3))
    with pytest.raises(ExportError, match=r"old\.json: what was written reads back differently"):
        write_json(path, {"new": True})
    assert json.loads(path.read_text()) == {"old": True}
    assert names(tmp_path) == {"old.json"}


def test_an_error_that_the_disk_tells_last_is_heard(tmp_path, monkeypatch):
    """An error that file systems on a network give when they are full."""

    def full(handle: int) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    path = tmp_path / "old.bin"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(ExportError, match=r"old\.bin: Disk quota exceeded; make room there"),
        replacing(path) as part,
    ):
        part.write_bytes(b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == {"old.bin"}


def test_files_are_moved_together(tmp_path):
    with Replacements() as made:
        for name in ("a", "b"):
            made.write(tmp_path / name, [b"1", b"2"])
        assert not {"a", "b"} & names(tmp_path)
        made.move()
        assert names(tmp_path) == {"a", "b"}
    assert (tmp_path / "a").read_bytes() == b"12"


def test_what_is_not_moved_is_removed(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with Replacements() as made:
        made.write(tmp_path / "a", [b"new"])
    assert names(tmp_path) == {"a"}
    assert (tmp_path / "a").read_bytes() == b"old"


def test_two_writers_of_one_file_do_not_mix(tmp_path):
    path = tmp_path / "a"
    with replacing(path) as one, replacing(path) as two:
        one.write_bytes(b"one")
        two.write_bytes(b"two")
    assert path.read_bytes() == b"one", "the last to end"
    assert names(tmp_path) == {"a"}


def test_a_file_has_the_usual_permissions(tmp_path):
    usual = tmp_path / "usual"
    usual.touch()
    write_json(tmp_path / "a", 1)
    assert (tmp_path / "a").stat().st_mode == usual.stat().st_mode
