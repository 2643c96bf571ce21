"""All that one browser is shown: scene, panels and eye, kept in step with a walk."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from viewer.worker import Event
from viewer.workspace import Settings, described, samples_with
from vmem.cameras import Camera
from vmem.retrieval import Retrieval
from vmem.session import Session
from vmem.views import U8, View

if TYPE_CHECKING:
    from viewer.client import Client

TABLE_TIME = 0.25
"""Seconds between updates of what is costly to send: the table and the target picture."""
HEAT_TIME = 0.04
"""Seconds between recolourings of the surfels; more where the link is slower."""
FORMING_TIME = 0.1
"""The same, between pictures of the frames that are being made."""
SHORT = 120
"""Characters of a message that can be read before a note goes away."""


class Display:
    """Shows; decides nothing. Called on its client's thread only."""

    def __init__(self, client: Client, handle: viser.ClientHandle, settings: Settings) -> None:
        self._client = client
        self._handle = handle
        self._settings = settings
        self._standing = False
        self._close_modal: Callable[[], None] | None = None
        self._retrieval: Retrieval | None = None
        self._retrieval_ms = 0.0
        self._heat_due = self._table_due = False
        self._heat_shown = self._table_shown = 0.0
        self._dropped = 0
        self._forming: tuple[Camera, U8] | None = None
        self._forming_due = False
        self._forming_shown = 0.0
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
            self.settings = SettingsPanel(client, handle.gui)
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
        workspace = self._client.workspace
        title = "" if workspace.source is None else workspace.source.title
        self.session.show(title, described(session.backend), workspace.notes)
        self.show_backends()
        self.walk.show_place(
            f"step {len(memory.steps) - 1} · {len(memory.views)} views · "
            f"{len(memory.surfels)} surfels · {described(session.backend)}"
        )

    def show_newest(self) -> None:
        """The newest frame, beside what memory knew of it before it was made.

        While a step is being made, its last frame as it forms.
        """
        memory = self.scene.memory
        if self._forming is not None:
            self.walk.show_forming(self._forming[1][-1])
            return
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

    def show_event(self, event: Event) -> None:
        """What a job reports, with the frames of its step as they form.

        The pictures follow in ``settle``. Once the job is over they are forgotten, and
        ``show_session`` brings back what memory has.
        """
        self.walk.show_event(event)
        if event.kind != "progress":
            self._forming, self._forming_due = None, False
            self.scene.end_forming()
        elif event.progress is not None and event.progress.frames is not None and event.target:
            self._forming, self._forming_due = (event.target, event.progress.frames), True

    def show_backends(self) -> None:
        """What the next walk is made with, and whether a sampler can be chosen."""
        session = self._client.workspace.session
        samples = session is not None and samples_with(session.backend) is not None
        self.settings.show(self._settings, samples)

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
        """Send of colours, forming frames and table what is due and the link has room for; the
        latest only.

        ``now`` is time.perf_counter(). Returns the seconds after which there is more to do.
        """
        waits: list[float] = []
        streamed = self.scene.streamed
        # A stream keeps one picture on its way while another is drawn: that is no backlog.
        crowded = self._link.outstanding > streamed
        sent = False
        if self._heat_due:
            wait = self._heat_shown + HEAT_TIME - now
            if not streamed and crowded:
                wait = max(wait, self._link.patience)
            if wait <= 0:
                self.scene.show_heat(self._retrieval)
                sent = not streamed
                self._heat_shown, self._heat_due = now, False
            else:
                waits.append(wait)
        if self._forming_due and self._forming is not None:
            wait = self._forming_shown + FORMING_TIME - now
            if crowded:
                wait = max(wait, self._link.patience)
            if wait <= 0:
                self.scene.show_forming(*self._forming)
                self.show_newest()
                sent = True
                self._forming_shown, self._forming_due = now, False
            else:
                waits.append(wait)
        if sent:
            self._link.mark()
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
        if self._close_modal is None:
            with self._modal("Keys and mouse"):
                self._handle.gui.add_markdown(help_markdown(self._settings.keymap))

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


def _nothing() -> None:
    """A call that only wakes its actor."""
