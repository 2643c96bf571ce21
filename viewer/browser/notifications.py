"""Notifications, warnings and windows of one browser."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import viser

from viewer.commands import CANCEL, help_markdown
from viewer.settings import Settings
from viewer.walk.worker import Event

Color = Literal["red", "yellow"]
Post = Callable[[Callable[[], object]], None]

QUESTIONS = frozenset({"strategies", "both", "explanation", "export"})
"""Kinds of jobs that bring nothing into the scene while they run."""
JOB_TIME = 0.2
"""Seconds between updates of a job's notification."""
SHORT = 120
"""Characters of a message that can be read before a notification closes by itself."""
CLOSES_AFTER = 6.0
"""Seconds after which a notification closes by itself."""
CLOSING = 0.5
"""Seconds before its end from which a notification takes up no further message: the page may close
it before it hears of that."""


@dataclass
class _Notice:
    """The newest message that closes by itself."""

    message: tuple[str, str, Color | None]
    """Title, body and colour."""
    handle: viser.NotificationHandle
    said_at: float
    """time.monotonic() when it was said last."""
    times: int = 1


class Notifications:
    """Shows messages; at most one window is open at a time. Called on its browser's thread."""

    def __init__(self, handle: viser.ClientHandle, post: Post, settings: Settings) -> None:
        """``post(call)`` runs a call on the browser's thread."""
        self._handle = handle
        self._post = post
        self._settings = settings
        self._close_window: Callable[[], None] | None = None
        self._notice: _Notice | None = None
        self._job: viser.NotificationHandle | None = None
        self._job_updated = 0.0

    def notify(self, title: str, body: str, color: Color | None = None) -> None:
        """Show a message that closes by itself. The same one again, while it is to be seen, counts
        up on it instead."""
        message: tuple[str, str, Color | None] = (title, body, color)
        now, notice = time.monotonic(), self._notice
        seen = notice is not None and now - notice.said_at < CLOSES_AFTER - CLOSING
        if notice is not None and seen and notice.message == message:
            notice.times, notice.said_at = notice.times + 1, now
            notice.handle.title = f"{title} ({notice.times} times)"
            # Only another duration has the page count its seconds anew.
            notice.handle.auto_close_seconds = CLOSES_AFTER + 0.01 * ((notice.times - 1) % 2)
            return
        handle = self._handle.add_notification(
            title, body, auto_close_seconds=CLOSES_AFTER, color=color
        )
        self._notice = _Notice(message, handle, now)

    def open_help(self) -> None:
        """Open the list of keys, unless a window is open."""
        if self._close_window is None:
            with self._window("Keys and mouse"):
                self._handle.gui.add_markdown(help_markdown(self._settings.keymap_now))

    def explain(self, title: str, text: str) -> None:
        """Report an error: in a notification if it is short, else in a window to be closed."""
        if len(text) <= SHORT and "\n" not in text:
            self.notify(title, text, "red")
            return
        self.close_window()
        with self._window(title):
            self._handle.gui.add_html(_readable(text))

    def ask(
        self,
        title: str,
        question: str,
        answer: str,
        then: Callable[[str], object],
        text: str | None = None,
    ) -> None:
        """Ask something in a window, in place of one that is open. A button named ``answer`` runs
        ``then(written)`` on the browser's thread; text: what is to be changed in a line, None for a
        plain question."""
        self.close_window()
        gui = self._handle.gui
        with self._window(title, close_first=False):
            gui.add_markdown(question)
            line = None if text is None else gui.add_text("New name", text)
            button = gui.add_button(answer)

        def answered() -> None:
            self.close_window()
            then("" if line is None else line.value)

        button.on_click(lambda _: self._post(answered))

    @property
    def window_is_open(self) -> bool:
        """Whether a window is open."""
        return self._close_window is not None

    def close_window(self) -> bool:
        """Close the open window; True if there was one."""
        if self._close_window is None:
            return False
        self._close_window()
        self._close_window = None
        return True

    def show_job(self, event: Event) -> None:
        """Show how far a job is that changes nothing in the scene, whichever tab is open."""
        if event.label.partition(" ")[0] not in QUESTIONS:
            return
        if event.kind in ("started", "progress"):
            now = time.monotonic()
            if self._job is not None and now - self._job_updated < JOB_TIME:
                return
            self._job_updated = now
            body = f"{100 * event.fraction:.0f} % · {CANCEL.key} cancels"
            if self._job is None:
                self._job = self._handle.add_notification(
                    event.label, body, loading=True, with_close_button=False
                )
            else:
                self._job.body = body
        elif self._job is not None:
            self._job.remove()
            self._job = None

    @contextmanager
    def _window(self, title: str, *, close_first: bool = True) -> Iterator[None]:
        """A window to fill; a button closes it, and so does the cancel key. ``close_first``: above
        what fills it, which may be long; else below, in grey."""
        gui = self._handle.gui
        window = gui.add_modal(title)
        self._close_window = window.close

        def add_close() -> None:
            close = gui.add_button(f"Close ({CANCEL.key})", color=None if close_first else "gray")
            close.on_click(lambda _: self._post(self.close_window))

        with window:
            if close_first:
                add_close()
            yield
            if not close_first:
                add_close()


def _readable(text: str) -> str:
    """HTML of a plain text: line breaks kept, addresses as links."""
    linked = re.sub(
        r"https?://[^\s&<>]*[^\s&<>.,:;)]",
        lambda found: f"<a href='{found[0]}' target='_blank' rel='noopener'>{found[0]}</a>",
        html.escape(text),
    )
    return f"<div style='font-size:13px;white-space:pre-wrap;overflow-wrap:anywhere'>{linked}</div>"
