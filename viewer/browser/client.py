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
from viewer.browser.throttle import Throttle
from viewer.commands import BY_NAME, SWALLOWED, Command, command_of, moves_of
from viewer.debugger.debugger import Debugger
from viewer.first_person.reports import Asked, PageSize, Report, WalkerPose
from viewer.page.files import Files
from viewer.page.keyboard import Keyboard, KeyEvent
from viewer.page.pointing import Pointing
from viewer.page.tabs import OpenTab
from viewer.preferences import remembered
from viewer.walk.actor import Actor
from viewer.walk.follower import Follower
from viewer.walk.jobs import BothMade, Download, StrategyAnswers
from viewer.walk.stretches import is_stretch, next_stretch
from viewer.walk.worker import Event
from viewer.walk.workspace import Workspace
from vmem.session import Session

PLAY_TIME = 1 / 8
"""Seconds for which each frame is shown when the walk is played."""
REST_TIME = 0.5
"""Seconds between updates of scene and panels while views follow the walker."""
WALK_TIME = 1.0
"""Seconds more while he walks and the picture is all that is seen: the page has enough to do."""
EXPLAIN_TIME = 0.3
"""Seconds between questions to memory while he walks: views for him go first."""
FOLLOW_TIME = 0.03
"""Seconds between looks at whether where he goes calls for a view: reports of his pose come less
often than views can be made."""
BRIEF = 0.5
"""Seconds up to which the progress of a step of a stretch is not shown."""
TRAVELS = ("undo", "redo", "switch")
"""Jobs that move the walker in history."""
CHOICES_KEY = "choices"
"""Where the browser keeps what its user chose."""


