"""The program: server, theme, and the life of browsers and their walks."""

from __future__ import annotations

import io
import logging
import secrets
import socket
import threading
import time
import webbrowser
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import tyro
import viser

from viewer.browser.client import CHOICES_KEY, Client
from viewer.page.files import Files
from viewer.preferences import apply
from viewer.scene.camera_rig import AHEAD, BEHIND
from viewer.server.guard import guarded
from viewer.server.listener import listener
from viewer.server.page import TITLE, first_page
from viewer.server.warmup import stages
from viewer.settings import Layout, Mode, SceneOptions, Settings
from viewer.walk.preparation import Preparation
from viewer.walk.workspace import Source, Workspace
from vmem.backends import resolve
from vmem.backends.registry import geometry_of
from vmem.devices.settings import NetworkSettings, SamplerName
from vmem.errors import VMemError
from vmem.formats.photos import check_size, load_photo, samples
from vmem.session import Session, SessionConfig

log = logging.getLogger(__name__)

STORAGE_KEY = "walk"
PORT_TRIES = 20
BRAND = (230, 145, 30)


class ViewerError(VMemError, RuntimeError):
    """The viewer cannot start; the message says why and what to do."""


@dataclass(frozen=True)
class ViewerConfig:
    """Walk into a photo, in the browser: W A S D to walk, ? for all keys.

    Without a GPU or weights the preview backend runs: depth warping and mirrored continuation.
    """

    photo: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[PHOTO]")] = None
    """The photo to walk into; a sample if none is given."""
    backend: str = "auto"
    """What makes the frames: auto, preview, world (exact procedural scene) or vmem."""
    geometry: str | None = None
    """Where depth comes from: layout (of the room, from each photo), depth-anything (a network on
    the photo, with vmem on all frames) or cut3r (a network on all frames); VMEM_GEOMETRY if not
    given, else auto: the best whose weights are here, with preview no cut3r."""
    preset: SamplerName = "balanced"
    """Sampler of the vmem backend: reference (50 steps, as published), balanced or fast."""
    host: str = "127.0.0.1"
    """Address to serve on. Other machines can connect only if you name one of its interfaces,
    and then a token is required and printed."""
    port: int | None = None
    """Port to serve on; without it 8080 or the next free one."""
    seed: int = 0
    """Fixes everything that is invented: same photo, moves and seed, same frames."""
    size: int = 288
    """Side of the square frames in pixels: 288 to 384 is quick on a CPU, 576 is sharp."""
    mode: Mode | None = None
    """What move keys do: walk (views follow), step (each makes one step) or scout (fly through
    everything; Space generates along the way); without it as the browser had it last, else walk."""
    layout: Layout | None = None
    """What fills the window: the walker's own picture, the memory's scene, or both side by side;
    without it as the browser had it last, else both where there is room."""
    open: bool = True
    """Open the page in a browser."""
    keep: float = 60.0
    """Seconds that a walk waits for its closed or reloaded browser before it is freed."""
    token: str | None = None
    """Secret that browsers must present in the URL; made up when --host is not this machine."""


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
        self._settings = Settings(
            backend="auto" if name == "world" else name,
            geometry=config.geometry,
            preset=config.preset,
            seed=config.seed,
            size=config.size,
        )
        self._asked = {"mode": config.mode, "layout": config.layout}
        self._keep = config.keep
        self._session = session
        self._preparation = preparation
        self._walks: dict[str, _Walk] = {}
        self._clients: dict[int, tuple[str, Client]] = {}
        self._lock = threading.Lock()

        local = config.host in ("127.0.0.1", "localhost", "::1")
        self.token = config.token or (None if local else secrets.token_urlsafe(16))
        port = _choose_port(config.host, config.port)
        hosts = ("127.0.0.1", "localhost", "::1") if local else None
        # viser greets with a box of its own; our start-up is one line.
        self._files = Files()
        with (
            guarded(self.token, hosts, self._files.content, first_page),
            redirect_stdout(io.StringIO()),
        ):
            self.server = viser.ViserServer(host=config.host, port=port, verbose=False)
        self.port = self.server.get_port()
        self.url = _url(config.host, self.port, self.token)
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
        self.server.on_client_connect(self._connected)
        self.server.on_client_disconnect(self._disconnected)

    @property
    def walks(self) -> dict[str, Workspace]:
        """The walks that are kept, by key."""
        with self._lock:
            return {key: walk.workspace for key, walk in self._walks.items()}

    @property
    def clients(self) -> tuple[Client, ...]:
        """The browsers that are connected, in the order in which they came."""
        with self._lock:
            return tuple(client for _, client in self._clients.values())

    def close(self) -> None:
        """Stop every walk and the server."""
        with self._lock:
            clients, walks = list(self._clients.values()), list(self._walks.values())
            self._clients.clear()
            self._walks.clear()
        for _, client in clients:
            client.leave()
        for walk in walks:
            walk.stop_waiting()
            walk.workspace.close()
        with redirect_stdout(io.StringIO()):
            self.server.stop()

    # --- browsers come and go --------------------------------------------------------------

    def _connected(self, handle: viser.ClientHandle) -> None:
        key, choices = _remembered(handle, STORAGE_KEY), _remembered(handle, CHOICES_KEY)
        with self._lock:
            if key is None or key not in self._walks or self._walks[key].taken:
                # A second tab of the same browser gets a walk of its own.
                key = secrets.token_urlsafe(12)
                settings = replace(self._settings, scene=SceneOptions())
                apply(choices, settings)
                for name, asked in self._asked.items():
                    if asked is not None:
                        setattr(settings, name, asked)
                workspace = Workspace(settings, self._preparation)
                if self._session is not None:
                    workspace.adopt(self._session)
                    self._session = None
                self._walks[key] = _Walk(workspace)
            walk = self._walks[key]
            walk.taken = True
            walk.stop_waiting()
        handle.local_storage.set_item(STORAGE_KEY, key)
        if handle.client_id not in self.server.get_clients():
            self._wait_for_return(key)
            return
        # Not only a new walk: its browser may have gone before it was opened, and come back. Before
        # the browser's panels are made: it shows the photo first.
        if walk.workspace.session is None and not walk.workspace.worker.busy:
            walk.workspace.open(self._source)
        try:
            client = Client(handle, walk.workspace, self._files)
        except Exception:
            # Most likely the browser is gone already; its walk must not stay taken for ever.
            self._wait_for_return(key)
            raise
        with self._lock:
            self._clients[handle.client_id] = (key, client)
        if handle.client_id not in self.server.get_clients():
            self._disconnected(handle)

    def _disconnected(self, handle: viser.ClientHandle) -> None:
        with self._lock:
            key, client = self._clients.pop(handle.client_id, (None, None))
        if client is not None and key is not None:
            client.leave()
            self._wait_for_return(key)

    def _wait_for_return(self, key: str) -> None:
        with self._lock:
            walk = self._walks.get(key)
            if walk is None:
                return
            walk.taken = False
            walk.wait(self._keep, lambda: self._free(key))

    def _free(self, key: str) -> None:
        with self._lock:
            walk = self._walks.get(key)
            if walk is None or walk.taken:
                return
            del self._walks[key]
        walk.workspace.close()


