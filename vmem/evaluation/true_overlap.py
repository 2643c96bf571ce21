"""How much of a target the chosen views truly show, in a world whose geometry is known exactly."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from vmem.cameras import Camera, Cameras
from vmem.evaluation.truth import Look, looks, truth
from vmem.memory import MemorySnapshot
from vmem.types import Retrieval
from vmem.worlds.backend import World

TARGET_SIDE, VIEW_SIDE = 32, 96
"""Pixels along the longer side of exact looks. Views are finer, for points at edges fall between
pixels, and that three times, so that the pixels of a target are among those of a view from the same
place: it shows all of it. Shares are within some 0.01 of those of looks of 256 pixels."""
KEPT_LOOKS = 256
"""Looks kept, the latest used: enough for all that strategies choose, in some 28 MB."""


class TrueOverlap:
    """Asks the world itself; exact looks of cameras are kept, as strategies share their views."""

    def __init__(self, world: World) -> None:
        def draw(c2w: bytes, K: bytes, hw: tuple[int, int], side: int) -> Look:
            # Copied: arrays that cannot be written to are another type, and compile all anew.
            pose, intrinsics = (np.frombuffer(part).copy() for part in (c2w, K))
            cameras = Cameras(pose.reshape(1, 4, 4), intrinsics.reshape(1, 3, 3), hw)
            return looks(world, cameras, side)[0]

        # By what a camera is and not by its view: an index means another view after an undo.
        self._drawn = lru_cache(KEPT_LOOKS)(draw)

    def of(self, memory: MemorySnapshot, retrieval: Retrieval) -> float:
        """Share of the targets' true surface pixels, in [0, 1], that at least one chosen view truly
        shows; 1 for targets that see the sky alone, 0 if no view was chosen."""
        targets = [self._look(target, TARGET_SIDE) for target in retrieval.targets]
        if not any(target.hit.any() for target in targets):
            return 1.0
        if not retrieval.order:
            return 0.0
        views = [self._look(memory.views[view].camera, VIEW_SIDE) for view in retrieval.order]
        return float(truth(targets, views).visible.any(axis=0).mean())

    def _look(self, camera: Camera, side: int) -> Look:
        c2w, K = (np.ascontiguousarray(part, np.float64) for part in (camera.c2w, camera.K))
        return self._drawn(c2w.tobytes(), K.tobytes(), camera.hw, side)
