"""All that one browser shows: scene, panels and camera, kept up to date with a walk."""

from __future__ import annotations

import time
from collections.abc import Callable

import viser

from viewer.actions import Actions
from viewer.browser.behind import Behind
from viewer.browser.in_picture import MemoryInPicture
from viewer.browser.notifications import Notifications
from viewer.browser.renderer import Renderer
from viewer.browser.scene_camera import SceneCamera
from viewer.browser.throttle import Throttle
from viewer.commands import Tab, page_controls
from viewer.debugger.debugger import Change, Debugger
from viewer.debugger.explained import Explained
from viewer.first_person.picture import NARROW, FirstPersonPicture
from viewer.first_person.reports import PageSize, Report
from viewer.page.backlog import Backlog
from viewer.page.files import Files
from viewer.page.scripts import reveal
from viewer.paint.surfel_colors import LIVE_MODES, paint_surfels, paint_view
from viewer.paint.target_layers import paint_layer, wipe
from viewer.panels.hints import HINTS
from viewer.panels.history import HistoryPanel
from viewer.panels.memory import MemoryPanel
from viewer.panels.memory_explain import plural, row_answer
from viewer.panels.session import COUNT as SAVED_WALKS
from viewer.panels.session import SessionPanel
from viewer.panels.settings import SettingsPanel
from viewer.panels.walk import WalkPanel
from viewer.scene.camera_rig import CameraRig
from viewer.scene.flat_photo import FlatPhoto
from viewer.scene.scene import SceneView
from viewer.scene.surfel_cloud import inject_patch
from viewer.settings import LAYOUTS, Layout
from viewer.walk.saving import file_of
from viewer.walk.worker import Event
from viewer.walk.workspace import Workspace
from vmem.arrays import U8
from vmem.cameras import Camera
from vmem.memory import MemorySnapshot
from vmem.session import Node, Session

TABLE_TIME = 0.25
"""Seconds between updates of the table of views, which is costly to send."""
TARGET_TIME = 0.15
"""Seconds between updates of the picture of what the target sees."""
HEAT_TIME = 0.04
"""Seconds between recolourings of the surfels; more where the page lags."""
REST_TIME = 2.0
"""Seconds after the memory has last changed until what the page has of it is tidied."""
JOB_TIME = 0.3
"""Seconds from the beginning of a job in which what the Memory tab explains waits for its end."""
LONG_WALK = 200
"""Steps from which the timeline waits until the walk has come to rest."""
FORMING_TIME = 0.1
"""Seconds between pictures of the frames that are being generated."""
IN_SCENE = (
    Change.SUBJECT | Change.ANSWER | Change.POINTED | Change.SURFEL | Change.HEAT | Change.TARGET
)


