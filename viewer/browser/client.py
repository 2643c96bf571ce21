"""One browser: its scene, panels, keyboard and ghost, on one thread of their own.

Keys, panels, mouse and the worker post calls; the client's thread carries them out in order. The
retrieval for the ghost is done when nothing is waiting, so the latest position always wins.
"""

from __future__ import annotations

import time
from operator import attrgetter

import numpy as np
import viser

from viewer.browser.display import Display
from viewer.commands import ACTIONS, ANSWERED_IN_MEMORY, KEYMAPS, SWALLOWED
from viewer.debugger.debugger import Inspector
from viewer.page.keyboard import Keyboard, KeyEvent
from viewer.page.pointing import Pointing
from viewer.preferences import remembered
from viewer.scene.picking import nearest_view
from viewer.walk.actor import Actor
from viewer.walk.ghost import FLY_RATE, Ghost
from viewer.walk.jobs import BothMade, Download, StrategyAnswers
from viewer.walk.worker import Event
from viewer.walk.workspace import Source, Workspace
from vmem.arrays import F64
from vmem.backends import resolve
from vmem.errors import VMemError
from vmem.session import Session

FRAME_TIME = 1 / 30
PLAY_TIME = 1 / 8
CHOICES_KEY = "choices"
"""Where the browser keeps what its user chose."""


