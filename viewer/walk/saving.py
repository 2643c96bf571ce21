"""Where one person's walks are saved, and what becomes of a walk that is left for another."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from viewer.walk.source import Source
from vmem.progress import CancelToken, OnProgress
from vmem.session import Session
from vmem.store import StoreError, WalkHeld
from vmem.store.library import Library
from vmem.types import ViewId

log = logging.getLogger(__name__)


class Saving:
    """Saves new walks in a library, opens saved ones, and closes those that are left."""

    def __init__(self, library: Library | None) -> None:
        """library: None where nothing is to be saved."""
        self.library = library
        self.news: tuple[str, str] | None = None
        """What happened to a walk that its person should hear: a title and a sentence."""
        self.on_file: Callable[[Path | None], object] = lambda path: None
        """Hears in which file the walk is that was opened; None for one that is not saved."""
        self._left: list[Session] = []
        self._lent: Session | None = None

    def take_news(self) -> tuple[str, str] | None:
        """The news, once."""
        news, self.news = self.news, None
        return news

    def keep(self, session: Session, title: str) -> None:
        """Save a new walk from now on. If that fails it goes on unsaved, and the news says so."""
        if self.library is None:
            return
        try:
            session.keep(self.library.new_path(title))
        except StoreError as error:
            self.news = ("This walk is not saved", str(error))

    def resume(
        self, path: Path, look: bool, on_progress: OnProgress, cancel: CancelToken
    ) -> Session:
        """Open a saved walk; one that somebody else writes, to look only. Raises what
        `Session.resume` raises."""
        self.close_left()
        try:
            return resumed(path, look, on_progress, cancel)
        except WalkHeld as held:
            self.news = ("You can look only", f"{held}")
            return resumed(path, True, on_progress, cancel)

    def opened(self, session: Session, before: Session | None, *, lent: bool = False) -> None:
        """A walk is shown in place of ``before``, which is closed by `close_left`. ``lent``: it
        belongs to somebody else, who closes it."""
        if before is not None:
            self._left.append(before)
        if lent:
            self._lent = session
        self.on_file(file_of(session))

    def close_left(self) -> None:
        """Close walks that are shown no more. A photo that nobody walked into leaves no file."""
        while self._left:
            session = self._left.pop()
            self.close(session)
            file, library = session.file, self.library
            if library is None or file is None or file.path.parent != library.folder:
                continue
            if len(session.history.nodes) == 1 and not session.read_only and not file.title:
                try:
                    library.discard(file.path)
                except StoreError as error:
                    log.info("%s stays: %s", file.path, error)

    def close(self, session: Session) -> None:
        """Give a walk's file up, unless it was lent."""
        if session is not self._lent:
            session.close()

    def rename(self, path: Path, title: str, present: Session | None) -> None:
        """Name a walk, be it the present one or another. Raises WalkHeld and StoreError."""
        if present is not None and present.file is not None and present.file.path == path:
            present.file.title = title
        elif self.library is not None:
            self.library.rename(path, title)

    def remove(self, path: Path, present: Session | None) -> None:
        """Move a walk to the trash. Raises StoreError, also for the present one."""
        if file_of(present) == path:
            raise StoreError("this walk is open here: open another one first")
        self.close_left()
        if self.library is not None:
            self.library.remove(path)


def resumed(path: Path, look: bool, on_progress: OnProgress, cancel: CancelToken) -> Session:
    """A saved walk as a session."""
    return Session.resume(path, read_only=look, on_progress=on_progress, cancel=cancel)


def file_of(session: Session | None) -> Path | None:
    """The file of a session, if it has one."""
    return None if session is None or session.file is None else session.file.path


def source_of(session: Session) -> Source:
    """What a saved walk began with, to begin it again."""
    assert session.file is not None
    name = session.file.origin.photo
    if session.backend.own_scene is not None:
        return Source(name or "procedural world", None)
    return Source(name or "photo", session.file.frame_png(ViewId(0, 0)))
