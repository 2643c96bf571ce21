"""The program: server, theme, and the life of browsers and their walks."""

from __future__ import annotations

import io
import logging
import secrets
import threading
import time
import webbrowser
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import viser

from viewer.browser.client import CHOICES_KEY, Client
from viewer.page.files import Files
from viewer.page.identity import ELSEWHERE, ask_page, tell_elsewhere
from viewer.preferences import apply
from viewer.scene.camera_rig import AHEAD, BEHIND
from viewer.server.config import ViewerConfig, check, started_for
from viewer.server.connections import close_connection
from viewer.server.ending import ended_by_signals
from viewer.server.guard import guarded
from viewer.server.page import TITLE, first_page
from viewer.server.port import choose_port, url
from viewer.server.remembered import Remembered, RememberedTabs
from viewer.server.walks import Arrival, Visit, Walks
from viewer.server.warmup import stages
from viewer.settings import SceneOptions, Settings
from viewer.walk.preparation import Preparation
from viewer.walk.source import Source
from viewer.walk.workspace import Workspace
from vmem.backends import resolve
from vmem.session import Session
from vmem.store.library import Library, data_folder

log = logging.getLogger(__name__)

BRAND = (230, 145, 30)
CLOSING = 2.0
"""Seconds in which steps that are being made end when the program does."""
TOLD_WITHIN = 0.5
"""Seconds in which a page hears that its walk was opened elsewhere, before it is disconnected."""


