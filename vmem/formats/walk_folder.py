"""The folder of a walk, written while the walk is made: frames step by step, the rest at the end.

All parts share the walk's world, in which gravity points along +y. A folder may hold an older walk,
which is replaced, and stays whole until the new one is. Files that no walk wrote are never lost.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from vmem.formats import frames, ply, retrieval_json, transforms, video
from vmem.formats.files import (
    ExportError,
    Replacements,
    clear_errors,
    remove_abandoned,
    set_aside,
)
from vmem.formats.folder_lock import held
from vmem.formats.frames import FRAMES_NAME, frame_name, frame_png, numbered
from vmem.formats.ply import VERTEX
from vmem.formats.reserve import Reserve
from vmem.formats.video import VIDEO_NAME, VideoError, write_video
from vmem.memory import MemorySnapshot
from vmem.types import View


@dataclass(frozen=True)
class Part:
    """A file of a walk's folder that describes the whole walk."""

    name: str
    """Its file name."""
    content: Callable[[MemorySnapshot], Iterable[bytes]]
    """What it holds, in pieces."""
    is_ours: Callable[[Path], bool]
    """Whether a file of that name is one that a walk wrote."""


TRANSFORMS = Part(
    transforms.TRANSFORMS_NAME, transforms.transforms_content, transforms.is_of_a_walk
)
PARTS = {
    "transforms": TRANSFORMS,
    "retrieval": Part(
        retrieval_json.RETRIEVAL_NAME, retrieval_json.retrieval_content, retrieval_json.is_of_a_walk
    ),
    "surfels": Part(ply.PLY_NAME, ply.ply_content, ply.is_of_a_walk),
}
"""All but the frames and the video, in the order in which they are written."""
_IS_OURS = {part.name: part.is_ours for part in PARTS.values()} | {VIDEO_NAME: video.is_of_a_walk}


class WalkFolder:
    """Writes a walk to a folder as it is made; a context manager, which keeps other walks away.

    Where there is no walk yet, the frames of a step are at their places when `add` returns, all or
    none. Frames of a walk that replaces an older one wait beside their places for `finish`.
    """

    def __init__(self, directory: Path, *, force: bool = False) -> None:
        """force: files that no walk wrote are renamed to ``name.old`` where they are in the way."""
        self.directory = directory
        self.written = 0
        """Number of views whose frames are written."""
        self._force = force
        self._replaces = False
        self._older: dict[str, int] = {}
        self._steps: list[Replacements] = []
        self._reserve: Reserve
        self._leaving = ExitStack()

    def __enter__(self) -> Self:
        """Make the folder and find out whether it can be written to, before hours are spent.

        Raises ExportError where nothing can be written, where another walk is being written, and,
        unless by force, for files of a walk's names that no walk wrote.
        """
        with self._leaving as leaving:
            with clear_errors(self.directory):
                self.directory.mkdir(parents=True, exist_ok=True)
            self._reserve = Reserve(self.directory)
            leaving.callback(self._reserve.release)
            leaving.enter_context(held(self.directory))
            if not self._force:
                places = [self.directory / name for name in _IS_OURS]
                refuse(foreign([*places, *numbered(self._frames)]))
            remove_abandoned(self.directory)
            remove_abandoned(self._frames)
            self._replaces = TRANSFORMS.is_ours(self.directory / TRANSFORMS.name)
            there = {name: self.directory / name for name in _IS_OURS}
            self._older = {name: p.stat().st_ino for name, p in there.items() if p.is_file()}
            self._leaving = leaving.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._leaving.close()

    def add(self, memory: MemorySnapshot) -> None:
        """Write the frames of those views of ``memory`` that have none yet, all or none.

        Room for what describes them is taken too. Raises ExportError if either cannot be.
        """
        step = self._leaving.enter_context(Replacements())
        try:
            self._reserve.grow(size_of_parts(memory))
            stage_frames(step, self._frames, memory.views[self.written :], self.written)
            if not self._replaces:
                step.move(self._claim)
        except BaseException:
            step.discard()  # at once: what is written next may need the room
            raise
        self._steps.append(step)
        self.written = len(memory.views)

    def finish(self, memory: MemorySnapshot, *, with_video: bool = True) -> int:
        """Write what is missing of ``memory``, and what describes it; the last step written.

        Where not all frames can be written, the steps before are, as if they were the whole walk.
        A part that fails leaves the others in place, and its file of an older walk: the ExportError
        comes at the end and names all that failed; it is a VideoError if that is the video alone.
        """
        problems: list[ExportError] = []
        try:
            for step, end in enumerate(memory.steps):
                if end.n_views > self.written:
                    self.add(memory.at_step(step))
        except ExportError as error:
            problems.append(error)
        last = sum(end.n_views <= self.written for end in memory.steps) - 1
        if last < 0:
            raise problems[0]
        outcome = f"written: {steps_to(last)}" if problems else "all other files are written"
        memory = memory.at_step(last)
        self._reserve.release()
        problems += self._describe(memory)
        kind = ExportError if problems else VideoError
        if with_video:
            try:
                self._claim(self.directory / VIDEO_NAME)
                write_video(memory, self.directory / VIDEO_NAME)
            except ExportError as error:
                problems.append(error)
        if problems:
            told = [*map(str, problems), outcome, *self.kept()]
            raise kind("; ".join(told)) from problems[0]
        return last

    def kept(self) -> list[str]:
        """A sentence each about the files of an older walk that were not replaced."""
        return [
            f"{name} there is an older walk's"
            for name, inode in self._older.items()
            if (path := self.directory / name).is_file() and path.stat().st_ino == inode
        ]

    def _describe(self, memory: MemorySnapshot) -> list[ExportError]:
        """Write all PARTS, then move them and the frames that wait; what could not be written.

        Raises ExportError, with nothing moved, where an older walk would lose its cameras to frames
        without any.
        """
        problems: list[ExportError] = []
        made: list[Replacements] = []
        with ExitStack() as leaving:
            for part in PARTS.values():
                file = leaving.enter_context(Replacements())
                try:
                    file.write(self.directory / part.name, part.content(memory))
                    made.append(file)
                except ExportError as error:
                    problems.append(error)
                    if part is TRANSFORMS and self._replaces:
                        raise ExportError(
                            f"{error}; the older walk there was left as it is"
                        ) from error
            for step in self._steps:
                step.move(self._claim)
            for file in made:
                try:
                    file.move(self._claim)
                except ExportError as error:
                    problems.append(error)
        remove_surplus(self._frames, len(memory.views))
        return problems

    @property
    def _frames(self) -> Path:
        return self.directory / FRAMES_NAME

    def _claim(self, path: Path) -> None:
        claim(path, force=self._force)


