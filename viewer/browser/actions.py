"""What commands, buttons and the mouse do in one browser."""

from __future__ import annotations

from typing import Any

import numpy as np
import viser

from viewer.actions import Actions
from viewer.browser.display import Display
from viewer.browser.pointed import Pointed
from viewer.browser.questions import Questions
from viewer.browser.saved_walks import SavedWalks
from viewer.commands import CANCEL
from viewer.debugger.debugger import Debugger
from viewer.first_person.picture import NARROW
from viewer.first_person.reports import pose_of, yaw_pitch
from viewer.page.pointing import PointerEvent
from viewer.scene.picking import nearest_view, pick_surfel, pointer_ray
from viewer.settings import (
    Heat,
    KeymapChoice,
    Layer,
    Layout,
    Mode,
    QuerySetting,
    Renderer,
    RowCount,
    TargetViews,
    ViewFrom,
)
from viewer.walk.ghost import Ghost
from viewer.walk.source import Source
from viewer.walk.stretches import next_stretch
from viewer.walk.workspace import Workspace
from vmem.arrays import F64
from vmem.backends import resolve
from vmem.cameras import Camera
from vmem.devices.settings import SamplerName
from vmem.errors import VMemError

HOME_SECONDS = 1.5
"""How long the way back to the photo takes."""
GLIDE_SECONDS = 0.25
"""How long the walker takes to where Python puts him."""
STAND_SECONDS = 0.8
"""How long the way to a place takes that was clicked."""


