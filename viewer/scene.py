"""What stands in the 3-D scene: surfels, frustums, the way walked, the ghost, billboards.

Everything is a difference against what the browser already has: surfels and frustums are added and
cut at the end, colours are sent where they changed, and nodes keep their names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import viser

from viewer.heatmap import LIVE_MODES, paint_provenance, paint_surfels, paint_view
from viewer.standing import AMBER, Billboards, Frustums, pose_wxyz
from viewer.stream import SurfelStream
from viewer.surfel_cloud import SurfelCloud
from vmem.cameras import Camera
from vmem.memory import MemorySnapshot
from vmem.retrieval import Retrieval
from vmem.views import U8, View

SKY = (86, 180, 233)
GHOST_SCALE = 0.045
SCREEN_DISTANCE = 0.1
"""Scene units from a camera to the screen that shows its frame to an eye at its place."""


@dataclass
class SceneOptions:
    """What is shown."""

    heat: str = "image"
    frustums: bool = True
    billboards: bool = True
    provenance: bool = False
    drawn_by: str = "auto"
    """Who draws the surfels: "browser", "server", or "auto", which goes by ``server_above``."""
    server_above: int = 300_000
    """Surfels from which on "auto" means the server."""

    def server_draws(self, surfels: int, now: bool) -> bool:
        """Whether the server is to draw so many surfels; ``now``: whether it already does."""
        if self.drawn_by != "auto":
            return self.drawn_by == "server"
        # Some way back before all is sent again: an undo and a redo must not cost two changes.
        return surfels > self.server_above * (0.8 if now else 1.0)


class SceneView:
    """The scene of one browser. Not thread-safe: one thread calls it."""

    def __init__(
        self,
        scene: viser.SceneApi,
        options: SceneOptions,
        on_view_clicked: Callable[[int], None] = lambda view: None,
    ) -> None:
        """``on_view_clicked(view)`` is called, on one of viser's threads, for a clicked frustum."""
        self._scene = scene
        self.options = options
        self._cloud = SurfelCloud(scene, "/surfels")
        self._stream: SurfelStream | None = None
        self._color: U8 = np.zeros((0, 3), np.uint8)
        self._frustums = Frustums(scene, on_view_clicked)
        self._billboards = Billboards(scene)
        self._ghost: viser.CameraFrustumHandle | None = None
        self._path: viser.LineSegmentsHandle | None = None
        self._rays: viser.LineSegmentsHandle | None = None
        self._screen: viser.ImageHandle | None = None
        self._immersed = False
        self._forming: tuple[Camera, U8] | None = None
        self._shown = MemorySnapshot.empty()
        scene.set_up_direction("-y")

    @property
    def frustums(self) -> list[viser.CameraFrustumHandle]:
        """Handles of the views' frustums, by view."""
        return self._frustums.handles

    @property
    def memory(self) -> MemorySnapshot:
        """The memory that is shown: what a retrieval to be shown here must be asked of."""
        return self._shown

    @property
    def streamed(self) -> bool:
        """Whether the server draws the surfels."""
        return self._stream is not None

    def draw_on(self, stream: SurfelStream | None) -> None:
        """Leave the surfels to a stream and send none, or, with None, send them all again."""
        if stream is self._stream:
            return
        self._stream = stream
        surfels = self._shown.surfels
        if stream is not None:
            self._cloud.truncate(0)
            stream.show(self._shown, self._color)
        else:
            self._cloud.append(surfels.position, surfels.normal, surfels.radius, self._color)

    def show_memory(self, memory: MemorySnapshot, retrieval: Retrieval | None) -> None:
        """Bring surfels, frustums, path and billboards up to ``memory``.

        In a mode of LIVE_MODES, surfels that were there before are left to ``show_heat``, since a
        new retrieval is due anyway.
        """
        shared = _shared_steps(self._shown, memory)
        end = self._shown.steps[shared - 1] if shared else None
        self._frustums.truncate(end.n_views if end else 0)
        self._shown = memory
        self._color = paint_surfels(self.options.heat, memory, retrieval).color
        if self._stream is not None:
            self._stream.show(memory, self._color)
        else:
            self._update_cloud(end.n_surfels if end else 0)
        for view in memory.views[len(self._frustums.handles) :]:
            self._frustums.add(view, self.options.frustums and not self._immersed)
        self._show_path(memory)
        self.show_billboards()

    def _update_cloud(self, kept: int) -> None:
        """Send what is shown beyond the first ``kept`` surfels, which the browser has."""
        self._cloud.truncate(kept)
        new = self._shown.surfels[kept:]
        self._cloud.append(new.position, new.normal, new.radius, self._color[kept:])
        if self.options.heat not in LIVE_MODES:
            self._cloud.set_colors(self._color)

    def show_heat(self, retrieval: Retrieval | None) -> None:
        """Recolour surfels by the present mode; only chunks that change are sent."""
        self._color = paint_surfels(self.options.heat, self._shown, retrieval).color
        if self._stream is not None:
            self._stream.show(self._shown, self._color)
        else:
            self._cloud.set_colors(self._color)

    def show_retrieval(self, ghost: Camera, retrieval: Retrieval) -> None:
        """Light the chosen views and draw lines from the ghost to them.

        ``retrieval`` must be of the memory that is shown.
        """
        self._frustums.light(set(retrieval.order), retrieval.share)
        ends = [self._shown.views[view].camera.position for view in retrieval.order]
        points = np.array([(ghost.position, end) for end in ends], np.float32)
        # A camera that stands on the ghost has no line to be seen: keep a hair of length.
        points[:, 1] += np.float32(1e-4)
        if self._rays is None:
            self._rays = self._scene.add_line_segments(
                "/retrieval",
                points,
                AMBER,
                thickness=1.5,
                thickness_units="screen",
                visible=not self._immersed,
            )
        else:
            self._rays.points = points

    def show_ghost(self, camera: Camera) -> None:
        """Put the ghost camera where it is."""
        fov, aspect = camera.fov[0], camera.hw[1] / camera.hw[0]
        if self._ghost is None:
            self._ghost = self._scene.add_camera_frustum(
                "/ghost",
                fov,
                aspect,
                scale=GHOST_SCALE,
                thickness=2.5,
                thickness_units="screen",
                color=AMBER,
                visible=not self._immersed,
            )
        self._ghost.fov, self._ghost.aspect = fov, aspect
        self._ghost.wxyz = pose_wxyz(camera.c2w)
        self._ghost.position = camera.position

    def show_options(self) -> None:
        """Apply visibility switches."""
        self._show_aids()

    def immerse(self, immersed: bool) -> None:
        """Put away what would stand before an eye at a camera's place, or bring it back."""
        if immersed != self._immersed:
            self._immersed = immersed
            self._show_aids()
        if not immersed and self._screen is not None:
            self._screen.visible = False

    def show_screen(self, view: View) -> None:
        """Fill a view's frustum with its frame, for an eye that stands at its camera."""
        camera = view.camera
        (h, w), fx, fy = camera.hw, camera.K[0, 0], camera.K[1, 1]
        size = (SCREEN_DISTANCE * w / fx, SCREEN_DISTANCE * h / fy)
        picture = self.frame_picture(view)
        if self._screen is None:
            self._screen = self._scene.add_image(
                "/screen", picture, *size, format="jpeg", jpeg_quality=90
            )
        self._screen.image = picture
        self._screen.render_width, self._screen.render_height = size
        self._screen.wxyz = pose_wxyz(camera.c2w)
        ahead = [
            SCREEN_DISTANCE * (w / 2 - camera.K[0, 2]) / fx,
            SCREEN_DISTANCE * (h / 2 - camera.K[1, 2]) / fy,
            SCREEN_DISTANCE,
            1.0,
        ]
        self._screen.position = (camera.c2w @ ahead)[:3]
        self._screen.visible = True

    def _show_aids(self) -> None:
        self._frustums.visible = self.options.frustums and not self._immersed
        for aid in (self._ghost, self._path, self._rays):
            if aid is not None:
                aid.visible = not self._immersed
        self.show_billboards()

    def show_forming(self, camera: Camera, frames: U8) -> None:
        """Show the frames of a step that is being made, (T, H', W', 3), where they will stand.

        camera: the step's last. They take the place of the newest step's until ``end_forming``.
        """
        self._forming = (camera, frames)
        self.show_billboards()

    def end_forming(self) -> None:
        """The step is over: the next ``show_billboards`` is of the memory again."""
        self._forming = None

    def show_billboards(self) -> None:
        """The newest step's frames at their cameras, each beside what memory knew of it.

        While a step is being made, its forming frames instead.
        """
        memory = self._shown
        retrieval = memory.retrievals[-1] if memory.retrievals else None
        shown = self.options.billboards and not self._immersed
        if shown and self._forming is not None:
            camera, frames = self._forming
            self._billboards.show(camera, [(frame, None) for frame in frames])
            return
        if retrieval is None or not shown:
            self._billboards.hide()
            return
        first = memory.steps[-2].n_views
        mode = "weight" if self.options.heat == "image" else self.options.heat
        before = memory.at_step(len(memory.steps) - 2)
        color = paint_surfels(mode, before, retrieval).color
        pairs = []
        for view, buffers in zip(memory.views[first:], retrieval.buffers, strict=True):
            pairs.append((self.frame_picture(view), paint_view(buffers, color)))
        self._billboards.show(memory.views[-1].camera, pairs)

    def frame_picture(self, view: View) -> U8:
        """A view's frame (H, W, 3), tinted by provenance if that is switched on."""
        if self.options.provenance:
            return paint_provenance(view.rgb, view.provenance)
        return view.rgb

    def _show_path(self, memory: MemorySnapshot) -> None:
        stops = np.array([view.camera.position for view in memory.views], np.float32)
        if len(stops) < 2:
            stops = np.repeat(stops, 2, axis=0)
        points = np.stack([stops[:-1], stops[1:]], axis=1)
        if self._path is not None:
            self._path.remove()
        self._path = self._scene.add_line_segments(
            "/path",
            points,
            SKY,
            thickness=2.0,
            thickness_units="screen",
            visible=not self._immersed,
        )


def _shared_steps(a: MemorySnapshot, b: MemorySnapshot) -> int:
    """How many leading steps two memories have in common: the very same views."""
    shared = 0
    for first, second in zip(a.steps, b.steps, strict=False):
        if first != second or a.views[first.n_views - 1] is not b.views[first.n_views - 1]:
            break
        shared += 1
    return shared
