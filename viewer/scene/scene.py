"""The 3-D scene: surfels, frustums, the path walked, the ghost, billboards.

Everything is a difference against what the browser already has: surfels and frustums are added and
cut at the end, colours are sent where they changed, and nodes keep their names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import viser

from viewer.paint.palette import AMBER, SKY
from viewer.paint.surfel_colors import (
    LIVE_MODES,
    Painted,
    paint_pointed,
    paint_provenance,
    paint_surfels,
)
from viewer.paint.target_layers import paint_layer, wipe
from viewer.scene.billboards import Billboards
from viewer.scene.frustums import Frustums, pose_wxyz
from viewer.scene.stream import SurfelStream
from viewer.scene.surfel_cloud import SurfelCloud
from viewer.settings import SceneOptions
from vmem.arrays import U8
from vmem.cameras import Camera
from vmem.memory import MemorySnapshot
from vmem.memory.shared import shared_steps
from vmem.retrieval.explain.to_json import SurfelAccount
from vmem.types import Retrieval, View

GHOST_SCALE = 0.045
BEAD = 0.7
"""Radius of the bead on the surfel that is asked, in radii of the surfel."""
SCREEN_DISTANCE = 0.1
"""Scene units from a view's camera to the picture of its frame, for looking through the view."""


class SceneView:
    """The scene of one browser. Not thread-safe: one thread calls it."""

    def __init__(
        self,
        scene: viser.SceneApi,
        options: SceneOptions,
        on_view_clicked: Callable[[int], None] | None = None,
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
        self._pointed: viser.LineSegmentsHandle | None = None
        self._asked: viser.LineSegmentsHandle | None = None
        self._bead: viser.IcosphereHandle | None = None
        self._screen: viser.ImageHandle | None = None
        self._immersed = False
        self.forming: tuple[Camera, U8] | None = None
        """The last camera and the frames of the step that is shown while it is made."""
        self._shown = MemorySnapshot.empty()
        scene.set_up_direction("-y")

    @property
    def frustums(self) -> Frustums:
        """The views' frustums."""
        return self._frustums

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
        shared = shared_steps(self._shown, memory)
        end = self._shown.steps[shared - 1] if shared else None
        self._frustums.truncate(end.n_views if end else 0)
        self._shown = memory
        self._color = paint_surfels(self.options.heat, memory, retrieval).color
        if self._stream is not None:
            self._stream.show(memory, self._color)
        else:
            self._update_cloud(end.n_surfels if end else 0)
        ends = {step.n_views - 1 for step in memory.steps[shared:]}
        self._frustums.add(memory.views[len(self._frustums) :], ends)
        self._show_path(memory)
        self.show_billboards()

    def _update_cloud(self, kept: int) -> None:
        """Send what is shown beyond the first ``kept`` surfels, which the browser has."""
        self._cloud.truncate(kept)
        new = self._shown.surfels[kept:]
        self._cloud.append(new.position, new.normal, new.radius, self._color[kept:])
        if self.options.heat not in LIVE_MODES:
            self._cloud.set_colors(self._color)

    def tidy(self) -> None:
        """Make what the page has cheaper to draw: when nothing else is to be sent."""
        self._cloud.tidy()

    def show_heat(self, retrieval: Retrieval | None, pointed: int | None = None) -> Painted:
        """Recolour surfels: by the present mode, or by what a view that is pointed at explains.

        Only chunks that change are sent.
        """
        if retrieval is not None and pointed is not None and pointed < len(retrieval.votes):
            painted = paint_pointed(self._shown, retrieval, pointed)
        else:
            painted = paint_surfels(self.options.heat, self._shown, retrieval)
        self._color = painted.color
        if self._stream is not None:
            self._stream.show(self._shown, self._color)
        else:
            self._cloud.set_colors(self._color)
        return painted

    def show_retrieval(
        self, target: Camera, retrieval: Retrieval, pointed: int | None = None
    ) -> None:
        """Highlight the selected views and draw lines from the target to them.

        ``retrieval`` must be of the memory that is shown, or of a shorter one.
        """
        self._frustums.highlight(set(retrieval.order), retrieval.share, pointed)
        ends = [self._shown.views[view].camera.position for view in retrieval.order]
        self._rays = self._show_lines("/retrieval", self._rays, target.position, ends, AMBER, 1.5)
        ends = [] if pointed is None else [self._shown.views[pointed].camera.position]
        self._pointed = self._show_lines("/pointed", self._pointed, target.position, ends, SKY, 4.0)

    def show_asked(self, surfel: SurfelAccount | None) -> None:
        """Show a bead on a surfel, and lines to the views that saw it; None: neither."""
        sightings = () if surfel is None else surfel.sightings
        start = np.zeros(3) if surfel is None else np.array(surfel.position)
        ends = [self._shown.views[seen.view].camera.position for seen in sightings]
        self._asked = self._show_lines("/asked", self._asked, start, ends, SKY, 1.5)
        if self._bead is not None:
            self._bead.remove()
        self._bead = surfel and self._scene.add_icosphere(
            "/asked_surfel",
            BEAD * surfel.radius,
            SKY,
            subdivisions=2,
            cast_shadow=False,
            receive_shadow=False,
            position=surfel.position,
            visible=not self._immersed,
        )

    def _show_lines(
        self,
        name: str,
        handle: viser.LineSegmentsHandle | None,
        start: np.ndarray,
        ends: Sequence[np.ndarray],
        color: tuple[int, int, int],
        thickness: float,
    ) -> viser.LineSegmentsHandle | None:
        """Draw lines from one point to others, thickness in pixels; without ends, remove them."""
        if not ends:
            if handle is not None:
                handle.points = np.zeros((0, 2, 3), np.float32)
            return handle
        points = np.array([(start, end) for end in ends], np.float32)
        # A camera at the target would have a line of no length, which upsets the client.
        points[:, 1] += np.float32(1e-4)
        if handle is None:
            return self._scene.add_line_segments(
                name,
                points,
                color,
                thickness=thickness,
                thickness_units="screen",
                visible=not self._immersed,
            )
        handle.points = points
        return handle

    def show_ghost(self, camera: Camera) -> None:
        """Show the ghost camera at its place."""
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
        """Hide what would block the view from a camera's place, or show it again."""
        if immersed != self._immersed:
            self._immersed = immersed
            self._show_aids()
        if not immersed and self._screen is not None:
            self._screen.visible = False

    def show_screen(self, view: View) -> None:
        """Show a view's frame in its frustum, for looking through its camera."""
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
        for aid in (self._ghost, self._path, self._rays, self._pointed, self._asked, self._bead):
            if aid is not None:
                aid.visible = not self._immersed
        self.show_billboards()

    def show_forming(self, camera: Camera, frames: U8) -> None:
        """Show the last frame of a step that is being made, (T, H', W', 3), where it will be.

        camera: the step's last. It takes the place of the newest step's until ``end_forming``.
        """
        self.forming = (camera, frames)
        self.show_billboards()

    def end_forming(self) -> None:
        """The step is over: the next ``show_billboards`` is of the memory again."""
        self.forming = None

    def show_billboards(self) -> None:
        """A step's last frame at its camera, beside what memory knew of it.

        The newest step's, or that of the options; while one is being made, its forming frame.
        """
        memory = self._shown
        shown = self.options.billboards and not self._immersed
        if shown and self.forming is not None:
            camera, frames = self.forming
            self._billboards.show(camera, frames[-1], None)
            return
        last = len(memory.steps) - 1
        step = last if self.options.step is None else min(self.options.step, last)
        retrieval = memory.retrievals[step] if last > 0 else None
        if retrieval is None or not shown:
            self._billboards.hide()
            return
        view = memory.views[memory.steps[step].n_views - 1]
        mode = "weight" if self.options.heat == "image" else self.options.heat
        color = paint_surfels(mode, memory, retrieval).color
        at = len(retrieval.buffers) - 1
        layer = paint_layer(self.options.layer, memory, retrieval, at, color).image
        frame = wipe(self.frame_picture(view), layer, self.options.wipe)
        self._billboards.show(view.camera, frame, layer)

    def frame_picture(self, view: View) -> U8:
        """A view's frame (H, W, 3), tinted by provenance if that is switched on."""
        if self.options.provenance:
            return paint_provenance(view.rgb, view.provenance)
        return view.rgb

    def _show_path(self, memory: MemorySnapshot) -> None:
        shown = [memory.views[number] for number in self._frustums.shown]
        stops = np.array([view.camera.position for view in shown], np.float32)
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
