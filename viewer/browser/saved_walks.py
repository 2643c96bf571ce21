"""What the list of saved walks does: open, look only, rename, delete."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from viewer.browser.display import Display
from viewer.page.pointing import PointerEvent
from viewer.panels.session import title_of
from viewer.walk.workspace import Workspace
from vmem.errors import VMemError
from vmem.store import Summary


class SavedWalks:
    """Carries out what is clicked in the list, on its browser's thread."""

    def __init__(self, workspace: Workspace, display: Display) -> None:
        self._workspace = workspace
        self._display = display

    def clicked(self, event: PointerEvent) -> None:
        """Take a click on a mark "walk-open:NAME", "walk-look:", "walk-rename:" or
        "walk-delete:"."""
        walk = self._display.session.walk(event.argument)
        if walk is None:
            return
        path, ask = walk.path, self._display.notifications.ask
        title = title_of(walk) if isinstance(walk, Summary) else path.name
        if event.name in ("walk-open", "walk-look"):
            if self._workspace.worker.busy:
                self._workspace.worker.cancel()
            self._workspace.resume(path, look=event.name == "walk-look")
        elif event.name == "walk-rename":
            named = walk.title if isinstance(walk, Summary) else ""
            ask("Rename this walk", title, "Rename", lambda new: self._rename(path, new), named)
        elif event.name == "walk-delete":
            question = f"Delete {title}? It goes to the trash beside the saved walks."
            ask("Delete this walk", question, "Delete", lambda _: self._delete(path))

    def _rename(self, path: Path, title: str) -> None:
        saving, session = self._workspace.saving, self._workspace.session
        self._attempt("Not renamed", lambda: saving.rename(path, title.strip(), session))

    def _delete(self, path: Path) -> None:
        saving, session = self._workspace.saving, self._workspace.session
        self._attempt("Not deleted", lambda: saving.remove(path, session))

    def _attempt(self, failed: str, call: Callable[[], object]) -> None:
        try:
            call()
        except VMemError as error:
            self._display.notifications.explain(failed, str(error))
        self._display.show_walks()
