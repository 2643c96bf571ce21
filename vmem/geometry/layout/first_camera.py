"""The camera of a photo that nothing is known about: usual intrinsics, tilt from its lines."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import UInt8

from vmem.arrays import F64
from vmem.cameras import Camera, default_K, rotation_x
from vmem.geometry.layout.lines import detect_segments, find_gravity

MAX_PITCH = math.radians(30)
MAX_ROLL = math.radians(8)
MIN_GRAVITY_CONFIDENCE = 0.15
"""Below it a photo is taken to be level."""


def first_camera(photo: UInt8[np.ndarray, "H W 3"]) -> Camera:
    """The first camera for a photo, in a level world: at the origin, yaw zero.

    Pitch is kept within 30 degrees, roll within 8.
    """
    height, width = photo.shape[:2]
    K = default_K((height, width))
    down, confidence = find_gravity(detect_segments(photo), K)
    c2w = np.eye(4)
    if confidence >= MIN_GRAVITY_CONFIDENCE:
        pitch = math.asin(float(np.clip(-down[2], -1, 1)))
        roll = math.atan2(down[0], down[1])
        pitch = float(np.clip(pitch, -MAX_PITCH, MAX_PITCH))
        roll = float(np.clip(roll, -MAX_ROLL, MAX_ROLL))
        c2w[:3, :3] = rotation_x(pitch) @ _rotation_z(roll)
    return Camera(c2w, K, (height, width))


def _rotation_z(angle: float) -> F64:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
