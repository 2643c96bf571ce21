"""Camera frustums in the 3-D scene: one a view, with its thumbnail."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import viser
import viser.transforms as vtf
from numpy.typing import NDArray

from viewer.paint.palette import AMBER, FAINT, QUIET, SKY
from viewer.paint.resize import thumbnail
from vmem.arrays import F64
from vmem.types import View

THUMBNAIL = 56
"""Longer side of a frustum's picture, in pixels."""
SCALE = 0.03
"""Size of a frustum, in scene units."""


def pose_wxyz(c2w: F64) -> NDArray[np.floating]:
    """Quaternion (4,) wxyz of a pose (4, 4)."""
    return vtf.SO3.from_matrix(c2w[:3, :3]).wxyz


class Frustums:
    """One frustum a view; colours are sent only where they change."""

    def __init__(self, scene: viser.SceneApi, on_clicked: Callable[[int], None]) -> None:
        """``on_clicked(view)`` is called on one of viser's threads."""
        self._scene = scene
        self._on_clicked = on_clicked
        self.handles: list[viser.CameraFrustumHandle] = []
        """By view."""
        self._colors: list[tuple[int, int, int]] = []

    def add(self, view: View, visible: bool) -> None:
        """Add the frustum of the next view."""
        camera, index = view.camera, len(self.handles)
        handle = self._scene.add_camera_frustum(
            f"/views/{index}",
            camera.fov[0],
            camera.hw[1] / camera.hw[0],
            scale=SCALE,
            thickness=1.2,
            thickness_units="screen",
            color=QUIET,
            image=thumbnail(view.rgb, THUMBNAIL),
            format="jpeg",
            wxyz=pose_wxyz(camera.c2w),
            position=camera.position,
            visible=visible,
        )
        handle.on_click(lambda _: self._on_clicked(index))
        self.handles.append(handle)
        self._colors.append(QUIET)

    def truncate(self, n: int) -> None:
        """Keep the frustums of the first ``n`` views."""
        for handle in self.handles[n:]:
            handle.remove()
        del self.handles[n:], self._colors[n:]

    @property
    def visible(self) -> bool:
        """Whether all of them are visible."""
        return all(handle.visible for handle in self.handles)

    @visible.setter
    def visible(self, visible: bool) -> None:
        for handle in self.handles:
            handle.visible = visible

    def highlight(self, selected: set[int], share: np.ndarray, pointed: int | None = None) -> None:
        """Colour frustums: amber if selected, pale with votes, else faint; blue if pointed at.

        share (V,): of all votes, by view; it may be of fewer views than there are.
        """
        for view, handle in enumerate(self.handles):
            voted = view < len(share) and share[view] > 0
            color = AMBER if view in selected else QUIET if voted else FAINT
            color = SKY if view == pointed else color
            if color != self._colors[view]:
                handle.color = color
                self._colors[view] = color
