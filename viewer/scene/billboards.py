"""Pictures in the 3-D scene: a step's last frame beside the camera that made it."""

from __future__ import annotations

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
    """The last frame of a step left of its camera, beside its heat map."""

    def __init__(self, scene: viser.SceneApi) -> None:
        self._scene = scene
        self._handles: tuple[viser.ImageHandle, ...] = ()

    def show(self, camera: Camera, frame: U8, heat: U8 | None) -> None:
        """Show a frame (H, W, 3) and its heat map (h, w, 3), turned as ``camera`` is.

        The place of a heat map that is None stays empty.
        """
        height = WIDTH * camera.hw[0] / camera.hw[1]
        self._handles = self._handles or self._made(height)
        for column, (handle, image) in enumerate(zip(self._handles, (frame, heat), strict=True)):
            handle.visible = image is not None
            if image is None:
                continue
            x = LEFT - (1 - column) * (WIDTH + GAP)
            handle.image = thumbnail(image, PIXELS)
            handle.wxyz = pose_wxyz(camera.c2w)
            handle.position = (camera.c2w @ [x, -(height + GAP) / 2, AHEAD, 1.0])[:3]
            handle.render_width, handle.render_height = WIDTH, height

    def hide(self) -> None:
        """Show no pictures."""
        for handle in self._handles:
            handle.visible = False

    def _made(self, height: float) -> tuple[viser.ImageHandle, ...]:
        blank = np.zeros((8, 8, 3), np.uint8)
        return tuple(
            self._scene.add_image(
                f"/billboards/{name}", blank, WIDTH, height, format="jpeg", jpeg_quality=85
            )
            for name in ("frame", "heat")
        )
