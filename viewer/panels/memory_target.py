"""What memory shows of the target, in layers, beside and behind its frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import viser

from viewer.actions import Actions
from viewer.commands import NEXT_LAYER, WIPE_LEFT, WIPE_RIGHT
from viewer.paint.palette import BACKGROUND
from viewer.paint.target_layers import LAYERS, LayerPicture
from viewer.panels.elements import at_once
from viewer.settings import Layer, SceneOptions
from vmem.arrays import U8

SIDE = 288
"""Longer side of each picture, in pixels."""
QUALITY = 80
"""Of the pictures as JPEG."""
GAP = 4
"""Pixels between the pictures."""


@dataclass(frozen=True, eq=False)
class TargetShown:
    """What is shown of the target."""

    picture: U8
    """(h, w, 3) frame and layer side by side."""
    layer: Layer
    """The layer chosen."""
    legend: str
    """What the colours mean, as Markdown."""


class TargetPanel:
    """One picture: left the frame, wiped into the layer; right the layer. With its legend."""

    def __init__(self, gui: viser.GuiApi, commands: Actions, options: SceneOptions) -> None:
        self._commands = commands
        self._options = options
        blank = np.full((SIDE // 2, SIDE, 3), BACKGROUND, np.uint8)
        self._picture = gui.add_image(blank, label=None, jpeg_quality=QUALITY)
        self._layer = gui.add_dropdown(
            NEXT_LAYER.labelled(),
            tuple(LAYERS),
            initial_value=options.layer,
            hint="what the right picture shows of what memory holds of the target",
        )
        self._layer.on_update(at_once(self._chose_layer))
        self._wipe = gui.add_slider(
            f"Wipe ({WIPE_LEFT.key} {WIPE_RIGHT.key})",
            0.0,
            1.0,
            0.02,
            options.wipe,
            hint="between frame and layer",
        )
        self._wipe.on_update(at_once(self._wiped))
        self._bar = gui.add_image(np.zeros((8, 256, 3), np.uint8), format="png", visible=False)
        self._legend = gui.add_markdown("")

    def _chose_layer(self, event: viser.GuiEvent) -> None:
        self._commands.set_layer(self._layer.value)

    def _wiped(self, event: viser.GuiEvent) -> None:
        self._commands.set_wipe(float(self._wipe.value))

    @property
    def shown(self) -> TargetShown:
        """What it shows now."""
        picture = np.asarray(self._picture.image, np.uint8)[..., :3]
        return TargetShown(picture, self._layer.value, self._legend.content)

    def show(self, left: U8, layer: LayerPicture, left_is: str) -> None:
        """Show a frame (H, W, 3), wiped already, beside a layer; left_is: what the frame is."""
        if self._layer.value != self._options.layer:
            self._layer.value = self._options.layer
        if self._wipe.value != self._options.wipe:
            self._wipe.value = self._options.wipe
        picture = beside(left, layer.image)
        # viser sends pictures without alpha as JPEG, a third of the bytes, and those with it as
        # PNG: the colours of the other layers mean something, pixel by pixel.
        if self._options.layer != "scene":
            picture = np.dstack([picture, np.full_like(picture[..., :1], 255)])
        self._picture.image = picture
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