class App:
    """A running viewer: the server and the walks of all browsers."""

    def __init__(
        self,
        config: ViewerConfig,
        source: Source | None = None,
        session: Session | None = None,
        preparation: Preparation | None = None,
    ) -> None:
        """Check everything that can be checked, then listen.

        source: what `check` has returned for ``config``, where it has been called already ·
        session: shown to the first browser that comes; later ones begin walks of their own ·
        preparation: what all walks wait for, until it has got far enough.
        Raises ViewerError and the errors of photos, backends and settings.
        """
        name, why = resolve(config.backend)
        self._source = check(config) if source is None else source
        self._saved = config.session
        self._library = Library.default(round(config.walks_gb * 1e9)) if config.save else None
        self._tabs = RememberedTabs(data_folder()) if config.save else None
        self._started_for = started_for(config, session)
        self._settings = Settings(
            backend="auto" if name == "world" else name,
            geometry=config.geometry,
            preset=config.preset,
            seed=config.seed,
            size=config.size,
        )
        self._asked = {"mode": config.mode, "layout": config.layout}
        self._session = session
        self._preparation = preparation
        self._keep = config.keep
        self._walks = Walks(config.keep)
        self._visits: dict[int, Visit] = {}
        self._clients: dict[int, Client] = {}
        self._lock, self._beginning = threading.Lock(), threading.Lock()

        local = config.host in ("127.0.0.1", "localhost", "::1")
        self.token = config.token or (None if local else secrets.token_urlsafe(16))
        port = choose_port(config.host, config.port)
        hosts = ("127.0.0.1", "localhost", "::1") if local else None
        # viser greets with a box of its own; our start-up is one line.
        self._files = Files()
        photo = None if self._source.decoded is None else self._source.decoded.rgb
        page = first_page(photo)
        with (
            guarded(self.token, hosts, self._files.content, lambda: page),
            redirect_stdout(io.StringIO()),
        ):
            self.server = viser.ViserServer(host=config.host, port=port, verbose=False)
        self.port = self.server.get_port()
        self.url = url(config.host, self.port, self.token)
        self.line = f"VMem Viewer at {self.url} · backend {name} ({why})"
        if config.port is None and self.port != 8080:
            self.line += f" · port 8080 is busy, so {self.port}"

        self.server.gui.configure_theme(
            dark_mode=True,
            control_width="large",
            show_logo=False,
            show_share_button=False,
            brand_color=BRAND,
        )
        self.server.gui.set_panel_label(TITLE)
        self.server.gui.main_panel.dock_right()
        self.server.scene.set_up_direction("-y")
        camera = self.server.initial_camera
        camera.position, camera.look_at = tuple(BEHIND), tuple(AHEAD)
        camera.fov = 1.05
        if self._library is not None:
            threading.Thread(target=self._tidy, args=(self._library,), daemon=True).start()
        self.server.on_client_connect(self._begin_arrival)
        self.server.on_client_disconnect(self._disconnected)

    @property
    def walks(self) -> dict[str, Workspace]:
        """The walks that are kept, by key."""
        return self._walks.kept

    @property
    def clients(self) -> tuple[Client, ...]:
        """The browsers that are connected, in the order in which they came."""
        with self._lock:
            return tuple(client for _, client in sorted(self._clients.items()))

    def close(self) -> None:
        """Stop every walk and the server, within some seconds."""
        with self._lock:
            visits = list(self._visits.values())
            self._visits.clear()
        leaving = [threading.Thread(target=visit.end, daemon=True) for visit in visits]
        for thread in leaving:
            thread.start()
        self._walks.close(CLOSING)
        for thread in leaving:
            thread.join(1.0)
        with redirect_stdout(io.StringIO()):
            self.server.stop()  # with close code 1001 for the pages, which connect again

    # --- browsers come and go --------------------------------------------------------------

    async def _begin_arrival(self, handle: viser.ClientHandle) -> None:
        # A thread of its own: the page is waited for, and viser's pool must not run out of threads.
        name = f"arrival-{handle.client_id}"
        threading.Thread(target=self._connected, args=(handle,), name=name, daemon=True).start()

    def _connected(self, handle: viser.ClientHandle) -> None:
        said = ask_page(handle)
        if said is None or said.elsewhere:
            return
        choices = _remembered(handle, CHOICES_KEY)
        if self._is_gone(handle):
            return
        visit = Visit(said.key, handle.client_id, said.page)
        arrival = self._walks.arrive(visit, lambda: self._new_workspace(said.key, choices))
        if arrival is None:
            self._send_away(handle.client_id, told=True)
            return
        with self._lock:
            self._visits[handle.client_id] = visit
        if arrival.before is not None:
            self._send_away(arrival.before.number, told=arrival.before.page != said.page)
            arrival.before.end()
        try:
            self._begin(arrival, said.key)
            visit.begin(lambda: self._client(handle, arrival.workspace))
        except Exception:
            # Most likely the browser is gone already; its walk must not stay taken for ever.
            self._walks.leave(visit)
            raise
        if self._is_gone(handle):
            self._disconnected(handle)

    def _begin(self, arrival: Arrival, key: str) -> None:
        """Open what a page begins with. Not only for a new walk: its page may have gone before it
        was opened, and come back. Before the browser's panels are made: it shows the photo first.
        """
        workspace = arrival.workspace
        with self._beginning:
            if workspace.session is not None or workspace.worker.busy:
                return
            tab = None if self._tabs is None else self._tabs.find(key)
            session, self._session = self._session, None
            saved, self._saved = self._saved, None
            if session is not None:
                workspace.adopt(session)
            elif tab is not None and self._suits(tab):
                self._saved = saved
                workspace.resume(tab.walk, otherwise=self._source, said=self._why_back(arrival))
            elif saved is not None:
                workspace.resume(saved)
            else:
                workspace.saving.news = self._why_new(arrival, tab)
                workspace.open(self._source)

    def _suits(self, tab: Remembered) -> bool:
        """Whether a tab goes on with its walk, or begins with what the program was started for."""
        return not self._started_for or tab.started_for == self._started_for

    def _why_back(self, arrival: Arrival) -> str:
        if arrival.freed:
            return f"It was closed after {self._keep:.0f} seconds without its page, and saved."
        return "It was saved before the program ended."

    def _why_new(self, arrival: Arrival, tab: Remembered | None) -> tuple[str, str] | None:
        if tab is not None:
            return ("A new walk", f"The one before is saved as {tab.walk.name}: see Session.")
        if arrival.freed and self._tabs is None:
            words = f"closed after {self._keep:.0f} seconds without its page, and not saved"
            return ("A new walk", f"The one before was {words}, as --no-save asks.")
        return None

    def _new_workspace(self, key: str, choices: str | None) -> Workspace:
        settings = replace(self._settings, scene=SceneOptions())
        apply(choices, settings)
        for name, asked in self._asked.items():
            if asked is not None:
                setattr(settings, name, asked)
        workspace = Workspace(settings, self._preparation, self._library)
        tabs = self._tabs
        if tabs is not None:

            def on_file(path: Path | None) -> None:
                if path is not None:
                    tabs.put(key, Remembered(path, self._started_for))

            workspace.saving.on_file = on_file
        return workspace

    def _tidy(self, library: Library) -> None:
        """Keep the saved walks within their cap."""
        assert self._tabs is not None
        try:
            library.tidy()
            self._tabs.forget_old()
        except OSError as error:
            log.warning("the saved walks cannot be tidied: %s", error)

    def _client(self, handle: viser.ClientHandle, workspace: Workspace) -> Callable[[], None]:
        """Begin what runs for a browser; returns what ends it."""
        client = Client(handle, workspace, self._files)
        with self._lock:
            self._clients[handle.client_id] = client

        def leave() -> None:
            with self._lock:
                self._clients.pop(handle.client_id, None)
            client.leave()

        return leave

    def _disconnected(self, handle: viser.ClientHandle) -> None:
        with self._lock:
            visit = self._visits.pop(handle.client_id, None)
        if visit is not None:
            visit.end()
            self._walks.leave(visit)

    def _send_away(self, client_id: int, *, told: bool) -> None:
        """Close the connection of a page whose walk another has; ``told``: with a word on it."""
        handle = self.server.get_clients().get(client_id)
        if handle is None:
            return
        if told:
            tell_elsewhere(handle)
        close_connection(self.server, client_id, ELSEWHERE, after=TOLD_WITHIN if told else 0.0)

    def _is_gone(self, handle: viser.ClientHandle) -> bool:
        return handle.client_id not in self.server.get_clients()


def run(config: ViewerConfig) -> None:
    """Start the viewer and serve until interrupted. The kernels, which may take a minute when they
    are compiled, are prepared behind the page; what goes wrong there is raised here."""
    preparation = Preparation(stages(resolve(config.backend)[0]))
    app = App(config, preparation=preparation)
    serve(app, open=config.open, preparation=preparation, exits=True)


def serve(
    app: App, *, open: bool, preparation: Preparation | None = None, exits: bool = False
) -> None:
    """Say where ``app`` is, open its page if wanted, and serve until a signal ends it: the first in
    good order, a second at once. Raises what a stage of ``preparation``, which is begun here,
    raises. exits: the process ends then, within 5 s, whatever still runs."""
    with ended_by_signals(exits=exits):
        try:
            print(app.line, flush=True)
            if open:
                threading.Thread(target=webbrowser.open, args=(app.url,), daemon=True).start()
            if preparation is not None:
                preparation.start()
                preparation.finish()
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            print("\nstopped", flush=True)
        finally:
            if preparation is not None:
                preparation.stop()
            app.close()


def _remembered(handle: viser.ClientHandle, key: str) -> str | None:
    try:
        return handle.local_storage.get_item(key, timeout=3.0)
    except (RuntimeError, TimeoutError):
        return None
