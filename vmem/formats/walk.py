"""Exports of a walk by kind: its folder, or one part of it."""

from __future__ import annotations

import os
from pathlib import Path

from vmem.formats.files import ExportError, Replacements, clear_errors
from vmem.formats.frames import numbered
from vmem.formats.video import write_video
from vmem.formats.walk_folder import (
    PARTS,
    WalkFolder,
    claim,
    foreign,
    refuse,
    remove_surplus,
    stage_frames,
)
from vmem.memory import MemorySnapshot

KINDS = ("frames", *PARTS, "video", "walk")
"""What can be exported: the parts of a walk's folder, and all of it."""


def check_writable(directory: Path, *, force: bool = False) -> None:
    """Make ``directory`` and try to write a file in it, before hours are spent on a walk.

    Raises ExportError if nothing can be written there, or, unless ``force``, if a walk would write
    over a file that no walk wrote.
    """
    with WalkFolder(expanded(directory), force=force):
        pass


def export(kind: str, memory: MemorySnapshot, path: str | Path, *, force: bool = False) -> None:
    """Write one kind of KINDS to ``path`` (a folder for "frames" and "walk", else a file).

    A walk or its frames are not written into a folder that has files of the same names which no
    walk wrote, unless ``force``: then those that would be written over are renamed to ``name.old``.
    Raises ExportError for that, for an unknown kind, a path that is none, and where nothing can be
    written.
    """
    if kind not in KINDS:
        raise ExportError(f"unknown export {kind!r}: use one of {', '.join(KINDS)}")
    path = expanded(path)
    with clear_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "walk":
        export_walk(memory, path, force=force)
    elif kind == "frames":
        _export_frames(memory, path, force=force)
    elif kind == "video":
        write_video(memory, path)
    else:
        with Replacements() as made:
            made.write(path, PARTS[kind].content(memory))
            made.move()


def export_walk(memory: MemorySnapshot, directory: Path, *, force: bool = False) -> None:
    """Write everything of a walk to ``directory``.

    Raises ExportError as ``export`` does. The video is last, and the only part that needs an
    encoder: at a VideoError all others are written.
    """
    with WalkFolder(expanded(directory), force=force) as folder:
        folder.add(memory)
        folder.finish(memory)


def _export_frames(memory: MemorySnapshot, folder: Path, *, force: bool) -> None:
    if not force:
        refuse(foreign(numbered(folder)))
    with Replacements() as made:
        stage_frames(made, folder, memory.views, 0)
        made.move(lambda place: claim(place, force=force))
    remove_surplus(folder, len(memory.views))


def expanded(path: str | Path) -> Path:
    """``path`` with ``~`` as the home folder; as it is where there is no such user.

    Raises ExportError for what names no file, as ``""``, which a Path would take for the current
    folder.
    """
    if not isinstance(path, str | Path) or str(path) == "" or "\0" in str(path):
        raise ExportError(f"cannot write to {path!r}: give the path of a file or folder")
    return Path(os.path.expanduser(path))
