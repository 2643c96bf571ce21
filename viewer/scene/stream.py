"""Surfels drawn on the server, for thin clients and memories too big to send.

Each browser has a `SurfelStream`: a thread draws the memory from that browser's camera, with the
colours that the browser's own disks would have, and sends it as the picture behind the scene, with
depth, so that frustums and billboards are hidden where they should be. See docs/stream.md.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import viser
import viser.transforms as vtf
from numpy.typing import NDArray

from viewer.page.backlog import Backlog
from viewer.page.scripts import is_connected
from viewer.paint.surfel_colors import paint_view
from vmem.arrays import F32, F64, U8
from vmem.cameras import Camera, check_pose
from vmem.extras import install_command, not_installed
from vmem.memory import MemorySnapshot
from vmem.raster import rasterize

if TYPE_CHECKING:
    from viewer.scene.stream_thread import StreamThread

log = logging.getLogger(__name__)

PAGE = np.array([20, 20, 20], np.uint8)
"""What viser's dark page shows where there is nothing."""
LONGEST_SIDE = 1920
"""Pixels: no picture is larger, however large the window."""
MOVING_SECONDS = 1 / 30
"""What a picture may cost while something moves."""
LEAST_SCALE, MOST_SCALE = 0.25, 0.7
"""Share of the window's side that is drawn while something moves."""
QUALITY_MOVING, QUALITY_AT_REST = 55, 85
DEPTH_STRIDE = 4
"""Depth is sent for every 4th pixel each way: PNG of all of it costs more than drawing."""
DEPTH_STEP = 2.56e-3
"""Scene units: 256 of viser's 1e-5, so that the lowest of its three bytes is always zero."""
FAR = 160.0
"""Scene units sent where there is no surfel; viser's depth ends at 167."""
SHARE_WHILE_BUSY = 0.25
"""Share of the time that drawing may take while frames are generated."""


@dataclass(frozen=True, eq=False)
class Picture:
    """What the server draws for the page."""

    color: U8
    """(H, W, 3) u8."""
    depth: F32
    """(ceil(H / 4), ceil(W / 4)) f32 z-depth, FAR where no surfel is."""


def why_no_stream() -> str:
    """Why the server cannot draw here and what to do about it, as one clause; "" if it can."""
    if not_installed(("torch", "nerfview", "splines")):
        return f"the server's stream needs the extra gpu ({install_command()})"
    return ""


def draw(memory: MemorySnapshot, color: U8, camera: Camera) -> Picture:
    """Memory's surfels in ``color`` (S, 3) as ``camera`` sees them; raises as `rasterize` does."""
    buffers = rasterize(memory.surfels, camera, blocks=memory.blocks)
    near = buffers.depth[::DEPTH_STRIDE, ::DEPTH_STRIDE]
    steps = np.rint(np.where(near > 0, near, FAR) / DEPTH_STEP)
    # Half a unit of viser's own rounding down, so that it does not fall to the step below.
    depth = np.minimum(steps * DEPTH_STEP, FAR) + 5e-6
    # As the browser's disks: colours as given, before the page's own background.
    return Picture(paint_view(buffers, color, shade=0, background=PAGE), depth.astype(np.float32))


def eye_camera(fov: float, c2w: F64, hw: tuple[int, int]) -> Camera:
    """The camera of a browser: vertical ``fov`` in radians, square pixels, centred."""
    h, w = hw
    focal = h / 2 / np.tan(fov / 2)
    return Camera(c2w, np.array([[focal, 0, w / 2], [0, focal, h / 2], [0, 0, 1.0]]), hw)


class PictureSize:
    """How large to draw: the whole window at rest, as large as there is time for in motion."""

    def __init__(self) -> None:
        self.scale = 0.5

    def of(self, state: str, window: tuple[int, int]) -> tuple[int, int]:
        """(width, height) for a state of nerfview's: "high" at rest, else "low_…"."""
        shrink = min(1.0, LONGEST_SIDE / max(*window, 1))
        if state != "high":
            shrink *= self.scale
        return max(2, round(window[0] * shrink)), max(2, round(window[1] * shrink))

    def learn(self, seconds: float) -> None:
        """Heed what a picture in motion has cost."""
        change = np.clip(np.sqrt(MOVING_SECONDS / max(seconds, 1e-6)), 0.7, 1.2)
        self.scale = float(np.clip(self.scale * change, LEAST_SCALE, MOST_SCALE))


