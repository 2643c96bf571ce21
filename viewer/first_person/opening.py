"""The photo of a walk that is being opened, as a view whose depth is not known yet."""

from __future__ import annotations

import numpy as np

from viewer.first_person.view_file import view_file
from vmem.arrays import U8
from vmem.cameras import Camera, default_K
from vmem.types import View

DISTANCE = 1.0
"""Scene units from the camera, about the median depth of photos."""


def flat_view(photo: U8) -> bytes:
    """The file of a photo (H, W, 3) that stands upright before the origin."""
    hw = photo.shape[:2]
    depth = np.full(hw, DISTANCE, np.float32)
    camera = Camera(np.eye(4), default_K(hw), hw)
    return view_file(View(photo, camera, 0, depth, confidence=np.zeros(hw, np.float32)))
