"""All that one browser is shown: scene, panels and eye, kept in step with a walk."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import viser

from viewer.camera_rig import CameraRig
from viewer.controls import help_markdown
from viewer.heatmap import LIVE_MODES, paint_surfels, paint_view
from viewer.link import Link
from viewer.panels.history import HistoryPanel
from viewer.panels.memory import MemoryPanel
from viewer.panels.session import SessionPanel
from viewer.panels.settings import SettingsPanel
from viewer.panels.walk import WalkPanel
from viewer.scene import SceneView
from viewer.stream import SurfelStream
from viewer.surfel_cloud import inject_patch
from viewer.workspace import Settings
from vmem.cameras import Camera
from vmem.retrieval import Retrieval
from vmem.session import Session
from vmem.views import View

if TYPE_CHECKING:
    from viewer.client import Client

TABLE_TIME = 0.25
"""Seconds between updates of what is costly to send: the table and the target picture."""
HEAT_TIME = 0.04
"""Seconds between recolourings of the surfels; more where the link is slower."""


class Display:
    """Shows; decides nothing. Called on its client's thread only."""

    def __init__(self, client: Client, handle: viser.ClientHandle, settings: Settings) -> None:
        self._client = client
        self._handle = handle
        self._settings = settings
        self._standing = False
        self._close_help: Callable[[], None] | None = None
        self._retrieval: Retrieval | None = None
        self._retrieval_ms = 0.0
        self._heat_due = self._table_due = False
        self._heat_shown = self._table_shown = 0.0
        self._dropped = 0
        self._stream: SurfelStream | None = None
        # Answered: wake the client, for whom colours may be waiting.
        self._link = Link(handle.gui, lambda: client.post(_nothing))
        handle.camera.on_update(self._eye_moved)
        self.rig = CameraRig(handle, on_dragged=lambda pose: client.post(client.dragged, pose))
        inject_patch(handle.gui)
        tabs = handle.gui.add_tab_group()
        with tabs.add_tab("Walk"):
            self.walk = WalkPanel(client, handle.gui)
        with tabs.add_tab("Memory"):
            self.memory = MemoryPanel(client, handle.gui)
        with tabs.add_tab("History"):
            self.history = HistoryPanel(client, handle.gui)
        with tabs.add_tab("Session"):
            self.session = SessionPanel(client, handle.gui)
        with tabs.add_tab("Settings"):
            SettingsPanel(client, handle.gui)
        self.scene = SceneView(
            handle.scene,
            settings.scene,
            on_view_clicked=lambda view: client.post(client.stand_at, view),
        )

    # --- the walk --------------------------------------------------------------------------

    def show_session(self, session: Session, ghost: Camera, retrieval: Retrieval | None) -> None:
        """Bring scene and panels up to the session as it stands."""
        memory = session.snapshot()
        self._retrieval = retrieval
        self.choose_renderer(len(memory.surfels))
        self.scene.show_memory(memory, retrieval)
        self.scene.show_ghost(ghost)
        self.history.show(session)
        self.show_newest()
        self.walk.show_place(
            f"step {len(memory.steps) - 1} · {len(memory.views)} views · "
            f"{len(memory.surfels)} surfels · {session.backend.label}"
        )

    def show_newest(self) -> None:
        """The newest frame, beside what memory knew of it before it was made."""
        memory = self.scene.memory
        if not memory.views:
            return
        retrieval = memory.retrievals[-1]
        heat = None
        if retrieval is not None:
            before = memory.at_step(len(memory.steps) - 2)
            mode = self._settings.scene.heat
            color = paint_surfels("weight" if mode == "image" else mode, before, retrieval).color
            heat = paint_view(retrieval.buffers[-1], color)
        self.walk.show_frame(self.scene.frame_picture(memory.views[-1]), heat)

    def show_options(self) -> None:
        """Apply what is switched on and off."""
        self.scene.show_options()
        self.show_newest()

    # --- the ghost -------------------------------------------------------------------------

    def follow(self, before: Camera, ghost: Camera) -> None:
        """The ghost has moved: so does the eye."""
        with self._handle.atomic():
            self.scene.show_ghost(ghost)
            if self._standing:
                self.step_back(ghost)
            else:
                self.rig.follow(before, ghost)

    def show_retrieval(self, ghost: Camera, retrieval: Retrieval, ms: float) -> None:
        """Light what the ghost would draw on; what is costly to send follows in ``settle``."""
        self.scene.show_retrieval(ghost, retrieval)
        self._retrieval, self._retrieval_ms = retrieval, ms
        self._table_due = True
        if self._settings.scene.heat in LIVE_MODES:
            self._dropped += self._heat_due
            self._heat_due = True

    def settle(self, now: float) -> float | None:
        """Send of colours and table what is due and the link has room for; the latest only.

        ``now`` is time.perf_counter(). Returns the seconds after which there is more to do.
        """
        waits: list[float] = []
        if self._heat_due:
            wait = self._heat_shown + HEAT_TIME - now
            if not self.scene.streamed and self._link.outstanding:
                wait = max(wait, self._link.patience)
            if wait <= 0:
                self.scene.show_heat(self._retrieval)
                if not self.scene.streamed:
                    self._link.mark()
                self._heat_shown, self._heat_due = now, False
            else:
                waits.append(wait)
        if self._table_due:
            wait = self._table_shown + TABLE_TIME - now
            if wait <= 0:
                self._show_table()
                self._table_shown, self._table_due = now, False
            else:
                waits.append(wait)
        return min(waits, default=None)

    def _show_table(self) -> None:
        """The costly part of a retrieval: table, target picture, legend."""
        memory, retrieval = self.scene.memory, self._retrieval
        if retrieval is None:
            return
        painted = paint_surfels(self._settings.scene.heat, memory, retrieval)
        self.memory.show_colors(self._settings.scene.heat, painted)
        if len(retrieval.votes) <= len(memory.views):
            self.memory.show_target(paint_view(retrieval.buffers[-1], painted.color))
            drawn_by = "server" if self.scene.streamed else "browser"
            self.memory.show_retrieval(
                memory, retrieval, self._retrieval_ms, drawn_by, self._dropped
            )

    def recolor(self) -> None:
        """Another colouring was chosen."""
        self.scene.show_heat(self._retrieval)
        self.scene.show_billboards()
        self.show_newest()
        self._heat_due, self._table_due = False, True

    # --- who draws the surfels ---------------------------------------------------------------

    def choose_renderer(self, surfels: int) -> None:
        """Have browser or server draw so many surfels, as the settings say."""
        options = self._settings.scene
        wanted = options.server_draws(surfels, self._stream is not None)
        if wanted and self._stream is None:
            client = self._client
            stream = SurfelStream(
                self._handle,
                self._link,
                is_busy=lambda: client.workspace.worker.busy,
                on_failed=lambda error: client.post(self._stream_failed, stream, error),
            )
            self._stream = stream
            self.scene.draw_on(stream)
            stream.start()
            if options.drawn_by == "auto":
                self.notify(
                    "The server now draws the surfels",
                    f"{surfels:,} are more than {options.server_above:,}: see Settings.",
                )
        elif not wanted and self._stream is not None:
            self._end_stream()

    def _end_stream(self) -> None:
        stream, self._stream = self._stream, None
        self.scene.draw_on(None)
        if stream is not None:
            stream.stop()

    def _stream_failed(self, stream: SurfelStream, error: Exception) -> None:
        self.notify("The server's drawing failed", f"{type(error).__name__}: {error}", "red")
        if stream is self._stream and not stream.alive:
            self._settings.scene.drawn_by = "browser"
            self._end_stream()

    async def _eye_moved(self, _: viser.CameraHandle) -> None:
        """On viser's event loop."""
        if self._stream is not None:
            self._stream.moved()

    def close(self) -> None:
        """The browser is gone: end what runs for it."""
        if self._stream is not None:
            self._stream.stop()

    # --- the eye ---------------------------------------------------------------------------

    def look_through(self, view: View) -> None:
        """Stand at a view's place and see its frame there."""
        self._standing = True
        self.scene.immerse(True)
        self.scene.show_screen(view)
        self.rig.stand_at(view.camera)

    def step_back(self, ghost: Camera) -> None:
        """Take the place that the settings mean the eye to have."""
        self._standing = False
        self.rig.set_eye(self._settings.eye, ghost)
        self.scene.immerse(False)
        self.scene.immerse(self._settings.eye == "eyes")

    # --- words -----------------------------------------------------------------------------

    def open_help(self) -> None:
        """The list of keys; once is enough."""
        if self._close_help is not None:
            return
        client, gui = self._client, self._handle.gui
        modal = gui.add_modal("Keys and mouse")
        with modal:
            gui.add_button("Close (Esc)").on_click(lambda _: client.post(self.close_help))
            gui.add_markdown(help_markdown(self._settings.keymap))
        self._close_help = modal.close

    def close_help(self) -> bool:
        """True if it was open."""
        if self._close_help is None:
            return False
        self._close_help()
        self._close_help = None
        return True

    def notify(self, title: str, body: str, color: str | None = None) -> None:
        """A note that goes away by itself."""
        self._handle.add_notification(title, body, auto_close_seconds=6.0, color=color)  # pyright: ignore


def _nothing() -> None:
    """A call that only wakes its actor."""
