"""The folder in which walks are kept by themselves: list, rename, delete, and keep it small."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vmem.store.values import StoreError, Summary, WalkHeld
from vmem.store.walk_file import WalkFile

log = logging.getLogger(__name__)

SUFFIX = ".vmem"
"""Of a walk's file."""
CAP = 10_000_000_000
"""Bytes that all walks, named ones and the trash included, take by default at most."""
EMPTY_AFTER = 24 * 3600.0
"""Seconds after which a photo into which nobody took a step is no walk to be kept."""
_BESIDE = ("-wal", "-shm")
_WALKS, _TRASH = "walks", "trash"


def data_folder() -> Path:
    """Where the program keeps its data: VMEM_DATA if it is set, else the platform's place."""
    chosen = os.environ.get("VMEM_DATA")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return platformdirs.user_data_path("vmem", appauthor=False)


@dataclass(frozen=True)
class Unreadable:
    """A file in the folder of which nothing can be said."""

    path: Path
    """The file."""
    why: str
    """What is wrong with it, in a line."""


@dataclass(frozen=True)
class Library:
    """Walks in a folder. Deleted ones go to a folder "trash" in it, on every system alike, and are
    the first that leave it for good when room is needed."""

    folder: Path
    """Where the files are; made when the first walk is."""
    cap: int = CAP
    """Bytes that all may take."""

    @classmethod
    def default(cls, cap: int = CAP) -> Library:
        """The user's own, in `data_folder`."""
        return cls(data_folder() / _WALKS, cap)

    @property
    def trash(self) -> Path:
        """Where deleted walks are."""
        return self.folder / _TRASH

    def new_path(self, title: str) -> Path:
        """Where a new walk into what is called ``title`` goes: no file is there. Makes the folder.

        Raises StoreError where it cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot make the folder {self.folder} for walks: {error.strerror}. Set VMEM_DATA "
                "to a folder that can be written, or start with --no-save"
            ) from error
        words = re.sub(r"[^a-z0-9]+", "-", Path(title).stem.lower()).strip("-")[:40] or "walk"
        return self.folder / f"{time.strftime('%Y-%m-%d')}-{words}-{secrets.token_hex(3)}{SUFFIX}"

    def recent(self, count: int) -> list[Summary | Unreadable]:
        """The walks that changed last, the latest first, at most ``count``."""
        return [_look(path) for path in self._files()[:count]]

    def rename(self, path: Path, title: str) -> None:
        """Name a walk, or take its name away with "". Raises WalkHeld and StoreError."""
        with contextlib.closing(WalkFile.open(path)) as file:
            file.title = title

    def remove(self, path: Path) -> Path:
        """Move a walk to the trash; its place there. Raises WalkHeld if somebody writes it, and
        StoreError where it cannot be moved."""
        self._settle(path)
        goal = self.trash / path.name
        while goal.exists():
            goal = self.trash / f"{path.stem}-{secrets.token_hex(3)}{SUFFIX}"
        try:
            self.trash.mkdir(exist_ok=True)
            for beside in _BESIDE:  # of a damaged file: without its log it would be another one
                log_file = path.with_name(path.name + beside)
                if log_file.exists():
                    os.replace(log_file, goal.with_name(goal.name + beside))
            os.replace(path, goal)
            os.utime(goal)  # the trash is emptied in the order of deleting
        except OSError as error:
            raise StoreError(f"cannot move {path} to {self.trash}: {error.strerror}") from error
        return goal

    def discard(self, path: Path) -> None:
        """Delete a walk for good. Raises WalkHeld and StoreError."""
        WalkFile.open(path).close()
        try:
            _unlink(path)
        except OSError as error:
            raise StoreError(f"cannot delete {path}: {error.strerror}") from error

    def tidy(self) -> tuple[Path, ...]:
        """Keep the folder within the cap; what was deleted for good.

        First the trash goes, the oldest first; then walks without a name, those that changed
        longest ago first. A walk that somebody writes stays, and so does what cannot be read. A
        photo without a step, of yesterday or before, goes in any case.
        """
        gone: list[Path] = []
        files = self._files()[::-1]
        for path in files:
            if _age(path) > EMPTY_AFTER and _is_unnamed(path, empty=True) and self._delete(path):
                gone.append(path)
        trashed = sorted(self.trash.glob(f"*{SUFFIX}"), key=_changed)
        files = [path for path in files if path not in gone]
        excess = sum(map(_size, trashed + files)) - self.cap
        for path in trashed + files:
            if excess <= 0:
                break
            size = _size(path)
            if path.parent == self.trash:
                _unlink(path)
            elif not (_is_unnamed(path) and self._delete(path)):
                continue
            gone.append(path)
            excess -= size
        if excess > 0:
            log.warning(
                "the walks in %s take %.1f GB more than they may: those left are named or open",
                self.folder,
                excess / 1e9,
            )
        return tuple(gone)

    def _files(self) -> list[Path]:
        """The files of the walks, the latest first."""
        return sorted(self.folder.glob(f"*{SUFFIX}"), key=_changed, reverse=True)

    def _delete(self, path: Path) -> bool:
        """Delete a walk for good; False if somebody writes it, or it cannot be read."""
        try:
            self.discard(path)
        except StoreError as error:
            log.info("%s stays: %s", path, error)
            return False
        return True

    def _settle(self, path: Path) -> None:
        """Have all of a walk in its one file, and nobody writing it. Raises WalkHeld."""
        try:
            WalkFile.open(path).close()
        except WalkHeld:
            raise
        except StoreError as error:
            log.info("%s is moved as it is: %s", path, error)


def _look(path: Path) -> Summary | Unreadable:
    try:
        return WalkFile.summary(path)
    except StoreError as error:
        return Unreadable(path, str(error))


def _is_unnamed(path: Path, *, empty: bool = False) -> bool:
    """Whether a walk has no name and nobody writes it; ``empty``: and no step either."""
    summary = _look(path)
    if isinstance(summary, Unreadable) or summary.title or summary.held_by:
        return False
    return not (empty and summary.steps)


def _changed(path: Path) -> float:
    """Unix seconds at which a walk or its log changed last."""
    return max((stat.st_mtime for stat in _stats(path)), default=0.0)


def _age(path: Path) -> float:
    return time.time() - _changed(path)


def _size(path: Path) -> int:
    return sum(stat.st_size for stat in _stats(path))


def _stats(path: Path) -> Iterator[os.stat_result]:
    """Of a walk's file and its log; an empty log is a reader's."""
    for file in (path, path.with_name(path.name + "-wal")):
        with contextlib.suppress(OSError):
            stat = file.stat()
            if stat.st_size:
                yield stat


def _unlink(path: Path) -> None:
    for beside in ("", *_BESIDE):
        path.with_name(path.name + beside).unlink(missing_ok=True)