class Client(Actor):
    """Everything one browser sees and does; ``commands`` may be called from any thread."""

    def __init__(
        self, handle: viser.ClientHandle, workspace: Workspace, files: Files | None = None
    ) -> None:
        """``files``: what the page can fetch from the server."""
        super().__init__(f"browser-{handle.client_id}")
        self.handle = handle
        self.workspace = workspace
        self._last_tick = 0.0
        self._shown_session: Session | None = None
        self._remembered = ""
        self._follower = Follower()
        self._stretch = ""
        """Label of the steps of the stretch that the walker is on; "" before his first, and once it
        was taken back."""
        self._rest_due = Throttle(REST_TIME)
        self._travels = workspace.travels
        self._asked_at = 0.0
        self._explained_at = 0.0
        self._rested_at = 0.0
        self._began = 0.0
        self._was_long = False

        settings = workspace.settings
        self.notifications = Notifications(handle, self.post, settings)
        self.debugger = Debugger(
            settings, workspace.pins, workspace.query, self.notifications.notify, self.post
        )
        self.commands = posted(self.post, lambda: self.actions)
        self.display = Display(
            handle,
            workspace,
            self.debugger,
            self.commands,
            self.notifications,
            self.post,
            files or Files(),
            self.page_said,
        )
        self.actions = BrowserActions(handle, workspace, self.debugger, self.display)
        self._keyboard = Keyboard(handle, SWALLOWED, self.key_changed)
        self._pointing = Pointing(handle, lambda event: self.post(self.actions.point, event))
        self._open_tab = OpenTab(handle, lambda tab: self.post(self.display.tab_opened, tab))
        handle.scene.on_click()(self.clicked)
        workspace.listen(self.hear_job)
        self.start()
        self.post(self.show_session)

    def leave(self) -> None:
        """The browser is gone: end everything."""
        self.workspace.ignore(self.hear_job)
        self._keyboard.dispose()
        self._pointing.dispose()
        self._open_tab.dispose()
        self.close()
        self.display.close()

    # --- what happens ----------------------------------------------------------------------

    def key_changed(self, event: KeyEvent) -> None:
        """Take an event of the keyboard; returns at once."""
        self.post(self._handle_key, event)

    def page_said(self, report: Report) -> None:
        """Take what the page says of its walker; returns at once."""
        self.post(self._hear, report)

    def hear_job(self, event: Event) -> None:
        """Take what the worker reports; returns at once."""
        self.post(self._job_changed, event)

    def clicked(self, event: viser.SceneClickEvent) -> None:
        """Take a click on the scene; returns at once."""
        origin, direction = np.array(event.ray_origin), np.array(event.ray_direction)
        self.post(self.actions.ask_ray, origin, direction)

    def _handle_key(self, event: KeyEvent) -> None:
        self.actions.held, self.actions.pointer = event.held, event.pointer
        if event.kind not in ("down", "command"):
            return
        settings = self.workspace.settings
        word = moves_of(settings.keymap_now).get(event.code)
        command = command_of(event)
        if word is not None:
            if settings.mode == "step":  # else the page itself moves the walker
                self.actions.move(word)
        elif command is not None:
            self._carry_out(command)

    def _carry_out(self, command: Command) -> None:
        if command.tab is not None:
            self.display.open_tab(command.tab)
        command.run(self.actions)

    def _job_changed(self, event: Event) -> None:
        if not self._is_brief(event):
            self.display.show_event(event)
        if event.kind == "finished" and is_stretch(event.label):
            self._follower.took(time.perf_counter() - self._asked_at)
            self._show_views()
        elif event.kind == "finished":
            if event.label in TRAVELS and self.workspace.session is not None:
                # First, so that memory is asked for where the walker is now.
                self._follower.forget()
                self.actions.catch_up(self.workspace.session.camera)
            self._show_result(event.result)
        elif event.kind == "progress" and self.workspace.session is None:
            self._show_opening()
        elif event.kind in ("refused", "failed", "cancelled"):
            if is_stretch(event.label) and event.target is not None:
                self._follower.refuse(event.target.c2w)
            if event.kind == "refused":
                self.display.tell_refusal(event.message)
                if not is_stretch(event.label):
                    self.workspace.worker.cancel()
            elif event.kind == "failed":
                self.workspace.worker.cancel()
                self.notifications.explain(f"{event.label} failed", event.message)
            self.show_session()

    def _is_brief(self, event: Event) -> bool:
        """Whether a step of a stretch is too short for its progress to be read."""
        if not is_stretch(event.label):
            return False
        now = time.perf_counter()
        if event.kind == "started":
            self._began = now
        self._was_long = event.kind != "started" and (self._was_long or now - self._began > BRIEF)
        return not self._was_long

    def _show_views(self) -> None:
        """Show in the picture what a step has added; all else follows less often."""
        session = self.workspace.session
        if session is None or session is not self._shown_session:
            self.show_session()
            return
        self.display.picture.show_memory(session.memory)
        self._rest_due.request()

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
            self._follower = Follower()
        elif self.workspace.settings.mode == "step" and not self.workspace.worker.busy:
            # While more steps wait, the ghost is ahead of the walk, and stays there.
            actions.catch_up(session.camera)
        if actions.ghost is not None:
            memory, ghost = session.memory, actions.ghost.camera
            self.debugger.show_memory(memory, ghost)
            self.display.show_session(session, memory, ghost)
        self.workspace.saving.close_left()
        self.display.show_walks()
        news = self.workspace.saving.take_news()
        if news is not None:
            self.notifications.notify(*news)

    def _show_opening(self) -> None:
        opening = self.workspace.opening
        self.display.show_opening(None if opening is None else opening.rgb)

    def _hear(self, report: Report) -> None:
        if isinstance(report, WalkerPose):
            self._walked(report)
        elif isinstance(report, PageSize):
            self.display.resized(report)
        elif isinstance(report, Asked) and report.name in BY_NAME:
            self._carry_out(BY_NAME[report.name])

    def _walked(self, pose: WalkerPose) -> None:
        """The page's walker is somewhere else."""
        session = self.workspace.session
        playing = self.actions.playing is not None
        if session is None or playing or not self.display.picture.knows(pose):
            return
        begins = self._follower.hear(pose.c2w, pose.moving, time.perf_counter())
        if begins or (pose.moving and not self._stretch):
            self._stretch = "" if session.read_only else next_stretch(session.history)
        self.actions.walk_to(pose.c2w)

    def _follow(self, now: float) -> float | None:
        """In mode walk, have a view made where the walker will be, if it adds something; the
        seconds until it may, None if nothing moves him or one is being made."""
        session, ghost = self.workspace.session, self.actions.ghost
        if self.workspace.settings.mode != "walk" or session is None or ghost is None:
            return None
        if self._travels != self.workspace.travels:
            # What was taken back must not be made again while he stands there.
            self._travels, self._stretch = self.workspace.travels, ""
        if self.workspace.worker.busy or not self._stretch:
            return None
        camera = self._follower.next_view(session.memory, ghost.camera, now)
        if camera is not None:
            self._asked_at = now
            self.workspace.make_views(camera, self._stretch)
        return FOLLOW_TIME if camera is None and self._follower.moving else None

    def settle(self) -> float | None:
        """Fly, play, retrieve: whatever only matters for the latest state."""
        now = time.perf_counter()
        follow = self._follow(now)  # first: all else is shown while the view is being made
        hold = self.display.camera.hold(self.display.backlog)
        if self._rest_due.take(now, self._rest_hold(now, hold)):
            self._rested_at = now
            self.show_session()
            self.display.backlog.mark()
        playing = self._play_on(now)
        # What is highlighted and its colours belong to one frame of the page, which may be a slow
        # one; and a user who points at something should not wait for viser's window to pass.
        with self.handle.atomic():
            due = [
                follow,
                self._rest_due.wait(now, min(self._rest_hold(now, hold), 0.05)),
                self._explain(now),
                self.display.settle(now),
            ]
        self.handle.flush()
        due.append(self.display.settle_panels(now))
        self._remember()
        waits = [PLAY_TIME] * playing
        return min([*waits, *(wait for wait in due if wait is not None)], default=None)

    def _rest_hold(self, now: float, hold: float) -> float:
        """Seconds that scene and panels wait for a page that is behind, or has enough to do."""
        if not self._follower.moving or self.workspace.settings.layout != "picture":
            return hold
        return max(hold, self._rested_at + REST_TIME + WALK_TIME - now)

    def _explain(self, now: float) -> float | None:
        """Ask memory what the latest position calls for; while he walks, less often."""
        wait = self._explained_at + EXPLAIN_TIME - now if self._follower.moving else 0.0
        if wait > 0:
            return wait
        self._explained_at = now
        return self.debugger.settle(now)

    def _remember(self) -> None:
        """Have the browser keep what has been chosen, and the walk where its walker is."""
        if self.actions.ghost is not None and self.workspace.session is self._shown_session:
            self.workspace.walker = self.actions.ghost.camera
        choices = remembered(self.workspace.settings)
        if choices != self._remembered:
            self._remembered = choices
            self.handle.local_storage.set_item(CHOICES_KEY, choices)

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
