"""The photo that is being opened: flat in the scene, until its depth is known."""

from __future__ import annotations

import numpy as np
import viser

from vmem.arrays import U8
from vmem.cameras import default_K

DISTANCE = 1.0
"""Scene units from the origin, where the photo's camera will be: about its median depth."""
LABEL = "flat while its depth is being estimated…"


class FlatPhoto:
    """A photo upright before the origin, as large as its camera will see it."""

    def __init__(self, scene: viser.SceneApi) -> None:
        self._scene = scene
        self._handles: tuple[viser.ImageHandle | viser.LabelHandle, ...] = ()
        self.shown: U8 | None = None
        """The photo (H, W, 3) that is shown; None: none."""

    def show(self, photo: U8 | None) -> None:
        """Show a photo (H, W, 3), or with None remove it. The same photo is not sent again."""
        if photo is self.shown:
            return
        self.shown = photo
        for handle in self._handles:
            handle.remove()
        self._handles = ()
        if photo is None:
            return
        h, w = photo.shape[:2]
        width, height = DISTANCE * np.array([w, h]) / default_K((h, w))[0, 0]
        picture = self._scene.add_image(
            "/opening",
            photo,
            width,
            height,
            format="jpeg",
            jpeg_quality=90,
            cast_shadow=False,
            receive_shadow=False,
            position=(0.0, 0.0, DISTANCE),
        )
        label = self._scene.add_label(
            "/opening/label", LABEL, position=(0.0, -height / 2, 0.0), anchor="bottom-center"
        )
        self._handles = (label, picture)
