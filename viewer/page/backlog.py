"""How far a browser is behind what it was sent.

After a batch of costly messages a `Backlog` sends one line of script, a mark, which viser's client
runs in its turn, after the batch; the line answers through a hidden text element. The time until
the answer contains everything that matters: our queue, the wire, and what the page is busy with.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import viser

from viewer.page.scripts import run_script

ANSWER = """(config) => window.__viserMutable?.sendMessage({
  type: "GuiUpdateMessage", uuid: config.channel, updates: { value: String(config.mark) },
})"""

LOST_AFTER = 2.0
"""Seconds after which a mark without an answer no longer counts: a page in a hidden tab sleeps."""
FIRST_LOST_AFTER = 0.1
"""Seconds after which a mark no longer counts if the page has never answered one."""


class Backlog:
    """Marks sent to one browser that it has not answered yet. Safe to use from any thread."""

    def __init__(self, gui: viser.GuiApi, on_answer: Callable[[], object] = lambda: None) -> None:
        """``on_answer()`` is called on viser's event loop: keep it short."""
        self._gui = gui
        self._on_answer = on_answer
        self._changed = threading.Condition()
        self._sent: dict[int, float] = {}
        self.last_mark = 0
        """Number of the newest mark: 1, 2, 3…"""
        self.answers = False
        """Whether the page has ever answered."""
        self._trip = 0.0
        """Seconds that the last answered mark took."""
        self._answered_at = 0.0
        self._channel = gui.add_text("backlog", "", visible=False)

        # Inline and in order, as viser runs `async def` callbacks.
        @self._channel.on_update
        async def _(event: viser.GuiEvent[viser.GuiTextHandle]) -> None:
            self.answered(event.target.value)

    @property
    def outstanding(self) -> int:
        """How many marks are still worth waiting for."""
        with self._changed:
            return self._count(time.monotonic())

    @property
    def longest_wait(self) -> float:
        """Seconds until nothing is outstanding, even if no answer comes."""
        with self._changed:
            if not self._sent:
                return 0.0
            return max(0.0, max(self._sent.values()) + self._limit - time.monotonic())

    def rest(self, share: float) -> float:
        """Seconds until nothing is outstanding, and ``share`` times as long as the page took for
        the last mark has passed since its answer; 0 for a page that has never answered."""
        if not self.answers:
            return 0.0
        free = self._answered_at + share * self._trip - time.monotonic()
        return max(0.0, self.longest_wait, free)

    def mark(self) -> None:
        """Ask for an answer behind everything sent so far."""
        with self._changed:
            self.last_mark += 1
            mark = self.last_mark
            self._sent[mark] = time.monotonic()
        config = {"channel": self._channel._impl.uuid, "mark": mark}
        run_script(self._gui, ANSWER, config)

    def wait(self, outstanding: int, timeout: float) -> None:
        """Wait until at most ``outstanding`` marks are, or ``timeout`` seconds have passed."""
        with self._changed:
            self._changed.wait_for(lambda: self._count(time.monotonic()) <= outstanding, timeout)

    def answered(self, text: str) -> None:
        """Take the page's answer: the number of a mark, which answers all marks before it, too."""
        if not text.isascii() or not text.isdigit() or len(text) > 15:
            return
        mark = int(text)
        with self._changed:
            if mark not in self._sent:
                return
            self.answers = True
            self._trip = time.monotonic() - self._sent[mark]
            self._answered_at = time.monotonic()
            for earlier in [one for one in self._sent if one <= mark]:
                del self._sent[earlier]
            self._changed.notify_all()
        self._on_answer()

    @property
    def _limit(self) -> float:
        return LOST_AFTER if self.answers else FIRST_LOST_AFTER

    def _count(self, now: float) -> int:
        self._sent = {mark: sent for mark, sent in self._sent.items() if now - sent < self._limit}
        return len(self._sent)