class SurfelStream:
    """The picture behind one browser's scene.

    ``show`` and ``moved`` return at once: the latest wins, and nothing queues. ``on_failed(error)``
    is called on the stream's thread for the first failure, and once more if that is the end of it.
    ``is_busy()``: whether frames are being generated, which then come first.
    """

    def __init__(
        self,
        handle: viser.ClientHandle,
        link: Backlog,
        *,
        is_busy: Callable[[], bool] = lambda: False,
        on_failed: Callable[[Exception], object] = lambda error: None,
    ) -> None:
        self._handle = handle
        self._link = link
        self._is_busy = is_busy
        self._on_failed = on_failed
        self._reported = self._ended = False
        self._size = PictureSize()
        nothing = MemorySnapshot.empty()
        self._content: tuple[MemorySnapshot, U8] = (nothing, nothing.surfels.color)
        self._eye = (1.0, np.eye(4), (640, 360))
        self._latest = Picture(np.full((2, 2, 3), PAGE, np.uint8), np.full((1, 1), FAR))
        self._began = 0.0
        self._moving = True
        self._sending = threading.Lock()
        self._closed = threading.Event()
        self._thread: StreamThread | None = None
        self._starter = threading.Thread(target=self._start, name="stream-start", daemon=True)
        self.pictures = 0
        """How many have been sent."""
        # What nerfview looks for in its viewer and its client, both of which we stand in for.
        self.state = "rendering"
        self.render_tab_state: Any = SimpleNamespace(viewer_width=0, viewer_height=0)
        self.scene = self

    # --- for the browser's own thread ---------------------------------------------------------

    def start(self) -> None:
        """Begin to draw, soon: the first stream of a process needs seconds to load nerfview."""
        self._starter.start()

    def stop(self) -> None:
        """Draw no more, end the thread and take the picture away."""
        with self._sending:
            self._closed.set()
        thread = self._thread
        if thread is not None:
            thread.running = False
            if thread is not threading.current_thread() and thread.is_alive():
                thread.join(2.0)
        if is_connected(self._handle):
            self._handle.scene.set_background_image(None)

    @property
    def alive(self) -> bool:
        """False once a failure has ended it for good."""
        return not self._ended

    def show(self, memory: MemorySnapshot, color: U8) -> None:
        """Draw these surfels in colours (S, 3) from now on."""
        self._content = (memory, color)
        self._submit("rerender")

    def moved(self) -> None:
        """The browser's camera is elsewhere."""
        self._submit("move")

    def _start(self) -> None:
        try:
            from viewer.scene.stream_thread import StreamThread

            thread = StreamThread(self)
        except Exception as error:
            self.failed(error, ended=True)
            return
        with self._sending:
            if self._closed.is_set():
                return
            self._thread = thread
            thread.start()
        self._submit("rerender")

    def _submit(self, action: str) -> None:
        thread = self._thread
        if thread is not None and not self._closed.is_set():
            from viewer.scene.stream_thread import task

            fov, c2w, (w, h) = self._look()
            thread.submit(task(action, fov, w / h, c2w))

    def _look(self) -> tuple[float, F64, tuple[int, int]]:
        """Vertical fov, pose (4, 4) and window (width, height) of the browser; the last that was
        known if the browser has not said, or says what cannot be."""
        camera = self._handle.camera
        try:
            c2w = np.eye(4)
            c2w[:3, :3] = vtf.SO3(np.asarray(camera.wxyz)).as_matrix()
            c2w[:3, 3] = camera.position
            eye = (float(camera.fov), c2w, (int(camera.image_width), int(camera.image_height)))
            check_pose(c2w)
        except (AssertionError, AttributeError, ArithmeticError, TypeError, ValueError):
            # viser asserts that the browser has spoken; the rest is what a page may say wrongly.
            log.debug("the browser's camera cannot be used", exc_info=True)
            return self._eye
        if 0.01 < eye[0] < 3.1 and min(eye[2]) > 1:
            self._eye = eye
        return self._eye

    # --- for the render thread ----------------------------------------------------------------

    def get_camera_state(self, client: object) -> Any:
        """Where the browser looks from, for nerfview."""
        from viewer.scene.stream_thread import task

        fov, c2w, (w, h) = self._look()
        return task("static", fov, w / h, c2w).camera_state

    def picture_size(self, state: str) -> tuple[int, int]:
        """(width, height) to draw in a state of nerfview's."""
        self._began = time.perf_counter()
        self._moving = state != "high"
        return self._size.of(state, self._eye[2])

    def render_fn(self, eye: Any, tab: Any) -> tuple[U8, F32]:
        """Colour and depth for nerfview. Whatever happens: it ends the process if this raises."""
        try:
            if not self._closed.is_set():
                memory, color = self._content
                hw = (tab.viewer_height, tab.viewer_width)
                self._latest = draw(memory, color, eye_camera(eye.fov, eye.c2w, hw))
                if self._moving:
                    self._size.learn(time.perf_counter() - self._began)
        except Exception as error:
            self.failed(error)
        return self._latest.color, self._latest.depth

    def _after_render(self) -> None:
        """nerfview would refresh its panel."""

    def set_background_image(self, image: NDArray, *, depth: NDArray | None, **_: Any) -> None:
        """Send a picture, in place of viser's scene; then give way to what matters more."""
        try:
            with self._sending:
                if self._closed.is_set():
                    return
                if not is_connected(self._handle):
                    self._closed.set()
                    if self._thread is not None:
                        self._thread.running = False
                    return
                self._handle.scene.set_background_image(
                    image,
                    format="jpeg",
                    jpeg_quality=QUALITY_MOVING if self._moving else QUALITY_AT_REST,
                    depth=depth,
                )
                self._link.mark()
                self.pictures += 1
        except Exception as error:
            self.failed(error)
        # One picture may travel while the next is drawn; a slow page gets fewer, not later ones.
        while self._link.outstanding > 1 and not self._closed.is_set():
            self._link.wait(outstanding=1, timeout=0.1)
        if self._is_busy():
            spent = time.perf_counter() - self._began
            self._closed.wait(min(0.5, spent * (1 / SHARE_WHILE_BUSY - 1)))

    def failed(self, error: Exception, *, ended: bool = False) -> None:
        """Tell it once; twice at most, if the stream has ``ended`` after it had failed."""
        self._reported &= not ended
        self._ended |= ended
        if not self._reported and not self._closed.is_set():
            self._reported = True
            log.error("while streaming", exc_info=error)
            try:
                self._on_failed(error)
            except Exception:  # not in a render function: see there
                log.exception("while telling of it")