def steps_to(last: int) -> str:
    """The steps up to ``last``, in words."""
    return f"steps 0 to {last}" if last else "step 0"


def size_of_parts(memory: MemorySnapshot) -> int:
    """Bytes that PARTS take together, at most."""
    views, steps = len(memory.views), len(memory.steps)
    rows = sum(end.n_views for end in memory.steps)
    return (
        1_000 * views + 400 * rows + 4_000 * steps + VERTEX.itemsize * len(memory.surfels) + 8_192
    )


def foreign(paths: Sequence[Path]) -> list[Path]:
    """Those of the places of a walk's files at which something is that no walk wrote."""
    return [
        path
        for path in paths
        if os.path.lexists(path) and not _IS_OURS.get(path.name, frames.is_of_a_walk)(path)
    ]


def refuse(found: Sequence[Path]) -> None:
    """Raise ExportError if anything foreign was found."""
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise ExportError(
            f"cannot write a walk over {found[0]}{more}, which no walk wrote: choose another "
            "output directory, or --force"
        )


def claim(path: Path, *, force: bool) -> None:
    """Keep a foreign file that lies where a walk's is to be written: by ``force`` it is renamed,
    else ExportError is raised."""
    for found in foreign([path]):
        if not force:
            refuse([found])
        with clear_errors(path):
            set_aside(found)


def stage_frames(made: Replacements, folder: Path, views: Sequence[View], first: int) -> None:
    """Make the frames of ``views``, the first of which is number ``first``, to be moved."""
    with clear_errors(folder):
        folder.mkdir(exist_ok=True)
    for number, view in enumerate(views, first):
        made.write(folder / frame_name(number), [frame_png(view)])


def remove_surplus(folder: Path, n_views: int) -> None:
    """Remove frames of a longer walk that was there before: they are no view of this one."""
    for old in numbered(folder):
        if int(old.stem) >= n_views and frames.is_of_a_walk(old):
            with clear_errors(old):
                old.unlink()
