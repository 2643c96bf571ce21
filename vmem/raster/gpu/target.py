"""An image on a GPU that is drawn into and read back."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import UInt8

PIXEL = 4
"""Bytes of a pixel in every format drawn here."""
ROW_ALIGNMENT = 256
"""Rows are copied to buffers at multiples of this many bytes."""


class Target:
    """Colour of a four-byte ``pixel`` format, depth, and the buffer that the colour is read by."""

    def __init__(self, device: Any, hw: tuple[int, int], pixel: str) -> None:
        self._hw = h, w = hw
        self._row = -(-w * PIXEL // ROW_ALIGNMENT) * ROW_ALIGNMENT
        size = (w, h, 1)
        self._color = device.create_texture(
            size=size, format=pixel, usage="RENDER_ATTACHMENT|COPY_SRC"
        )
        self._depth = device.create_texture(
            size=size, format="depth32float", usage="RENDER_ATTACHMENT"
        )
        self._color_view, self._depth_view = self._color.create_view(), self._depth.create_view()
        self._buffer = device.create_buffer(size=self._row * h, usage="MAP_READ|COPY_DST")

    def begin(self, encoder: Any, clear: tuple[float, ...]) -> Any:
        """A render pass into this image, cleared to a colour and to infinitely far."""
        return encoder.begin_render_pass(
            color_attachments=[
                {
                    "view": self._color_view,
                    "load_op": "clear",
                    "store_op": "store",
                    "clear_value": clear,
                }
            ],
            depth_stencil_attachment={
                "view": self._depth_view,
                "depth_load_op": "clear",
                "depth_store_op": "discard",
                "depth_clear_value": 0.0,
            },
        )

    def read(self, device: Any, encoder: Any) -> UInt8[np.ndarray, "H W 4"]:
        """Run what ``encoder`` has recorded, wait for it and return the pixels."""
        h, w = self._hw
        encoder.copy_texture_to_buffer(
            {"texture": self._color},
            {"buffer": self._buffer, "bytes_per_row": self._row, "rows_per_image": h},
            (w, h, 1),
        )
        device.queue.submit([encoder.finish()])
        self._buffer.map_sync("READ")
        try:
            rows = np.frombuffer(self._buffer.read_mapped(), np.uint8).reshape(h, self._row)
        finally:
            self._buffer.unmap()
        return rows[:, : w * PIXEL].reshape(h, w, PIXEL)