class _Walk:
    """A workspace and who waits for it."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.taken = False
        self._timer: threading.Timer | None = None

    def wait(self, seconds: float, then) -> None:
        self.stop_waiting()
        self._timer = threading.Timer(seconds, then)
        self._timer.daemon = True
        self._timer.start()

    def stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def run(config: ViewerConfig) -> None:
    """Start the viewer and serve until interrupted. The kernels, which may take a minute when they
    are compiled, are prepared behind the page; what goes wrong there is raised here."""
    preparation = Preparation(stages(resolve(config.backend)[0]))
    serve(App(config, preparation=preparation), open=config.open, preparation=preparation)


def serve(app: App, *, open: bool, preparation: Preparation | None = None) -> None:
    """Say where ``app`` is, open its page if wanted, and serve until interrupted. Raises what a
    stage of ``preparation``, which is begun here, raises."""
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
        print("\nstopped")
    finally:
        if preparation is not None:
            preparation.stop()
        app.close()


def check(config: ViewerConfig) -> Source:
    """Where the first walk begins, with its photo decoded, once everything that can be checked is.

    Raises ViewerError and the errors of photos, backends and settings.
    """
    backend, _ = resolve(config.backend)
    geometry_of(backend, config.geometry)
    check_size(config.size)
    SessionConfig(seed=config.seed)
    if backend == "world":
        if config.photo is not None:
            raise ViewerError(
                "the world backend renders its own scene and takes no photo: "
                "leave the photo out, or use --backend preview"
            )
        return Source("procedural world", None)
    if config.photo is None:
        sample = samples()[0]
        title, path = sample.title, sample.path
    else:
        title, path = "", config.photo
    # Read it now: a photo that cannot be used should stop the start, not greet the browser.
    side = NetworkSettings.from_environment().size if backend == "vmem" else config.size
    photo = load_photo(path, side)
    return Source(title if config.photo is None else photo.name, path, decoded=photo)


def _remembered(handle: viser.ClientHandle, key: str) -> str | None:
    try:
        return handle.local_storage.get_item(key, timeout=3.0)
    except (RuntimeError, TimeoutError):
        return None


def _url(host: str, port: int, token: str | None) -> str:
    """What to open in a browser."""
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    if ":" in name:
        name = f"[{name}]"
    return f"http://{name}:{port}" + (f"/?token={quote(token, safe='')}" if token else "")


def _choose_port(host: str, asked: int | None) -> int:
    """The port asked for if it is free, else the first free one from 8080."""
    if asked is not None:
        if not 0 <= asked <= 65535:
            raise ViewerError(f"--port must be between 0 and 65535, got {asked}")
        error = _why_taken(host, asked)
        if error:
            taker = listener(asked)
            error += f" by {taker}" if taker else ""
            raise ViewerError(
                f"cannot listen on {host}:{asked}: {error}. "
                "Choose another --port, or leave it out to take the next free one"
            )
        return asked
    error = ""
    for port in range(8080, 8080 + PORT_TRIES):
        error = _why_taken(host, port)
        if not error:
            return port
    last = 8080 + PORT_TRIES - 1
    raise ViewerError(f"no free port from 8080 to {last} on {host}: {error}. Choose a --port")


def _why_taken(host: str, port: int) -> str:
    """Why nobody can listen there, or ""."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return error.strerror or str(error)
    return ""
