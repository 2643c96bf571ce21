"""The folder that ``walk`` writes: frames, cameras, retrievals, surfels and a video.

All parts share the walk's world, in which gravity points along +y. A folder may hold an older walk,
which is replaced. Files that no walk wrote are never lost: an export refuses to write over them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from PIL import Image, PngImagePlugin

from vmem.formats.files import ExportError, clear_errors, replacing, set_aside
from vmem.formats.ply import write_ply
from vmem.formats.retrieval_json import write_retrieval_json
from vmem.formats.transforms import PLY_NAME, frame_name, is_of_a_walk, write_transforms
from vmem.formats.video import VideoError, write_video
from vmem.memory import MemorySnapshot

FRAMES, TRANSFORMS = "frames", "transforms.json"
SOFTWARE = "VMem Viewer"
"""What the text field "Software" of a frame's PNG says: how we know our own frames again."""


def check_writable(directory: Path, *, force: bool = False) -> None:
    """Make ``directory`` and try to write a file in it, before hours are spent on a walk.

    Raises ExportError if nothing can be written there, or, unless ``force``, if a walk would write
    over a file that no walk wrote.
    """
    directory = _expanded(directory)
    with clear_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
        if not force:
            _refuse(_foreign(directory) + _foreign_frames(directory / FRAMES))


def export(kind: str, memory: MemorySnapshot, path: str | Path, *, force: bool = False) -> None:
    """Write one kind of KINDS to ``path`` (a folder for "frames" and "walk", else a file).

    A walk or its frames are not written into a folder that has files of the same names which no
    walk wrote, unless ``force``: then those that would be written over are renamed to ``name.old``.
    Raises ExportError for that, for an unknown kind, a path that is none, and where nothing can be
    written.
    """
    if kind not in KINDS:
        raise ExportError(f"unknown export {kind!r}: use one of {', '.join(KINDS)}")
    path = _expanded(path)
    with clear_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind in ("walk", "frames"):
            folder = path / FRAMES if kind == "walk" else path
            others = _foreign(path) if kind == "walk" else []
            if not force:
                _refuse(others + _foreign_frames(folder))
            for old in others + _foreign_frames(folder, below=len(memory.views)):
                set_aside(old)
        KINDS[kind](memory, path)


def export_walk(memory: MemorySnapshot, directory: Path, *, force: bool = False) -> None:
    """Write everything of a walk: the parts of PARTS, in that order, to ``directory``.

    Raises ExportError as ``export`` does. The video is last, and the only part that needs a program
    of its own: at a VideoError all others are written.
    """
    export("walk", memory, directory, force=force)


def write_frames(memory: MemorySnapshot, path: Path) -> None:
    """Write the frame of every view as a PNG to the folder ``path``.

    Frames of a longer walk that was exported there before are removed: they are no view of this.
    """
    path.mkdir(exist_ok=True)
    text = PngImagePlugin.PngInfo()
    text.add_text("Software", SOFTWARE)
    for i, view in enumerate(memory.views):
        with replacing(path / frame_name(i)) as part:
            Image.fromarray(view.rgb).save(part, "PNG", pnginfo=text)
    for old in _numbered(path):
        if int(old.stem) >= len(memory.views) and _is_our_frame(old):
            old.unlink()


def _write_walk(memory: MemorySnapshot, directory: Path) -> None:
    for kind, name in PARTS.items():
        path = directory / name
        with clear_errors(path):
            directory.mkdir(exist_ok=True)
            try:
                KINDS[kind](memory, path)
            except VideoError as error:
                raise VideoError(f"{error}; all other files are written") from error


KINDS: dict[str, Callable[[MemorySnapshot, Path], None]] = {
    "frames": write_frames,
    "transforms": write_transforms,
    "retrieval": write_retrieval_json,
    "surfels": write_ply,
    "video": write_video,
    "walk": _write_walk,
}
"""What writes each kind of export."""

PARTS = {
    "frames": FRAMES,
    "transforms": TRANSFORMS,
    "retrieval": "retrieval.json",
    "surfels": PLY_NAME,
    "video": "walk.mp4",
}
"""Kinds of a walk's parts and their names in its folder, in the order in which they are written."""


def _numbered(folder: Path) -> list[Path]:
    """Files of ``folder`` that are named like a frame, by number; none if it is no folder."""
    return sorted(p for p in folder.glob("*.png") if re.fullmatch(r"\d{6}\.png", p.name))


def _is_our_frame(path: Path) -> bool:
    if not path.is_file():  # to open a pipe is to wait for its writer
        return False
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return image.info.get("Software") == SOFTWARE
    except (OSError, ValueError, SyntaxError):
        return False


def _foreign_frames(folder: Path, below: int = 10**6) -> list[Path]:
    """Files named like the frames of views 0 to ``below`` that no walk wrote."""
    return [p for p in _numbered(folder) if int(p.stem) < below and not _is_our_frame(p)]


def _foreign(directory: Path) -> list[Path]:
    """Other files of a walk's names, if no walk wrote them: all or none, by its cameras' file."""
    if is_of_a_walk(directory / TRANSFORMS):
        return []
    paths = [directory / name for name in PARTS.values() if name != FRAMES]
    return [path for path in paths if path.is_file()]


def _refuse(foreign: list[Path]) -> None:
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise ExportError(
            f"cannot write a walk over {foreign[0]}{more}, which no walk wrote: choose another "
            "output directory, or --force"
        )


def _expanded(path: str | Path) -> Path:
    """``path`` with ``~`` as the home folder; as it is where there is no such user.

    Raises ExportError for what names no file, as ``""``, which a Path would take for the current
    folder.
    """
    if not isinstance(path, str | Path) or str(path) == "" or "\0" in str(path):
        raise ExportError(f"cannot write to {path!r}: give the path of a file or folder")
    return Path(os.path.expanduser(path))
