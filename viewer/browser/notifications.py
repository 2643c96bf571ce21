"""Notes, warnings and windows of one browser: what it is told in words."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import viser

from viewer.commands import help_markdown
from viewer.walk.worker import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from viewer.browser.client import Client

QUESTIONS = frozenset({"strategies", "both", "explanation", "export"})
"""Kinds of jobs that bring nothing into the scene while they run."""
JOB_TIME = 0.2
"""Seconds between two words on how far one is."""
SHORT = 120
"""Characters of a message that can be read before a note goes away."""


class Notes:
    """Tells; at most one window is open at a time."""

    def __init__(self, client: Client, handle: viser.ClientHandle) -> None:
        self._client = client
        self._handle = handle
        self._close_modal: Callable[[], None] | None = None
        self._job: viser.NotificationHandle | None = None
        self._job_shown = 0.0

    def open_help(self) -> None:
        """The list of keys; once is enough."""
        if self._close_modal is None:
            with self._modal("Keys and mouse"):
                self._handle.gui.add_markdown(help_markdown(self._client.workspace.settings.keymap))

    def explain(self, title: str, text: str) -> None:
        """Bad news: a note if it is short, else a window with all of it, until it is closed."""
        if len(text) <= SHORT and "\n" not in text:
            self.notify(title, text, "red")
            return
        self.close_modal()
        with self._modal(title):
            self._handle.gui.add_html(_readable(text))

    @contextmanager
    def _modal(self, title: str) -> Iterator[None]:
        """To fill a window with; a button closes it, and Esc does so too."""
        client, gui = self._client, self._handle.gui
        modal = gui.add_modal(title)
        self._close_modal = modal.close
        with modal:
            gui.add_button("Close (Esc)").on_click(lambda _: client.post(self.close_modal))
            yield

    def close_modal(self) -> bool:
        """True if one was open."""
        if self._close_modal is None:
            return False
        self._close_modal()
        self._close_modal = None
        return True

    def show_job(self, event: Event) -> None:
        """A question that takes long says how far it is wherever the user looks."""
        if event.label.partition(" ")[0] not in QUESTIONS:
            return
        if event.kind in ("started", "progress"):
            now = time.monotonic()
            if self._job is not None and now - self._job_shown < JOB_TIME:
                return
            self._job_shown = now
            body = f"{100 * event.fraction:.0f} % · Esc cancels"
            if self._job is None:
                self._job = self._handle.add_notification(
                    event.label, body, loading=True, with_close_button=False
                )
            else:
                self._job.body = body
        elif self._job is not None:
            self._job.remove()
            self._job = None

    def notify(self, title: str, body: str, color: str | None = None) -> None:
        """A note that goes away by itself."""
        self._handle.add_notification(title, body, auto_close_seconds=6.0, color=color)  # pyright: ignore


def _readable(text: str) -> str:
    """HTML of a plain text: its lines as they are, its addresses to click on."""
    linked = re.sub(
        r"https?://[^\s&<>]*[^\s&<>.,:;)]",
        lambda found: f"<a href='{found[0]}' target='_blank' rel='noopener'>{found[0]}</a>",
        html.escape(text),
    )
    return f"<div style='font-size:13px;white-space:pre-wrap;overflow-wrap:anywhere'>{linked}</div>"
