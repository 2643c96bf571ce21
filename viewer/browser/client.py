"""One browser: its scene, panels, keyboard and ghost, on one thread of their own.

Keys, panels, mouse and the worker post calls; the client's thread carries them out in order. The
retrieval for the ghost is done when nothing is waiting, so the latest position always wins; one by
a slow strategy on a thread beside.
"""

from __future__ import annotations

import time

import numpy as np
import viser

from viewer.browser.actions import BrowserActions
from viewer.browser.display import Display
from viewer.browser.notifications import Notifications
from viewer.browser.posted import posted
from viewer.commands import KEYMAPS, SWALLOWED, command_of
from viewer.debugger.debugger import Debugger
from viewer.page.keyboard import Keyboard, KeyEvent
from viewer.page.pointing import Pointing
from viewer.page.tabs import OpenTab
from viewer.preferences import remembered
from viewer.walk.actor import Actor
from viewer.walk.ghost import FLY_RATE
from viewer.walk.jobs import BothMade, Download, StrategyAnswers
from viewer.walk.worker import Event
from viewer.walk.workspace import Workspace
from vmem.session import Session

FRAME_TIME = 1 / 30
"""Seconds between moves of the ghost while a key is held."""
PLAY_TIME = 1 / 8
"""Seconds for which each frame is shown when the walk is played."""
CHOICES_KEY = "choices"
"""Where the browser keeps what its user chose."""


class Client(Actor):
    """Everything one browser sees and does; ``commands`` may be called from any thread."""

    def __init__(self, handle: viser.ClientHandle, workspace: Workspace) -> None:
        super().__init__(f"browser-{handle.client_id}")
        self.handle = handle
        self.workspace = workspace
        self._last_tick = 0.0
        self._shown_session: Session | None = None
        self._remembered = ""

        settings = workspace.settings
        self.notifications = Notifications(handle, self.post, settings)
        self.debugger = Debugger(
            settings, workspace.pins, workspace.query, self.notifications.notify, self.post
        )
        self.commands = posted(self.post, lambda: self.actions)
        self.display = Display(
            handle, workspace, self.debugger, self.commands, self.notifications, self.post
        )
        self.actions = BrowserActions(handle, workspace, self.debugger, self.display)
        self._keyboard = Keyboard(handle, SWALLOWED, self.key_changed)
        self._pointing = Pointing(handle, lambda event: self.post(self.actions.point, event))
        self._open_tab = OpenTab(handle, lambda tab: self.post(self.display.tab_opened, tab))
        handle.scene.on_click()(self.clicked)
        workspace.listen(lambda event: self.post(self._job_changed, event))
        self.start()
        self.post(self.show_session)

    def leave(self) -> None:
        """The browser is gone: end everything."""
        self.workspace.listen(None)
        self._keyboard.dispose()
        self._pointing.dispose()
        self._open_tab.dispose()
        self.close()
        self.display.close()

    # --- what happens ----------------------------------------------------------------------

    def key_changed(self, event: KeyEvent) -> None:
        """Take an event of the keyboard; returns at once."""
        self.post(self._handle_key, event)

    def clicked(self, event: viser.SceneClickEvent) -> None:
        """Take a click on the scene; returns at once."""
        origin, direction = np.array(event.ray_origin), np.array(event.ray_direction)
        self.post(self.actions.ask_ray, origin, direction)

    def _handle_key(self, event: KeyEvent) -> None:
        self.actions.held, self.actions.pointer = event.held, event.pointer
        if event.kind != "down":
            return
        settings = self.workspace.settings
        word = KEYMAPS[settings.keymap].get(event.code)
        command = command_of(event.code, event.shift)
        if word is not None and settings.mode == "step":
            self.actions.move(word)
        elif word is not None:
            self._last_tick = time.perf_counter() - FRAME_TIME
        elif command is not None:
            if command.tab is not None:
                self.display.open_tab(command.tab)
            command.run(self.actions)

    def _job_changed(self, event: Event) -> None:
        self.display.show_event(event)
        if event.kind == "finished":
            self._show_result(event.result)
        elif event.kind == "progress" and self.workspace.session is None:
            self._show_opening()
        elif event.kind in ("failed", "cancelled"):
            if event.kind == "failed":
                self.workspace.worker.cancel()
                self.notifications.explain(f"{event.label} failed", event.message)
            self.show_session()

    def _show_result(self, result: object) -> None:
        if isinstance(result, Download):
            self.handle.send_file_download(result.name, result.content)
        elif isinstance(result, StrategyAnswers):
            self.display.memory.strategies.show_answers(result)
        else:
            self.show_session()
            if isinstance(result, BothMade):
                self.display.memory.strategies.show_both(result)

    def failed(self, error: Exception) -> None:
        """Show the user a defect in our own code."""
        self.notifications.notify("Something went wrong", f"{type(error).__name__}: {error}", "red")

    # --- showing ---------------------------------------------------------------------------

    def show_session(self) -> None:
        """Bring everything up to the session as it is now."""
        session, actions = self.workspace.session, self.actions
        if session is None:
            self._show_opening()
            return
        if session is not self._shown_session:
            self._shown_session = session
            actions.begin(session.camera)
        elif not self.workspace.worker.busy:
            # While more steps wait, the ghost is ahead of the walk, and stays there.
            actions.catch_up(session.camera)
        if actions.ghost is not None:
            memory, ghost = session.memory, actions.ghost.camera
            self.debugger.show_memory(memory, ghost)
            self.display.show_session(session, memory, ghost)

    def _show_opening(self) -> None:
        opening = self.workspace.opening
        self.display.show_opening(None if opening is None else opening.rgb)

    def settle(self) -> float | None:
        """Fly, play, retrieve: whatever only matters for the latest state."""
        now = time.perf_counter()
        flying = self._fly(now)
        playing = self._play_on(now)
        # What is highlighted and its colours belong to one frame of the page, which may be a slow
        # one; and a user who points at something should not wait for viser's window to pass.
        with self.handle.atomic():
            due = [self.debugger.settle(now), self.display.settle(now)]
        self.handle.flush()
        due.append(self.display.settle_panels(now))
        self._remember()
        waits = [FRAME_TIME] * flying + [PLAY_TIME] * playing
        return min([*waits, *(wait for wait in due if wait is not None)], default=None)

    def _remember(self) -> None:
        """Have the browser keep what has been chosen."""
        choices = remembered(self.workspace.settings)
        if choices != self._remembered:
            self._remembered = choices
            self.handle.local_storage.set_item(CHOICES_KEY, choices)

    def _fly(self, now: float) -> bool:
        if self.workspace.settings.mode != "fly" or self.actions.ghost is None:
            return False
        keymap = KEYMAPS[self.workspace.settings.keymap]
        words = [keymap[code] for code in sorted(self.actions.held) if code in keymap]
        if not words:
            return False
        # A stall must not throw the ghost across the room.
        elapsed = min(now - self._last_tick, 0.1)
        if elapsed >= 0.8 * FRAME_TIME:
            self._last_tick = now
            for word in words:
                self.actions.move_ghost(word, elapsed * FLY_RATE)
        return True

    def _play_on(self, now: float) -> bool:
        session, actions = self.workspace.session, self.actions
        if actions.playing is None or session is None:
            return False
        if now - self._last_tick < 0.8 * PLAY_TIME:
            return True
        self._last_tick = now
        views = session.memory.views
        actions.show_frame(actions.playing)
        actions.playing += 1
        if actions.playing >= len(views):
            actions.play()
            actions.return_to_ghost()
        return actions.playing is not None
