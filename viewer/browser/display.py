"""All that one browser is shown: scene, panels and eye, kept in step with a walk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import viser

from viewer.browser.notifications import Notes
from viewer.debugger.shown import Explained
from viewer.page.backlog import Link
from viewer.paint.surfel_colors import LIVE_MODES, paint_surfels, paint_view
from viewer.paint.target_layers import paint_layer, wipe
from viewer.panels.history import HistoryPanel
from viewer.panels.memory import TAB as MEMORY_TAB
from viewer.panels.memory import MemoryPanel
from viewer.panels.session import SessionPanel
from viewer.panels.settings import SettingsPanel
from viewer.panels.walk import WalkPanel
from viewer.scene.camera_rig import CameraRig
from viewer.scene.scene import SceneView
from viewer.scene.stream import SurfelStream, why_no_stream
from viewer.scene.surfel_cloud import inject_patch
from viewer.walk.worker import Event
from viewer.walk.workspace import Settings, described, samples_with
from vmem.arrays import U8
from vmem.cameras import Camera
from vmem.memory import MemorySnapshot
from vmem.session import Session
from vmem.types import Retrieval, View

if TYPE_CHECKING:
    from viewer.browser.client import Client

TABLE_TIME = 0.25
"""Seconds between updates of what is costly to send: the table and the target picture."""
TARGET_TIME = 0.15
"""The same, of the picture of what the target sees."""
HEAT_TIME = 0.04
"""Seconds between recolourings of the surfels; more where the link is slower."""
FORMING_TIME = 0.1
"""The same, between pictures of the frames that are being made."""


class Display:
    """Shows; decides nothing. Called on its client's thread only."""

    def __init__(self, client: Client, handle: viser.ClientHandle, settings: Settings) -> None:
        self._client = client
        self._handle = handle
        self._settings = settings
        self._standing = False
        self.notes = Notes(client, handle)
        self._explained: Explained | None = None
        self._pointed: int | None = None
        self._heat_due = self._table_due = self._target_due = False
        self._heat_shown = self._table_shown = self._target_shown = 0.0
        self._dropped = 0
        self._forming: tuple[Camera, U8] | None = None
        self._forming_due = False
        self._forming_shown = 0.0
        self._stream: SurfelStream | None = None
        self._no_stream_told = False
        self._labels: list[str] = []
        self._billboards_show = (settings.scene.layer, settings.scene.wipe)
        # Answered: wake the client, for whom colours may be waiting.
        self._link = Link(handle.gui, lambda: client.post(_nothing))
        handle.camera.on_update(self._eye_moved)
        self.rig = CameraRig(handle, on_dragged=lambda pose: client.post(client.dragged, pose))
        inject_patch(handle.gui)
        tabs = handle.gui.add_tab_group()
        with tabs.add_tab("Walk"):
            self.walk = WalkPanel(client, handle.gui)
        with tabs.add_tab(MEMORY_TAB):
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

    def show_session(self, session: Session, ghost: Camera) -> None:
        """Bring scene and panels up to the session as it stands."""
        memory = session.snapshot()
        self.choose_renderer(len(memory.surfels))
        self._settings.scene.step = None
        self.scene.show_memory(memory, self._known_retrieval(memory))
        self.scene.show_ghost(ghost)
        self.history.show(session)
        self.show_newest()
        self._labels = [node.label for node in session.history.head.path()[1:]]
        self.memory.show_memory(memory, self._labels, self._client.inspector.step)
        workspace = self._client.workspace
        title = "" if workspace.source is None else workspace.source.title
        self.session.show(title, described(session.backend), workspace.notes)
        self.show_backends()
        self.walk.show_place(
            f"step {len(memory.steps) - 1} · {len(memory.views)} views · "
            f"{len(memory.surfels)} surfels · {described(session.backend)}"
        )

    def _known_retrieval(self, memory: MemorySnapshot) -> Retrieval | None:
        """What was explained last, if it can be shown on ``memory``."""
        explained = self._explained
        if explained is None or len(explained.retrieval.votes) > len(memory.views):
            return None
        return explained.retrieval

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
            mode = self._settings.scene.heat
            color = paint_surfels("weight" if mode == "image" else mode, memory, retrieval).color
            heat = paint_view(retrieval.buffers[-1], color)
        self.walk.show_frame(self.scene.frame_picture(memory.views[-1]), heat)

    def show_event(self, event: Event) -> None:
        """What a job reports, with the frames of its step as they form.

        The pictures follow in ``settle``. Once the job is over they are forgotten, and
        ``show_session`` brings back what memory has.
        """
        self.walk.show_event(event)
        self.notes.show_job(event)
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

    # --- what is explained -----------------------------------------------------------------

    def show_subject(self, step: int | None) -> None:
        """Something else is explained: its billboards; and the eye goes where it looked from."""
        memory = self.scene.memory
        self._settings.scene.step = step
        self.scene.show_billboards()
        self.memory.show_subject(memory, self._labels, step)
        retrieval = None if step is None else memory.retrievals[step]
        if retrieval is not None and self._settings.eye != "free":
            self._standing = True
            self.scene.immerse(False)
            self.rig.look_over(retrieval.targets[-1])

    def show_explained(self, explained: Explained) -> None:
        """Light what it draws on; what is costly to send follows in ``settle``."""
        self._explained = explained
        self.scene.show_retrieval(
            explained.retrieval.targets[-1], explained.retrieval, self._pointed
        )
        self._table_due = self._target_due = True
        if self._settings.scene.heat in LIVE_MODES or self._pointed is not None:
            self._recolor_due()

    def show_pointed(self, view: int | None) -> None:
        """Light a view, its line and what only it explains; with None what was lit before."""
        self._pointed = view
        explained = self._explained
        if explained is not None:
            target = explained.retrieval.targets[-1]
            self.scene.show_retrieval(target, explained.retrieval, view)
            self._recolor_due()

    def show_surfel(self, surfel: int | None) -> None:
        """What a surfel says of itself, with lines to the views that saw it."""
        found = self.memory.show_surfel(self.scene.memory, surfel)
        if found is None:
            self.scene.show_asked(None)
        else:
            self.scene.show_asked(found)

    def show_target(self) -> None:
        """Another layer, or another wipe, of the target's eye."""
        self._target_due, self._target_shown = True, 0.0

    def table_due(self) -> None:
        """The table is to be shown again, at once."""
        self._table_due, self._table_shown = True, 0.0

    def _recolor_due(self) -> None:
        self._dropped += self._heat_due
        self._heat_due = True

    def settle(self, now: float) -> float | None:
        """Send of colours and forming frames what is due and the link has room for; the latest
        only.

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
                self._show_heat()
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
        return min(waits, default=None)

    def settle_panels(self, now: float) -> float | None:
        """The same, for what the panel says: after the scene, since it takes longer to make."""
        waits: list[float] = []
        if self._target_due:
            wait = self._target_shown + TARGET_TIME - now
            if wait <= 0:
                self._show_target()
                self._target_shown, self._target_due = now, False
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

    def _show_heat(self) -> None:
        explained = self._explained
        retrieval = None if explained is None else explained.retrieval
        painted = self.scene.show_heat(retrieval, self._pointed)
        self.memory.show_colors(self._settings.scene.heat, painted)

    def _show_target(self) -> None:
        """The target's eye beside the frame, in the panel and, of a step, in the scene."""
        explained, options = self._explained, self._settings.scene
        if explained is None or len(explained.retrieval.votes) > len(self.scene.memory.views):
            return
        memory, retrieval = self.scene.memory, explained.retrieval
        last = len(retrieval.targets) - 1
        color = paint_surfels(options.heat, memory, retrieval).color
        layer = paint_layer(options.layer, memory, retrieval, last, color)
        if explained.step is None:
            frame = paint_view(retrieval.buffers[-1], memory.surfels.color)
            left_is = "what memory holds, as nothing is generated yet"
        else:
            frame = self.scene.frame_picture(memory.views[memory.steps[explained.step].n_views - 1])
            left_is = "the generated frame"
        self.memory.show_target(wipe(frame, layer.image, options.wipe), layer, left_is)
        if (options.layer, options.wipe) != self._billboards_show:
            self._billboards_show = (options.layer, options.wipe)
            self.scene.show_billboards()

    def _show_table(self) -> None:
        """The costly part of an explanation: words and table."""
        explained = self._explained
        if explained is None or len(explained.retrieval.votes) > len(self.scene.memory.views):
            return
        drawn_by = "server" if self.scene.streamed else "browser"
        waiting = self._client.workspace.worker.waiting
        self.memory.show_explained(explained, self._pointed, drawn_by, waiting, self._dropped)

    def recolor(self) -> None:
        """Another colouring was chosen."""
        self._show_heat()
        self.scene.show_billboards()
        self.show_newest()
        self._heat_due, self._target_due = False, True

    # --- who draws the surfels ---------------------------------------------------------------

    def choose_renderer(self, surfels: int) -> None:
        """Have browser or server draw so many surfels, as the settings say."""
        options = self._settings.scene
        wanted = options.server_draws(surfels, self._stream is not None)
        missing = why_no_stream() if wanted else ""
        if missing and not self._no_stream_told:
            self._no_stream_told = True
            self.notes.notify("The browser draws the surfels", f"drawn by the browser: {missing}")
        if wanted and not missing and self._stream is None:
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
                self.notes.notify(
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
        self.notes.notify("The server's drawing failed", f"{type(error).__name__}: {error}", "red")
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

    @property
    def standing(self) -> bool:
        """Whether the eye has left the ghost for a view or a step."""
        return self._standing

    def step_back(self, ghost: Camera) -> None:
        """Take the place that the settings mean the eye to have."""
        self._standing = False
        self.rig.set_eye(self._settings.eye, ghost)
        self.scene.immerse(False)
        self.scene.immerse(self._settings.eye == "eyes")


def _nothing() -> None:
    """A call that only wakes its actor."""
