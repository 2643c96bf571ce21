"""Which surfels can be seen, one by one: a drawing shows only the foremost at each pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vmem.cameras import Camera
from vmem.raster.buffers import SurfelBuffers
from vmem.surfels import Surfels
from vmem.views import F32

DEPTH_TOLERANCE = 0.03
"""Relative depth by which a surfel may lie behind what is drawn and still be part of it."""


def visible_votes(surfels: Surfels, buffers: SurfelBuffers, camera: Camera) -> F32:
    """(S,) f32 vote cos / (1 + depth) of every surfel that ``camera`` sees, 0 for the others.

    ``buffers`` is what the camera (at their size) draws of these surfels. A surfel counts as seen
    if its centre is in the frame, it faces the camera, and nothing is drawn clearly before it: so
    disks that their neighbours in the same plane cover count too.
    """
    h, w = buffers.index.shape
    w2c = camera.w2c.astype(np.float32)
    local = surfels.position @ w2c[:3, :3].T + w2c[:3, 3]
    depth = local[:, 2]
    to_eye = camera.position.astype(np.float32) - surfels.position
    cosine = np.sum(surfels.normal * to_eye, axis=1) / np.maximum(
        np.linalg.norm(to_eye, axis=1), 1e-12
    )
    ahead = np.flatnonzero((depth > 1e-3) & (cosine > 0))
    K = camera.resized((h, w)).K
    column = np.floor(K[0, 0] * local[ahead, 0] / depth[ahead] + K[0, 2])
    row = np.floor(K[1, 1] * local[ahead, 1] / depth[ahead] + K[1, 2])
    inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
    ahead = ahead[inside]
    drawn: NDArray = buffers.depth[row[inside].astype(int), column[inside].astype(int)]
    seen = ahead[depth[ahead] <= drawn * (1 + DEPTH_TOLERANCE)]
    votes = np.zeros(len(surfels), np.float32)
    votes[seen] = cosine[seen] / (1 + depth[seen])
    return votes
