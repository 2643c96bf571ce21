"""The published memory: lists that grow a step at a time, rebuilt focals, an approximate undo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vmem.arrays import F32
from vmem.errors import VMemError
from vmem.published.context import initial_threshold, query_camera, rank_by_pose, spread
from vmem.published.grid import merge_over_grid
from vmem.published.merge import Merge
from vmem.published.poses import average_pose
from vmem.published.render import QueryCamera
from vmem.published.render_fast import render_polygons
from vmem.published.surfels import Disks, PublishedConfig, disks_from_pointmap
from vmem.published.votes import Votes, gather_votes
from vmem.types import SurfelBuffers

MergeFunction = Callable[[Disks, Disks, float], Merge]
"""Existing disks, new ones, least cosine between normals."""
NO_SUPPRESSION = 1e8
"""Threshold that a choice without suppression leaves behind."""


class PublishedCodeFailsError(VMemError, RuntimeError):
    """A state in which the published code stops with an error of its own."""


@dataclass(frozen=True, eq=False)
class ContextChoice:
    """Frames chosen to condition on, and what the choice was made from."""

    order: tuple[int, ...]
    """Chosen frames, the nearest in pose first."""
    threshold: float | None
    """Threshold of suppression kept for later calls, None as long as there is none."""
    query: QueryCamera | None = None
    """The camera from which memory was drawn; None where memory holds one frame only."""
    buffers: SurfelBuffers | None = None
    """What that camera sees; None as for ``query``."""
    votes: Votes | None = None
    """Votes of the visible surfels; None as for ``query``."""


class PublishedMemory:
    """Frames as poses, surfels with the frames that saw them, and what persists between calls."""

    c2w: F32
    """(n, 4, 4) OpenGL poses of all frames."""
    disks: Disks
    """S surfels."""
    timesteps: list[list[int]]
    """The frames that saw each of the S surfels."""
    depths: list[F32]
    """A map for each frame."""
    focals: list[float]
    """All focal lengths ever reconstructed: every step adds those of all frames again."""
    threshold: float | None
    """The threshold of suppression, None as long as there is none."""
    global_step: int
    """Steps taken, less the frames undone."""

    def __init__(
        self,
        first_c2w: NDArray[np.floating],
        config: PublishedConfig | None = None,
        merge: MergeFunction = merge_over_grid,
    ) -> None:
        self._merge = merge
        self.config = config or PublishedConfig()
        self.c2w = np.asarray(first_c2w, np.float32)[None]
        self.disks = Disks.empty()
        self.timesteps = []
        self.depths = []
        self.focals = []
        self.threshold = None
        self.global_step = 0

    def __len__(self) -> int:
        return len(self.c2w)

    def choose_context(
        self, targets: NDArray[np.floating], nms: bool | None = None
    ) -> ContextChoice:
        """Frames to condition on for targets (T, 4, 4); ``nms`` None means suppression.

        Raises PublishedCodeFailsError where suppression has no threshold yet (it is found when
        memory holds exactly five frames), and where no surfel is visible.
        """
        n, config = len(self), self.config
        if n == 1:
            return ContextChoice((0,), self.threshold)
        query = query_camera(targets, self.focals, config)
        buffers = render_polygons(self.disks, query)
        votes = gather_votes(buffers, self.timesteps, config.context_num_frames)
        candidates = votes.candidates
        if not candidates:
            raise PublishedCodeFailsError("no surfel is visible from the last target")
        if nms is False:
            self.threshold = NO_SUPPRESSION
        elif n == config.target_num_frames + 1:
            self.threshold = initial_threshold(self.c2w, config.translation_distance_weight)
        if self.threshold is None:
            raise PublishedCodeFailsError(f"{n} frames, and suppression has no threshold yet")
        weight = config.translation_distance_weight
        used = max(1, -(-config.context_num_frames // 4))
        ranked = rank_by_pose(candidates, average_pose(targets[-used:]), self.c2w, weight)
        most = min(config.context_num_frames, len(candidates), n)
        order = spread(ranked, self.c2w, most, self.threshold, nms is not False, weight)
        return ContextChoice(order, self.threshold, query, buffers, votes)

    def add_step(
        self,
        targets: NDArray[np.floating],
        points: F32,
        depth: F32,
        confidence: F32,
        focals: Sequence[float] | F32,
    ) -> None:
        """Append frames at ``targets`` (T, 4, 4) and take in the reconstruction of *all* n frames.

        points (n, h, w, 3), depth and confidence (n, h, w), downsampled; focals (n,) before that.
        Only the last few frames become surfels, all of them the first time.
        """
        self.c2w = np.concatenate([self.c2w, np.asarray(targets, np.float32)])
        self.focals.extend(np.asarray(focals, np.float32).reshape(-1).tolist())
        self.depths = list(depth)
        n = len(self)
        first = max(0, n - self.config.target_num_frames) if len(self.disks) else 0
        for k in range(first, n):
            new = disks_from_pointmap(
                points[k], depth[k], confidence[k], self.c2w[k, :3, 3], focals[k], self.config
            )
            self._insert(new, k)
        self.global_step += 1

    def _insert(self, new: Disks, frame: int) -> None:
        merge = self._merge(self.disks, new, self.config.merge_normal_threshold)
        for surfel in merge.credited[merge.credited >= 0]:
            if frame not in self.timesteps[surfel]:
                self.timesteps[surfel].append(frame)
        self.disks = Disks.concatenate([self.disks, new[merge.kept]])
        self.timesteps.extend([frame] for _ in merge.kept)

    def undo(self) -> bool:
        """Forget up to four frames and what only they saw; False if only the first is left.

        Focals and threshold stay, and ``global_step`` falls by the number of frames.
        """
        n = len(self)
        if n == 1:
            return False
        left = n - min(self.config.target_num_frames, n - 1)
        self.c2w, self.depths = self.c2w[:left], self.depths[:left]
        self.global_step -= n - left
        remaining = [[t for t in frames if t < left] for frames in self.timesteps]
        survives = np.array([bool(frames) for frames in remaining], bool)
        self.disks = self.disks[survives]
        self.timesteps = [frames for frames in remaining if frames]
        return True