class Display:
    """Shows the walk and the debugger; decides nothing. Called on its browser's thread only."""

    def __init__(
        self,
        handle: viser.ClientHandle,
        workspace: Workspace,
        debugger: Debugger,
        commands: Actions,
        notifications: Notifications,
        post: Callable[..., None],
        files: Files,
        on_report: Callable[[Report], object],
    ) -> None:
        """``files``: what the page fetches; ``on_report``: hears what it says.
        ``post(call)`` runs a call on the browser's thread; panels call ``commands``."""
        self._handle = handle
        self._workspace = workspace
        self._settings = settings = workspace.settings
        self._debugger = debugger
        self.notifications = notifications
        self.heat = Throttle(HEAT_TIME)
        self.target = Throttle(TARGET_TIME)
        self.table = Throttle(TABLE_TIME)
        self.forming = Throttle(FORMING_TIME)
        self.forming_frames: tuple[Camera, U8] | None = None
        """The last camera and the frames (T, H', W', 3) of the step that is being made."""
        self._panel_changes = Change(0)
        self._open_tab = ""
        self._is_narrow = True  # until the page has said
        self._newest_due = False
        self._busy_since: float | None = None
        self._tidy_at: float | None = None
        self._labels: list[str] = []
        self._head: Node | None = None
        self._subjects_due = False
        self._billboards_show = (settings.scene.layer, settings.scene.wipe)
        self._flat = FlatPhoto(handle.scene)
        self._opening: U8 | None = None
        self._place = ""
        if workspace.session is None and workspace.opening is not None:
            self._flat.show(workspace.opening.rgb)  # panels take longer to make
        # An answer wakes the browser's thread, as colours may be waiting for it.
        self.backlog = Backlog(handle.gui, lambda: post(lambda: None))
        self.picture = FirstPersonPicture(handle, files, on_report, HINTS)
        self.picture.show_layout(settings.layout)
        self.picture.show_mode(settings.mode)
        self.picture.show_opening(None if workspace.opening is None else workspace.opening.rgb)
        self._behind = Behind(self.picture.show_backdrop, post)
        self.show_keymap()
        self.in_picture = MemoryInPicture(self.picture, settings)
        self.in_picture.show_switch()
        inject_patch(handle.gui)
        tabs = handle.gui.add_tab_group()
        with self._tab(tabs, "Walk"):
            self.walk = WalkPanel(handle.gui, commands, settings)
        with self._tab(tabs, "Memory"):
            self.memory = MemoryPanel(handle.gui, commands, settings, workspace.pins)
        with self._tab(tabs, "History"):
            self.history = HistoryPanel(handle.gui, commands)
        with self._tab(tabs, "Session"):
            self.session = SessionPanel(handle.gui, commands)
        with self._tab(tabs, "Settings"):
            self.settings = SettingsPanel(handle.gui, commands, settings)
        self.scene = SceneView(handle.scene, settings.scene, on_view_clicked=commands.go_to_view)
        rig = CameraRig(handle, on_dragged=commands.drag_ghost)
        self.camera = SceneCamera(handle, self.scene, rig, settings)
        self.renderer = Renderer(
            handle,
            self.scene,
            settings.scene,
            backlog=self.backlog,
            notifications=notifications,
            is_busy=lambda: workspace.worker.busy,
            post=post,
        )

    @staticmethod
    def _tab(tabs: viser.GuiTabGroupHandle, name: Tab) -> viser.GuiTabHandle:
        return tabs.add_tab(name)

    def open_tab(self, tab: Tab) -> None:
        """Open a tab: what was asked is answered there."""
        reveal(self._handle.gui, tab=tab)
        self.tab_opened(tab)

    def tab_opened(self, label: str) -> None:
        """The page shows that tab; "": it does not say. What the tab lacks follows."""
        self._open_tab = label
        self.history.show_seen(self._is_seen("History"))
        self.show_walks()
        if self._newest_due and self._is_seen("Walk"):
            self.show_newest()

    def show_walks(self) -> None:
        """List the saved walks, if the tab that does is open."""
        library = self._workspace.saving.library
        if self._open_tab == "Session" and library is not None:
            present = file_of(self._workspace.session)
            self.session.show_walks(library.recent(SAVED_WALKS), present)

    def _is_seen(self, tab: Tab) -> bool:
        return self._open_tab in ("", tab)

    # --- the walk --------------------------------------------------------------------------

    def show_opening(self, photo: U8 | None) -> None:
        """Show the photo (H, W, 3) that the first walk is being made of; None: no longer."""
        before, self._opening = self._opening, photo
        self._flat.show(photo)
        self.picture.show_opening(photo)
        if photo is not None and photo is not before:
            self.walk.show_forming(photo, "opening…")
        elif photo is None and before is not None:
            self.walk.show_frame(before, None)

    def show_session(self, session: Session, memory: MemorySnapshot, ghost: Camera) -> None:
        """Bring scene and panels up to ``memory``, which is the session's."""
        self.picture.show_memory(memory)
        self._behind.begin(memory.views[0], session.config.seed)
        self.show_opening(None)
        self.renderer.choose(len(memory.surfels))
        self._settings.scene.step = None
        explained = self._explained(memory)
        self.scene.show_memory(memory, None if explained is None else explained.retrieval)
        self._tidy_at = time.perf_counter() + REST_TIME
        self.scene.show_ghost(ghost)
        self.in_picture.show_memory(memory)
        if self.in_picture.wants_colors:
            self.heat.request()
        self.history.show(session)
        self.show_newest()
        self._follow_labels(session.history.head)
        self.memory.show_views(memory)
        self._subjects_due = True
        source = self._workspace.source
        made_by = session.backend.described(session.config.sampler)
        file = session.file
        where = () if file is None else (f"saved in {file.path}",)
        remarks = (*self._workspace.remarks, *where)
        self.session.show("" if source is None else source.title, made_by, remarks)
        self.show_backends()
        self._place = (
            f"step {len(memory.steps) - 1} · {plural(len(memory.views))} · "
            f"{len(memory.surfels):,} surfels · {made_by}"
            + (f" · {session.refused} refused" if session.refused else "")
        )
        self.walk.show_place(self._place)

    def _follow_labels(self, head: Node) -> None:
        """Know the labels of the steps up to ``head``."""
        if head.parent is not None and head.parent is self._head:
            self._labels.append(head.label)
        elif head is not self._head:
            self._labels = [node.label for node in head.path()[1:]]
        self._head = head

    def tell_refusal(self, message: str) -> None:
        """Say why a step was refused, where the user looks."""
        if self.shown == "memory":
            self.notifications.notify("Step not made", message, "yellow")
        else:
            self.picture.tell(message)

    def show_layout(self) -> None:
        """Fill the window as the settings say."""
        self.picture.show_layout(self._settings.layout)
        self.camera.seen = self.shown != "picture"
        self.show_choices()
        self.show_overlay()

    def show_overlay(self) -> None:
        """Lay memory over the walker's picture, or leave the picture alone, as the settings say."""
        self.in_picture.show_switch()
        explained = self._explained(self.scene.memory)
        if explained is not None:
            self.in_picture.show_chosen(explained.retrieval, self._debugger.pointed)
        self._show_heat()

    def show_keymap(self) -> None:
        """Have the picture walk by the keys that the settings say."""
        self.picture.show_controls(page_controls(self._settings.keymap_now))

    def show_choices(self) -> None:
        """Show which mode and layout are on."""
        self.walk.show_choices(self._settings, self.shown)

    def resized(self, size: PageSize) -> None:
        """The page has another size."""
        self._is_narrow = size.width < NARROW
        self.camera.seen = self.shown != "picture"
        self.show_choices()

    @property
    def shown(self) -> Layout:
        """The layout as the page has room for it."""
        layout = self._settings.layout
        return "picture" if layout == "both" and self._is_narrow else layout

    @property
    def next_layout(self) -> Layout:
        """The layout after the one shown, of those that the page has room for."""
        shown = self.shown
        layouts: list[Layout] = [name for name in LAYOUTS if name != "both" or not self._is_narrow]
        return layouts[(layouts.index(shown) + 1) % len(layouts)]

    def _explained(self, memory: MemorySnapshot) -> Explained | None:
        """What is explained, if it can be shown on ``memory``."""
        explained = self._debugger.explained
        return explained if explained is not None and explained.fits(memory) else None

    def show_newest(self) -> None:
        """Show the newest frame, beside what memory knew of it before it was made.

        While a step is being made, its last frame as far as it has formed. In a tab that is not
        open, the picture waits until it is.
        """
        self._newest_due = not self._is_seen("Walk")
        if self._newest_due:
            return
        memory = self.scene.memory
        if self.forming_frames is not None:
            self.walk.show_forming(self.forming_frames[1][-1])
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
        """Show what a job reports, with the frames of its step as they form.

        The pictures follow in ``settle``. Once the job is over they are dropped, and
        ``show_session`` shows what memory has.
        """
        self.walk.show_event(event)
        self.notifications.show_job(event)
        if event.kind != "progress":
            self.forming_frames = None
            self.forming.withdraw()
            self.scene.end_forming()
            self.in_picture.show_forming(None)
        elif event.progress is not None and event.progress.frames is not None and event.target:
            self.forming_frames = (event.target, event.progress.frames)
            self.forming.request()

    def show_backends(self) -> None:
        """Show what the next walk is made with, and whether a sampler can be chosen."""
        session = self._workspace.session
        samples = session is not None and bool(session.backend.samplers)
        self.settings.show(self._settings, samples)

    def show_options(self) -> None:
        """Apply what is switched on and off in the scene."""
        self.scene.show_options()
        self.show_newest()

    def return_to(self, ghost: Camera) -> None:
        """Move the scene's camera to where the settings have it for a ghost."""
        self.walk.show_place(self._place)
        self.camera.return_to(ghost)

    # --- what is explained -----------------------------------------------------------------

    def settle(self, now: float) -> float | None:
        """Show in the scene what the debugger says has changed; send of colours and forming frames
        what is due and the page is ready for, the latest only.

        ``now`` is time.perf_counter(). Returns the seconds until there is more to do.
        """
        changed = self._debugger.take_changes()
        self._panel_changes |= changed
        if changed & IN_SCENE:
            self._show_changes(changed)
        streamed = self.scene.streamed
        # A stream keeps one picture under way while another is drawn: that is no backlog.
        hold = self.backlog.longest_wait if self.backlog.outstanding > streamed else 0.0
        heat_hold = 0.0 if streamed else hold
        sent = False
        if self.heat.take(now, heat_hold):
            self._show_heat()
            sent = not streamed
        if self.forming_frames is not None and self.forming.take(now, hold):
            self.scene.show_forming(*self.forming_frames)
            self.in_picture.show_forming(self.forming_frames[1][-1])
            self.show_newest()
            sent = True
        if sent:
            self.backlog.mark()
        return _soonest(
            self.heat.wait(now, heat_hold),
            self.forming.wait(now, hold),
            self.camera.settle(now, self.backlog),
            self.in_picture.settle(now),
        )

    def settle_panels(self, now: float) -> float | None:
        """Show in the panels what has changed: after the scene, since it takes longer to make.

        Returns the seconds until there is more to do.
        """
        changed, self._panel_changes = self._panel_changes, Change(0)
        if Change.PLAYING in changed:
            self.memory.timeline.show_playing(self._debugger.playing)
        if Change.COMPUTING in changed:
            self.memory.explain.show_computing(self._debugger.computing)
        if Change.CELL in changed:
            self.memory.timeline.show_cell(self.scene.memory, self._debugger.cell)
        reveals = Change.ROW in changed and self._debugger.pointed is not None
        if reveals:
            self.tab_opened("Memory")
        rest = self._tidy(now)
        if not self._is_seen("Memory"):
            return rest
        self._show_subjects()
        hold = 0.0 if reveals else self._job_hold(now)
        if self.target.take(now, hold):
            self._show_target()
        if self.table.take(now, hold):
            self._show_table()
        if reveals:
            reveal(self._handle.gui, row_answer(self._debugger.pointed or 0), "Memory")
        return _soonest(rest, self.target.wait(now, hold), self.table.wait(now, hold))

    def _show_subjects(self) -> None:
        """Show what can be explained, and the timeline: of a long walk once it has come to rest,
        for every step is gone through."""
        memory, step = self.scene.memory, self._debugger.step
        waits = len(memory.steps) > LONG_WALK and step is None and self._workspace.worker.busy
        if self._subjects_due and memory.views and not waits:
            self._subjects_due = False
            self.memory.show_subject(memory, self._labels, step)

    def _tidy(self, now: float) -> float | None:
        """Tidy the scene once the walk has come to rest; the seconds until then, None if it is."""
        if self._tidy_at is None:
            return None
        if self._workspace.worker.busy:
            self._tidy_at = now + REST_TIME
        if now < self._tidy_at:
            return self._tidy_at - now
        self._tidy_at = None
        self.scene.tidy()
        return None

    def _job_hold(self, now: float) -> float:
        """Seconds to wait for a job that has just begun: its end brings pictures of its own."""
        if not self._workspace.worker.busy:
            self._busy_since = None
            return 0.0
        if self._busy_since is None:
            self._busy_since = now
        return max(0.0, self._busy_since + JOB_TIME - now)

    def _show_changes(self, changed: Change) -> None:
        debugger, explained = self._debugger, self._explained(self.scene.memory)
        if Change.SUBJECT in changed:
            self._show_subject(debugger.step)
        if explained is not None and changed & (Change.ANSWER | Change.POINTED):
            retrieval = explained.retrieval
            self.scene.show_retrieval(retrieval.targets[-1], retrieval, debugger.pointed)
            self.in_picture.show_chosen(retrieval, debugger.pointed)
            live = self._settings.scene.heat in LIVE_MODES or debugger.pointed is not None
            if Change.POINTED in changed or live:
                self.heat.request()
        if Change.ANSWER in changed:
            self.table.request()
            self.target.request()
        if Change.TABLE in changed:
            self.table.request(at_once=True)
        if Change.SURFEL in changed:
            self.scene.show_asked(self.memory.surfel.show(self.scene.memory, debugger.asked))
        if Change.HEAT in changed:
            self._show_heat()
            self.scene.show_billboards()
            self.show_newest()
            self.heat.withdraw()
            self.target.request()
        if Change.TARGET in changed:
            self.target.request(at_once=True)

    def _show_subject(self, step: int | None) -> None:
        """Show a step's billboards, and look from where it looked; with None the newest step's."""
        memory = self.scene.memory
        self._settings.scene.step = step
        self.scene.show_billboards()
        self._subjects_due = True
        retrieval = None if step is None else memory.retrievals[step]
        if retrieval is not None and self._settings.view_from != "free":
            self.camera.look_over(retrieval.targets[-1])

    def _show_heat(self) -> None:
        explained = self._debugger.explained
        retrieval = None if explained is None else explained.retrieval
        painted = self.scene.show_heat(retrieval, self._debugger.pointed)
        self.memory.show_colors(self._settings.scene.heat, painted)
        self.in_picture.show_colors(painted, self._debugger.pointed)

    def _show_target(self) -> None:
        """What the target sees beside its frame, in the panel and, of a step, in the scene."""
        explained, options = self._explained(self.scene.memory), self._settings.scene
        if explained is None:
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
        self.memory.target.show(wipe(frame, layer.image, options.wipe), layer, left_is)
        if (options.layer, options.wipe) != self._billboards_show:
            self._billboards_show = (options.layer, options.wipe)
            self.scene.show_billboards()

    def _show_table(self) -> None:
        """The costly part of an explanation: words and table."""
        explained = self._explained(self.scene.memory)
        if explained is None:
            return
        self.memory.show_explained(
            explained,
            self._debugger.rows,
            self._debugger.pointed,
            drawn_by="server" if self.scene.streamed else "browser",
            waiting=self._workspace.worker.waiting,
            dropped=self.heat.dropped,
        )

    def close(self) -> None:
        """The browser is gone: end what runs for it."""
        self._behind.drop()
        self.picture.dispose()
        self.renderer.close()


def _soonest(*waits: float | None) -> float | None:
    """The smallest of some waits; None if there is none."""
    return min((wait for wait in waits if wait is not None), default=None)
