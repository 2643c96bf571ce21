"""Pictures made smaller or larger to a given side."""

from __future__ import annotations

import cv2
import numpy as np

from vmem.arrays import U8


def thumbnail(rgb: U8, side: int) -> U8:
    """A picture (H, W, 3) scaled so that its longer side is ``side`` pixels."""
    h, w = rgb.shape[:2]
    scale = side / max(h, w)
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, size, interpolation=how), np.uint8)