class BrowserActions(Actions):
    """Carries out every action, on the browser's own thread."""

    def __init__(
        self,
        handle: viser.ClientHandle,
        workspace: Workspace,
        debugger: Debugger,
        display: Display,
    ) -> None:
        self._handle = handle
        self._workspace = workspace
        self._settings = workspace.settings
        self._debugger = debugger
        self._display = display
        self._notify = display.notifications.notify
        self._questions = Questions(workspace, debugger, self._notify)
        self._pointed = Pointed(self, debugger, display, SavedWalks(workspace, display))
        self.ghost: Ghost | None = None
        """The camera that flies ahead of the walk; None before there is a walk."""
        self.held: frozenset[str] = frozenset()
        """Codes of the keys that are down."""
        self.playing: int | None = None
        """The frame that is shown next while the walk is played."""
        self.pointer: tuple[float, float] | None = None
        """Where in the scene the mouse is, (x, y) in [0, 1], as of the last key."""

    # --- the ghost -------------------------------------------------------------------------

    def begin(self, camera: Camera) -> None:
        """Start a new walk at ``camera``, or go on where its walker was when the page left."""
        self._display.picture.keep_clip()
        camera = self._workspace.walker or camera
        self.ghost = Ghost(camera)
        self.set_strides(self._settings.step_size, self._settings.turn_degrees)
        self._display.return_to(camera)
        self._display.picture.place(camera.c2w)

    def catch_up(self, camera: Camera) -> None:
        """Bring the ghost to where the walk has got."""
        if self.ghost is not None:
            before = self.ghost.camera
            self.ghost.reset(camera)
            self._display.camera.follow(before, camera)
            self._display.picture.place(camera.c2w, GLIDE_SECONDS)

    def move_ghost(self, word: str, amount: float = 1.0) -> None:
        """Move the ghost by a move word, ``amount`` times; nothing is generated."""
        if self.ghost is not None:
            before = self.ghost.camera
            self.ghost.move(word, amount)
            self._display.camera.follow(before, self.ghost.camera)
            self._display.picture.place(self.ghost.camera.c2w, GLIDE_SECONDS)
            self._debugger.follow_ghost(self.ghost.camera)

    def drag_ghost(self, pose: F64) -> None:
        if self.ghost is not None and self.playing is None:
            self.ghost.place(pose)
            self._display.scene.show_ghost(self.ghost.camera)
            self._display.picture.place(pose)
            self._debugger.follow_ghost(self.ghost.camera)

    def walk_to(self, pose: F64) -> None:
        """The page's walker is at a pose (4, 4): the ghost goes with him."""
        if self.ghost is not None and self.playing is None:
            before = self.ghost.camera
            level = pose_of(before.position, *yaw_pitch(before.c2w))
            if np.allclose(pose, level, atol=1e-5):
                return  # where Python has put him
            if self._settings.mode == "scout":
                self.ghost.place(pose)
            else:
                self.ghost.reset(before.moved_to(pose))
            self._display.camera.follow(before, self.ghost.camera, live=True)
            self._debugger.follow_ghost(self.ghost.camera)

    def return_to_ghost(self) -> None:
        """Move the browser's camera, and the page's walker, back to the ghost."""
        if self.ghost is not None:
            self._display.return_to(self.ghost.camera)
            self._display.picture.place(self.ghost.camera.c2w)

    # --- the walk --------------------------------------------------------------------------

    def move(self, word: str) -> None:
        if self.ghost is None:
            return
        generates = self._settings.mode != "scout"
        if generates and self._workspace.is_full:
            self._refuse()
            return
        start = self.ghost.camera.c2w
        self.move_ghost(word)
        if generates:
            self._walk_along(self.ghost, [start, self.ghost.camera.c2w], word)

    def generate(self) -> None:
        if self.ghost is None:
            return
        session = self._workspace.session
        if self._settings.mode == "walk" and session is not None:
            self._workspace.make_views(self.ghost.camera, next_stretch(session.history))
            return
        if self._settings.mode == "step" and not self.ghost.away:
            self.move("w")
            return
        waypoints = self.ghost.waypoints()
        if not waypoints:
            self._notify("Nothing to generate", "Move the ghost first: hold W, A, S or D.")
            return
        self._walk_along(self.ghost, [self.ghost.start, *waypoints], "scout")

    def _walk_along(self, ghost: Ghost, way: list[F64], label: str) -> None:
        if self._workspace.walk_along(way, label):
            # This way is queued: generating again must not walk it twice.
            ghost.reset(ghost.camera)
        else:
            self._refuse()

    def _refuse(self) -> None:
        self._notify("Too many steps are waiting", f"Press {CANCEL.key} to drop them.", "yellow")

    def cancel(self) -> None:
        if self._display.notifications.close_window():
            return
        if self.playing is not None:
            self.play()
        elif self._debugger.playing:
            self.play_steps()
        elif self._workspace.worker.cancel() > 0:
            return
        elif self._debugger.step is not None or self._display.camera.looks_away:
            self.live()
        else:
            self._notify("Nothing to cancel", "No frames are being generated.")

    def undo(self) -> None:
        self._workspace.undo()

    def redo(self) -> None:
        self._workspace.redo()

    def switch(self, node: int) -> None:
        self._workspace.switch(node)

    def rename(self, step: int, name: str) -> None:
        self._workspace.rename(step, name)

    def compare(self, step: int) -> None:
        try:
            self._display.history.compare(step)
        except VMemError as error:
            self._notify("These steps cannot be compared", str(error), "red")

    def unfold(self, key: str) -> None:
        self._display.history.unfold(key)

    def jump(self) -> None:
        session = self._workspace.session
        if session is None:
            return
        if self._debugger.pointed is not None:
            self.look_through(self._debugger.pointed)
            return
        memory = session.memory
        view = nearest_view(memory, self._handle.camera, self.pointer) if self.pointer else None
        self.go_to_view(len(memory.views) - 1 if view is None else view)

    def go_to_view(self, view: int) -> None:
        views = self._display.scene.memory.views
        if self.ghost is not None and view < len(views):
            self.ghost.reset(views[view].camera)
            self._display.scene.show_ghost(self.ghost.camera)
            self._display.picture.place(self.ghost.camera.c2w, GLIDE_SECONDS)
            self._display.camera.look_through(views[view])
            self._display.walk.show_place(
                f"standing at view {view}; {CANCEL.key} to look from behind"
            )
            self._debugger.follow_ghost(self.ghost.camera)

    def look_through(self, view: int) -> None:
        views = self._display.scene.memory.views
        if view < len(views):
            self._display.camera.look_through(views[view])
            self._display.walk.show_place(f"looking through view {view}; {CANCEL.key} to step back")

    def play(self) -> None:
        self.playing = None if self.playing is not None else 0
        self._display.history.show_playing(self.playing is not None)

    def show_frame(self, view: int) -> None:
        session = self._workspace.session
        if session is None:
            return
        views = session.memory.views
        if view < len(views):
            self._display.history.show_view(view, views[view].rgb)
            self._display.camera.look_through(views[view])
            self._display.picture.place(views[view].camera.c2w)

    def help(self) -> None:
        self._display.notifications.open_help()

    # --- the session -----------------------------------------------------------------------

    def open(self, source: Source) -> None:
        if self._workspace.worker.busy:
            self._workspace.worker.cancel()
        self._workspace.open(source)

    def open_again(self) -> None:
        if self._workspace.source is not None:
            self.open(self._workspace.source)

    def export_walk(self) -> None:
        self._workspace.export()

    # --- settings --------------------------------------------------------------------------

    def set_mode(self, mode: Mode) -> None:
        self._settings.mode, self.held = mode, frozenset()
        self._display.picture.show_mode(mode)
        self._display.show_keymap()
        self._display.show_choices()

    def next_layout(self) -> None:
        self.set_layout(self._display.next_layout)

    def set_layout(self, layout: Layout) -> None:
        self._settings.layout = layout
        self._display.show_layout()
        if self._display.shown != layout:
            self._notify(
                "There is no room for both", f"They need {NARROW:,} pixels beside the panel."
            )

    def screenshot(self) -> None:
        self._display.picture.screenshot()

    def record(self) -> None:
        self._display.picture.record()

    def home(self, jump: bool = False) -> None:
        session = self._workspace.session
        if session is not None:
            self._go_to(session.memory.views[0].camera.c2w, 0.0 if jump else HOME_SECONDS)

    def stand_at(self, view: int) -> None:
        """Bring the walker to a view of the strip."""
        views = self._display.scene.memory.views
        if view < len(views):
            self._go_to(views[view].camera.c2w, STAND_SECONDS)

    def stand_on_map(self, at: tuple[float, float]) -> None:
        """Bring the walker to a place of the map, (x, y) in [0, 1] of it."""
        if self.ghost is not None:
            c2w = self._display.in_picture.pose_at(at, self.ghost.camera.c2w)
            if c2w is not None:
                self._go_to(c2w, STAND_SECONDS)

    def _go_to(self, c2w: F64, seconds: float) -> None:
        """Bring ghost and walker to a pose (4, 4)."""
        if self.ghost is None:
            return
        before = self.ghost.camera
        self.ghost.reset(before.moved_to(c2w))
        self._display.camera.follow(before, self.ghost.camera)
        self._display.picture.place(c2w, seconds)
        self._debugger.follow_ghost(self.ghost.camera)

    def set_targets(self, targets: TargetViews) -> None:
        self._settings.targets = targets

    def set_view_from(self, view_from: ViewFrom) -> None:
        self._settings.view_from = view_from
        self.return_to_ghost()

    def set_strides(self, step_size: float, turn_degrees: float) -> None:
        self._settings.step_size, self._settings.turn_degrees = step_size, turn_degrees
        if self.ghost is not None:
            self.ghost.step_size, self.ghost.turn_angle = step_size, np.radians(turn_degrees)

    def set_keymap(self, keymap: KeymapChoice) -> None:
        self._settings.keymap = keymap
        self._display.show_keymap()
        self._display.show_choices()

    def set_next(self, backend: str, size: int, seed: int) -> None:
        self._settings.size, self._settings.seed = size, seed
        if backend == self._settings.backend:
            return
        try:
            resolve(backend)
            self._settings.backend = backend
        except VMemError as error:
            self._display.notifications.explain(
                f"The {backend} backend cannot run here", str(error)
            )
        self._display.show_backends()

    def set_preset(self, preset: SamplerName) -> None:
        self._settings.preset = preset

    def set_visible(self, frustums: bool, billboards: bool, provenance: bool) -> None:
        options = self._settings.scene
        options.frustums, options.billboards = frustums, billboards
        options.provenance = provenance
        self._display.show_options()

    def set_renderer(self, drawn_by: Renderer, server_above: int) -> None:
        options = self._settings.scene
        options.drawn_by, options.server_above = drawn_by, server_above
        self._display.renderer.choose(len(self._display.scene.memory.surfels))

    # --- what is explained -----------------------------------------------------------------

    def explain(self, step: int | None) -> None:
        self._debugger.explain(step)
        if step is None and self._display.camera.looks_away:
            self.return_to_ghost()

    def earlier(self) -> None:
        self._debugger.earlier()

    def later(self) -> None:
        before = self._debugger.step
        self._debugger.later()
        if before is not None and self._debugger.step is None and self._display.camera.looks_away:
            self.return_to_ghost()

    def live(self) -> None:
        self.explain(None)

    def as_it_was(self) -> None:
        self._debugger.as_it_was()

    def play_steps(self) -> None:
        self._debugger.play_steps()

    def next_row(self) -> None:
        self._debugger.next_row()

    def previous_row(self) -> None:
        self._debugger.previous_row()

    def pin(self) -> None:
        self._debugger.pin()

    def ban(self) -> None:
        self._debugger.ban()

    def clear_what_ifs(self) -> None:
        self._debugger.clear_what_ifs()

    def set_query(self, name: QuerySetting, value: Any) -> None:
        self._debugger.set_query(name, value)

    def set_use_next(self, use: bool) -> None:
        self._settings.use_next = use

    def point(self, event: PointerEvent) -> None:
        """Follow the pointer over our own elements."""
        self._pointed.follow(event)

    # --- how it is shown -------------------------------------------------------------------

    def set_heat(self, heat: Heat) -> None:
        self._debugger.set_heat(heat)

    def next_heat(self) -> None:
        if not self._settings.overlay and self._settings.layout != "memory":
            self.toggle_overlay()
        self._debugger.next_heat()

    def toggle_overlay(self) -> None:
        self._settings.overlay = not self._settings.overlay
        self._display.show_overlay()

    def set_layer(self, layer: Layer) -> None:
        self._debugger.set_layer(layer)

    def next_layer(self) -> None:
        self._debugger.next_layer()

    def set_wipe(self, share: float) -> None:
        self._debugger.set_wipe(share)

    def wipe_left(self) -> None:
        self._debugger.wipe_left()

    def wipe_right(self) -> None:
        self._debugger.wipe_right()

    def set_rows(self, rows: RowCount) -> None:
        self._debugger.set_rows(rows)

    # --- questions -------------------------------------------------------------------------

    def ask_ray(self, origin: F64, direction: F64) -> bool:
        """Ask which views saw the surfel that a ray (3,), (3,) meets; False if it meets none."""
        surfel = pick_surfel(self._debugger.memory.surfels, origin, direction)
        if surfel is not None:
            self._debugger.ask_surfel(surfel)
        return surfel is not None

    def ask_under_pointer(self) -> None:
        if not self.ask_ray(*pointer_ray(self._handle.camera, self.pointer or (0.5, 0.5))):
            self._notify("No surfel there", "Point at one in the scene.")

    def compare_strategies(self) -> None:
        self._questions.compare_strategies()

    def make_both(self) -> None:
        self._questions.make_both(self.ghost, *self._display.memory.strategies.pair)

    def export_explanation(self) -> None:
        self._questions.export()
