"""The target's eye: what memory shows the target, in layers, beside and behind its frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import viser

from viewer.paint.palette import BACKGROUND
from viewer.paint.target_layers import LAYERS, LayerPicture
from vmem.arrays import U8

if TYPE_CHECKING:
    from viewer.browser.client import Client

SIDE = 288
"""Longer side of each picture, in pixels."""
GAP = 4


class TargetPanel:
    """One picture: left the frame, wiped into the layer; right the layer. With its legend."""

    def __init__(self, client: Client, gui: viser.GuiApi) -> None:
        inspector, settings = client.inspector, client.workspace.settings.scene
        blank = np.full((SIDE // 2, SIDE, 3), BACKGROUND, np.uint8)
        self._picture = gui.add_image(blank, label=None, format="png")
        self._layer = gui.add_dropdown(
            "Target's eye (N)",
            tuple(LAYERS),
            initial_value=settings.layer,
            hint="what the right picture shows of what memory holds of the target",
        )
        self._layer.on_update(self._chose_layer)
        self._wipe = gui.add_slider(
            "Wipe ([ ])", 0.0, 1.0, 0.02, settings.wipe, hint="between frame and layer"
        )
        self._wipe.on_update(self._wiped)
        self._bar = gui.add_image(np.zeros((8, 256, 3), np.uint8), format="png", visible=False)
        self._legend = gui.add_markdown("")
        self._client, self._inspector = client, inspector

    def _chose_layer(self, event: viser.GuiEvent) -> None:
        if event.client is not None:
            self._client.post(self._inspector.set_layer, self._layer.value)

    def _wiped(self, event: viser.GuiEvent) -> None:
        if event.client is not None:
            self._client.post(self._inspector.set_wipe, float(self._wipe.value))

    def show(self, left: U8, layer: LayerPicture, left_is: str) -> None:
        """left (H, W, 3): the frame as wiped · layer: beside it · left_is: what the left one is."""
        settings = self._client.workspace.settings.scene
        if self._layer.value != settings.layer:
            self._layer.value = settings.layer
        if self._wipe.value != settings.wipe:
            self._wipe.value = settings.wipe
        self._picture.image = beside(left, layer.image)
        self._legend.content = f"Left: {left_is}. Right: {layer.legend}."
        self._bar.visible = layer.bar is not None
        if layer.bar is not None:
            self._bar.image = layer.bar.repeat(8, axis=0)


def beside(left: U8, right: U8) -> U8:
    """Two pictures (H, W, 3), (h, w, 3) of one shape side by side, ``SIDE`` pixels long each."""
    pictures = []
    for picture in (left, right):
        h, w = picture.shape[:2]
        scale = SIDE / max(h, w)
        size = (max(1, round(w * scale)), max(1, round(h * scale)))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
        pictures.append(np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8))
    height = min(len(picture) for picture in pictures)
    gap = np.full((height, GAP, 3), BACKGROUND, np.uint8)
    return np.concatenate([pictures[0][:height], gap, pictures[1][:height]], axis=1)