class Client(Actor):
    """Everything one browser sees and does. Methods without underscore run on its own thread."""

    def __init__(self, handle: viser.ClientHandle, workspace: Workspace) -> None:
        super().__init__(f"browser-{handle.client_id}")
        self.handle = handle
        self.workspace = workspace
        self.ghost: Ghost | None = None
        self._held: frozenset[str] = frozenset()
        self.pointer: tuple[float, float] | None = None
        """Where in the scene the mouse points, (x, y) in [0, 1], as of the last key."""
        self._last_tick = 0.0
        self._playing: int | None = None
        self._shown_session: Session | None = None
        self._remembered = ""

        self.inspector = Inspector(self)
        self.display = Display(self, handle, workspace.settings)
        self._keyboard = Keyboard(handle, SWALLOWED, self._key_pressed)
        self._pointing = Pointing(handle, lambda event: self.post(self.inspector.pointer, event))
        handle.scene.on_click()(lambda event: self.post(self._answer_click, event))
        workspace.listen(lambda event: self.post(self._job_changed, event))
        self.start()
        self.post(self.show_session)

    def leave(self) -> None:
        """The browser is gone."""
        self.workspace.listen(None)
        self._keyboard.dispose()
        self._pointing.dispose()
        self.close()
        self.display.close()

    # --- what keys and buttons do ----------------------------------------------------------

    def move(self, word: str) -> None:
        """One move: the ghost goes there at once; in step mode frames follow."""
        if self.ghost is None:
            return
        stepping = self.workspace.settings.mode == "step"
        if stepping and self.workspace.is_full:
            self._refuse()
            return
        start = self.ghost.camera.c2w
        self._move_ghost(word)
        if stepping:
            self._walk_along([start, self.ghost.camera.c2w], word)

    def generate(self) -> None:
        """Generate along the way to the ghost; straight on, in step mode, if it never left."""
        if self.ghost is None:
            return
        if self.workspace.settings.mode == "step" and not self.ghost.away:
            self.move("w")
            return
        waypoints = self.ghost.waypoints()
        if not waypoints:
            self.display.notes.notify(
                "Nothing to generate", "Move the ghost first: hold W, A, S or D."
            )
            return
        self._walk_along([self.ghost.start, *waypoints], "fly")

    def cancel(self) -> None:
        """Close the help, stop playing, stop the running job and forget the waiting ones, or go
        back to the ghost: the first of these that there is."""
        if self.display.notes.close_modal():
            return
        if self._playing is not None:
            self.play()
        elif self.inspector.playing:
            self.inspector.play_steps()
        elif self.workspace.worker.cancel() > 0:
            return
        elif self.inspector.step is not None or self.display.standing:
            self.inspector.live()
        else:
            self.display.notes.notify("Nothing to cancel", "No frames are being generated.")

    def undo(self) -> None:
        """Take back the last step."""
        self.workspace.undo()

    def redo(self) -> None:
        """Bring it back."""
        self.workspace.redo()

    def switch(self, node: int) -> None:
        """Go to a step of the history tree."""
        self.workspace.switch(node)

    def jump(self) -> None:
        """Stand at the view pointed at, in the table or in the scene; else at the newest."""
        session = self.workspace.session
        if session is None:
            return
        if self.inspector.pointed is not None:
            self.inspector.stand(self.inspector.pointed)
            return
        memory = session.snapshot()
        view = nearest_view(memory, self.handle.camera, self.pointer) if self.pointer else None
        self.stand_at(len(memory.views) - 1 if view is None else view)

    def stand_at(self, view: int) -> None:
        """Bring ghost and eye to a stored view: the walk goes on from there."""
        views = self.display.scene.memory.views
        if self.ghost is not None and view < len(views):
            self.ghost.reset(views[view].camera)
            self.display.scene.show_ghost(self.ghost.camera)
            self.display.look_through(views[view])
            self.display.walk.show_place(f"standing at view {view}; move on to step back")
            self.inspector.follow_ghost()

    def play(self) -> None:
        """Play the walk from its beginning, or stop playing."""
        self._playing = None if self._playing is not None else 0
        self.display.history.show_playing(self._playing is not None)

    def show_view(self, view: int) -> None:
        """Scrub: show a stored frame and stand at its camera."""
        session = self.workspace.session
        if session is None:
            return
        views = session.snapshot().views
        if view < len(views):
            self.display.history.show_view(view, views[view].rgb)
            self.display.look_through(views[view])

    def help(self) -> None:
        """Open the list of keys."""
        self.display.notes.open_help()

    def open(self, source: Source) -> None:
        """Begin a new walk."""
        if self.workspace.worker.busy:
            self.workspace.worker.cancel()
        self.workspace.open(source)

    def open_again(self) -> None:
        """Begin the present walk anew, with the present settings."""
        if self.workspace.source is not None:
            self.open(self.workspace.source)

    def export(self) -> None:
        """Pack the walk and offer it for download."""
        self.workspace.export()

    def make_both(self) -> None:
        """Make a step with each of the two strategies that are chosen."""
        self.inspector.make_both(*self.display.memory.pair)

    # --- settings --------------------------------------------------------------------------

    def set_mode(self, mode: str) -> None:
        """ "step" or "fly"."""
        self.workspace.settings.mode = mode
        self._held = frozenset()

    def set_eye(self, eye: str) -> None:
        """Where the browser's camera stands."""
        self.workspace.settings.view_from = eye
        if self.ghost is not None:
            self.display.step_back(self.ghost.camera)

    def set_strides(self, step_size: float, turn_degrees: float) -> None:
        """How far one move goes."""
        settings = self.workspace.settings
        settings.step_size, settings.turn_degrees = step_size, turn_degrees
        if self.ghost is not None:
            self.ghost.step_size, self.ghost.turn_angle = step_size, np.radians(turn_degrees)

    def set_keymap(self, keymap: str) -> None:
        """Which keys turn and which strafe."""
        self.workspace.settings.keymap = keymap

    def set_next(self, backend: str, size: int, seed: int) -> None:
        """What the next walk is made with; a backend that cannot run here is explained."""
        settings = self.workspace.settings
        settings.size, settings.seed = size, seed
        if backend == settings.backend:
            return
        try:
            resolve(backend)
            settings.backend = backend
        except VMemError as error:
            self.display.notes.explain(f"The {backend} backend cannot run here", str(error))
        self.display.show_backends()

    def set_preset(self, preset: str) -> None:
        """How the vmem backend samples, from the next step on."""
        self.workspace.settings.preset = preset

    def set_shown(self, frustums: bool, billboards: bool, provenance: bool) -> None:
        """What stands in the scene."""
        options = self.workspace.settings.scene
        options.frustums, options.billboards = frustums, billboards
        options.provenance = provenance
        self.display.show_options()

    def set_renderer(self, drawn_by: str, server_above: int) -> None:
        """Who draws the surfels: "auto", "browser" or "server"."""
        options = self.workspace.settings.scene
        options.drawn_by, options.server_above = drawn_by, server_above
        self.display.choose_renderer(len(self.display.scene.memory.surfels))

    # --- what happens to us ----------------------------------------------------------------

    def _key_pressed(self, event: KeyEvent) -> None:
        """On viser's event loop: hand over, at once."""
        self.post(self._handle_key, event)

    def _handle_key(self, event: KeyEvent) -> None:
        self._held, self.pointer = event.held, event.pointer
        if event.kind != "down":
            return
        word = KEYMAPS[self.workspace.settings.keymap].get(event.code)
        action = ACTIONS.get((event.code, event.shift))
        if word is not None and self.workspace.settings.mode == "step":
            self.move(word)
        elif word is not None:
            self._last_tick = time.perf_counter() - FRAME_TIME
        elif action is not None:
            if action in ANSWERED_IN_MEMORY:
                self.display.memory.come_forward()
            attrgetter(action)(self)()

    def _answer_click(self, event: viser.SceneClickEvent) -> None:
        origin, direction = np.array(event.ray_origin), np.array(event.ray_direction)
        self.inspector.ask_surfel(origin, direction)

    def dragged(self, pose: F64) -> None:
        """The user steers the ghost with the mouse, looking through its eyes."""
        if self.ghost is not None and self._playing is None:
            self.ghost.place(pose)
            self.display.scene.show_ghost(self.ghost.camera)
            self.inspector.follow_ghost()

    def _job_changed(self, event: Event) -> None:
        self.display.show_event(event)
        if event.kind == "finished":
            self._show_result(event.result)
        elif event.kind in ("failed", "cancelled"):
            if event.kind == "failed":
                self.workspace.worker.cancel()
                self.display.notes.explain(f"{event.label} failed", event.message)
            self.show_session()

    def _show_result(self, result: object) -> None:
        if isinstance(result, Download):
            self.handle.send_file_download(result.name, result.content)
        elif isinstance(result, StrategyAnswers):
            self.display.memory.show_answers(result)
        else:
            self.show_session()
            if isinstance(result, BothMade):
                self.display.memory.show_both(result)

    def failed(self, error: Exception) -> None:
        """A defect of ours must not go unseen."""
        self.display.notes.notify("Something went wrong", f"{type(error).__name__}: {error}", "red")

    # --- showing ---------------------------------------------------------------------------

    def show_session(self) -> None:
        """Bring everything up to the session as it stands."""
        session = self.workspace.session
        if session is None:
            return
        if session is not self._shown_session:
            self._shown_session = session
            self.ghost = Ghost(session.camera)
            settings = self.workspace.settings
            self.set_strides(settings.step_size, settings.turn_degrees)
            self.display.step_back(self.ghost.camera)
        elif self.ghost is not None and not self.workspace.worker.busy:
            # While more steps wait, the ghost is ahead of the walk, and stays there.
            before = self.ghost.camera
            self.ghost.reset(session.camera)
            self.display.follow(before, self.ghost.camera)
        if self.ghost is not None:
            self.inspector.keep_within(len(session.snapshot().steps))
            self.display.show_session(session, self.ghost.camera)
        self.inspector.memory_changed()

    def settle(self) -> float | None:
        """Fly, play, retrieve: whatever only matters for the latest state."""
        now = time.perf_counter()
        flying = self._fly(now)
        playing = self._play_on(now)
        # What is lit and its colours belong to one frame of the page, which may be a slow one;
        # and nobody who points at something should wait for viser's window to pass.
        with self.handle.atomic():
            due = [self.inspector.settle(now), self.display.settle(now)]
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
        if self.workspace.settings.mode != "fly" or self.ghost is None:
            return False
        keymap = KEYMAPS[self.workspace.settings.keymap]
        words = [keymap[code] for code in sorted(self._held) if code in keymap]
        if not words:
            return False
        # A stall must not throw the ghost across the room.
        elapsed = min(now - self._last_tick, 0.1)
        if elapsed >= 0.8 * FRAME_TIME:
            self._last_tick = now
            for word in words:
                self._move_ghost(word, elapsed * FLY_RATE)
        return True

    def _play_on(self, now: float) -> bool:
        session = self.workspace.session
        if self._playing is None or session is None:
            return False
        views = session.snapshot().views
        if now - self._last_tick < 0.8 * PLAY_TIME:
            return True
        self._last_tick = now
        self.show_view(self._playing)
        self._playing += 1
        if self._playing >= len(views):
            self.play()
            if self.ghost is not None:
                self.display.step_back(self.ghost.camera)
        return self._playing is not None

    def _move_ghost(self, word: str, amount: float = 1.0) -> None:
        assert self.ghost is not None
        before = self.ghost.camera
        self.ghost.move(word, amount)
        self.display.follow(before, self.ghost.camera)
        self.inspector.follow_ghost()

    def _walk_along(self, way: list[F64], label: str) -> None:
        assert self.ghost is not None
        if self.workspace.walk_along(way, label):
            # This way is taken care of: generating again must not walk it twice.
            self.ghost.reset(self.ghost.camera)
        else:
            self._refuse()

    def _refuse(self) -> None:
        self.display.notes.notify("Too many steps are waiting", "Press Esc to drop them.", "yellow")
