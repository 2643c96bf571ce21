"""What stands at cameras in the 3-D scene: frustums with thumbnails, billboards with frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import viser
import viser.transforms as vtf
from numpy.typing import NDArray

from vmem.arrays import F64, U8
from vmem.cameras import Camera
from vmem.types import View

AMBER = (255, 176, 46)
SKY = (86, 180, 233)
QUIET = (92, 98, 110)
FAINT = (66, 70, 80)

THUMBNAIL = 56
FRUSTUM_SCALE = 0.03
BILLBOARD_WIDTH = 0.1
BILLBOARD_PIXELS = 256


def pose_wxyz(c2w: F64) -> NDArray[np.floating]:
    """Quaternion (4,) wxyz of a pose (4, 4)."""
    return vtf.SO3.from_matrix(c2w[:3, :3]).wxyz


def thumbnail(rgb: U8, side: int = THUMBNAIL) -> U8:
    """The frame scaled so that its longer side is ``side`` pixels."""
    h, w = rgb.shape[:2]
    scale = side / max(h, w)
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, size, interpolation=how), np.uint8)


class Frustums:
    """One frustum a view, with its thumbnail; colours are sent only where they change."""

    def __init__(self, scene: viser.SceneApi, on_clicked: Callable[[int], None]) -> None:
        self._scene = scene
        self._on_clicked = on_clicked
        self.handles: list[viser.CameraFrustumHandle] = []
        self._colors: list[tuple[int, int, int]] = []

    def add(self, view: View, visible: bool) -> None:
        camera, index = view.camera, len(self.handles)
        handle = self._scene.add_camera_frustum(
            f"/views/{index}",
            camera.fov[0],
            camera.hw[1] / camera.hw[0],
            scale=FRUSTUM_SCALE,
            thickness=1.2,
            thickness_units="screen",
            color=QUIET,
            image=thumbnail(view.rgb),
            format="jpeg",
            wxyz=pose_wxyz(camera.c2w),
            position=camera.position,
            visible=visible,
        )
        handle.on_click(lambda _: self._on_clicked(index))
        self.handles.append(handle)
        self._colors.append(QUIET)

    def truncate(self, n: int) -> None:
        for handle in self.handles[n:]:
            handle.remove()
        del self.handles[n:], self._colors[n:]

    @property
    def visible(self) -> bool:
        return all(handle.visible for handle in self.handles)

    @visible.setter
    def visible(self, visible: bool) -> None:
        for handle in self.handles:
            handle.visible = visible

    def light(self, chosen: set[int], share: np.ndarray, pointed: int | None = None) -> None:
        """Amber for chosen views, pale for voted ones, faint for the rest; blue for one."""
        for view, handle in enumerate(self.handles):
            voted = view < len(share) and share[view] > 0
            color = AMBER if view in chosen else QUIET if voted else FAINT
            color = SKY if view == pointed else color
            if color != self._colors[view]:
                handle.color = color
                self._colors[view] = color


class Billboards:
    """A step's frames left of its last camera, each beside its heat map."""

    GAP = 0.008
    LEFT, AHEAD = -0.24, 0.22

    def __init__(self, scene: viser.SceneApi) -> None:
        self._scene = scene
        self._handles: list[viser.ImageHandle] = []

    def show(self, camera: Camera, pairs: Sequence[tuple[U8, U8 | None]]) -> None:
        """Stand (frame, heat map) pairs as rows, oldest on top, facing as ``camera`` does.

        The place of a heat map that is None stays empty.
        """
        width = BILLBOARD_WIDTH
        height = width * camera.hw[0] / camera.hw[1]
        self._make(2 * len(pairs), width, height)
        for row, pair in enumerate(pairs):
            y = (row - (len(pairs) - 1) / 2 - 0.5) * (height + self.GAP)
            for column, image in enumerate(pair):
                handle = self._handles[2 * row + column]
                if image is None:
                    handle.visible = False
                    continue
                x = self.LEFT - (1 - column) * (width + self.GAP)
                handle.image = thumbnail(image, BILLBOARD_PIXELS)
                handle.wxyz = pose_wxyz(camera.c2w)
                handle.position = (camera.c2w @ [x, y, self.AHEAD, 1.0])[:3]
                handle.render_width, handle.render_height = width, height
                handle.visible = True

    def _make(self, n: int, width: float, height: float) -> None:
        """Have at least ``n`` billboards; hide those beyond."""
        blank = np.zeros((8, 8, 3), np.uint8)
        for i in range(len(self._handles), n):
            self._handles.append(
                self._scene.add_image(
                    f"/billboards/{i}", blank, width, height, format="jpeg", jpeg_quality=85
                )
            )
        for handle in self._handles[n:]:
            handle.visible = False

    def hide(self) -> None:
        for handle in self._handles:
            handle.visible = False
