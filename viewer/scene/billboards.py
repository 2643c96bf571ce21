"""Pictures in the 3-D scene: a step's frames beside the camera that made them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import viser

from viewer.paint.resize import thumbnail
from viewer.scene.frustums import pose_wxyz
from vmem.arrays import U8
from vmem.cameras import Camera

WIDTH = 0.1
"""Width of each picture, in scene units."""
PIXELS = 256
"""Longer side of the pictures that are sent, in pixels."""
GAP = 0.008
"""Scene units between pictures."""
LEFT, AHEAD = -0.24, 0.22
"""Where the right column's middle lies in the camera's frame, in scene units."""


class Billboards:
    """A step's frames left of its last camera, each beside its heat map."""

    def __init__(self, scene: viser.SceneApi) -> None:
        self._scene = scene
        self._handles: list[viser.ImageHandle] = []

    def show(self, camera: Camera, pairs: Sequence[tuple[U8, U8 | None]]) -> None:
        """Show (frame, heat map) pairs as rows, oldest on top, turned as ``camera`` is.

        The place of a heat map that is None stays empty.
        """
        width = WIDTH
        height = width * camera.hw[0] / camera.hw[1]
        self._make(2 * len(pairs), width, height)
        for row, pair in enumerate(pairs):
            y = (row - (len(pairs) - 1) / 2 - 0.5) * (height + GAP)
            for column, image in enumerate(pair):
                handle = self._handles[2 * row + column]
                if image is None:
                    handle.visible = False
                    continue
                x = LEFT - (1 - column) * (width + GAP)
                handle.image = thumbnail(image, PIXELS)
                handle.wxyz = pose_wxyz(camera.c2w)
                handle.position = (camera.c2w @ [x, y, AHEAD, 1.0])[:3]
                handle.render_width, handle.render_height = width, height
                handle.visible = True

    def hide(self) -> None:
        """Show no pictures."""
        for handle in self._handles:
            handle.visible = False

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
