"""Camera frustums in the 3-D scene: one a view, with its thumbnail.

viser draws a frustum as a node of its own, at six draw calls a frame and view. Here all of them
are two nodes, lines and pictures, which ``shaders/page/frustums.js`` fills with what it is told in
a line of script: views that are added, how many stay, and colours that change. It also lights the
frustum under the pointer; which one is clicked is found here, from the click's ray.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

import numpy as np
import viser
import viser.transforms as vtf
from numpy.typing import NDArray

from shaders import load
from viewer.page.scripts import run_script
from viewer.page.thumbnails import jpeg_url
from viewer.paint.palette import AMBER, DARK, FAINT, QUIET, RGB, SKY
from viewer.paint.resize import thumbnail
from viewer.scene.picking import pick_frustum
from vmem.arrays import F64
from vmem.cameras import Camera
from vmem.types import View

THUMBNAIL = 56
"""Longer side of a frustum's picture, in pixels."""
SCALE = 0.03
"""Size of a frustum, in scene units: the cube root of three times its volume."""

CHANGE = "(config) => window.__vmemFrustums[config.node].change(config)"


def pose_wxyz(c2w: F64) -> NDArray[np.floating]:
    """Quaternion (4,) wxyz of a pose (4, 4)."""
    return vtf.SO3.from_matrix(c2w[:3, :3]).wxyz


def half_size(camera: Camera, scale: float = SCALE) -> F64:
    """Half width, half height and depth (3,) of a camera's frustum, in scene units."""
    half = np.tan(camera.fov[0] / 2) * np.array([camera.hw[1] / camera.hw[0], 1.0])
    size = np.array([*half, 1.0])
    return scale * size / np.cbrt(size.prod() / 3)


class Frustums:
    """One frustum a view; only views that are new and colours that change are sent."""

    def __init__(
        self,
        scene: viser.SceneApi,
        on_clicked: Callable[[int], None] | None = None,
        *,
        name: str = "/views",
        scale: float = SCALE,
        thickness: float = 1.2,
    ) -> None:
        """``on_clicked(view)`` is called on one of viser's threads; thickness in pixels."""
        self._scene = scene
        self._name = name
        self._scale = scale
        self.cameras: list[Camera] = []
        """By view."""
        self.colors: list[RGB] = []
        """By view."""
        self._faded: list[bool] = []
        # Of viser's nodes lines cannot be clicked; what is in a node that can is clicked with it.
        self._group = scene.add_frame(name, show_axes=False)
        scene.add_line_segments(
            f"{name}/lines",
            np.zeros((1, 2, 3), np.float32),
            np.zeros((1, 2, 3), np.uint8),
            thickness=thickness,
            thickness_units="screen",
        )
        blank = np.zeros((1, 1, 3), np.uint8)
        scene.add_image(f"{name}/pictures", blank, 0.0, 0.0, format="png", cast_shadow=False)
        clickable = on_clicked is not None
        if on_clicked is not None:
            clicked = on_clicked
            self._group.on_click(lambda event: self._click(event, clicked))
        run_script(scene, load("frustums.js"), {"node": name, "clickable": clickable})

    def add(self, views: Sequence[View], full: Container[int] | None = None) -> None:
        """Add the frustums of the next views; ``full``: numbers of those that are not faded, None
        for all."""
        kept = len(self.cameras)
        numbers = range(kept, kept + len(views))
        faded = [full is not None and number not in full for number in numbers]
        colors = [DARK if dark else QUIET for dark in faded]
        self.cameras += [view.camera for view in views]
        self.colors += colors
        self._faded += faded
        if views:
            add = [
                {
                    "pose": self._pose(view.camera),
                    "picture": jpeg_url(thumbnail(view.rgb, THUMBNAIL)),
                    "faded": dark,
                }
                for view, dark in zip(views, faded, strict=True)
            ]
            self._change(keep=kept, add=add, colors=[*map(list, zip(numbers, colors, strict=True))])

    def truncate(self, n: int) -> None:
        """Keep the frustums of the first ``n`` views."""
        if n < len(self.cameras):
            del self.cameras[n:], self.colors[n:], self._faded[n:]
            self._change(keep=n)

    @property
    def visible(self) -> bool:
        """Whether they are shown."""
        return self._group.visible

    @visible.setter
    def visible(self, visible: bool) -> None:
        self._group.visible = visible

    def highlight(self, selected: set[int], share: np.ndarray, pointed: int | None = None) -> None:
        """Colour frustums: amber if selected, pale with votes, else faint; blue if pointed at.
        Of those that are faded, the ones neither selected nor pointed at are dark.

        share (V,): of all votes, by view; it may be of fewer views than there are.
        """
        changed: list[list[object]] = []
        for view, before in enumerate(self.colors):
            voted = view < len(share) and share[view] > 0
            color = DARK if self._faded[view] else QUIET if voted else FAINT
            color = AMBER if view in selected else color
            color = SKY if view == pointed else color
            if color != before:
                self.colors[view] = color
                changed.append([view, color])
        if changed:
            self._change(keep=len(self.cameras), colors=changed)

    def _pose(self, camera: Camera) -> list[float]:
        """Rows of the pose (3, 4), then half width, half height and depth."""
        numbers = [*camera.c2w[:3].ravel(), *half_size(camera, self._scale)]
        return [round(float(number), 7) for number in numbers]

    def _change(self, **news: object) -> None:
        run_script(self._scene, CHANGE, {"node": self._name, **news})

    def _click(self, event: viser.SceneNodePointerEvent, clicked: Callable[[int], None]) -> None:
        cameras = self.cameras
        if cameras:
            poses = np.stack([camera.c2w for camera in cameras])
            sizes = np.stack([half_size(camera, self._scale) for camera in cameras])
            ray = np.array(event.ray_origin), np.array(event.ray_direction)
            clicked(pick_frustum(poses, sizes, *ray))
