"""Predicted depth of new frames, fitted to known cameras and to the memory.

A network knows depth z up to a scale s (and a network of one image, up to a shift t): the true
depth is ``s z + t``. For each new view s and t are sought from these sources, in this order, and
the first that determines them is used:

1. depth of the stored views nearest in pose, projected into the new view;
2. the surfels of memory, drawn from the new view;
3. views of the same step that have been fitted already, projected;
4. the known camera motion against the network's own (pose_scale.py), which determines s alone.

In an empty memory the first view takes its scale from motion, else by the convention that its
median depth is 1. There is no optimisation over all views. Intrinsics and poses are the known ones:
the network gives the depth, the camera's ray the direction. A view that no source can place keeps
the caller's depth with low confidence, and the report says why.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from vmem.arrays import F32
from vmem.cameras import (
    Camera,
    Cameras,
    invert_pose,
    unproject,
)
from vmem.geometry.alignment.cleaning import Neighbour, cleaned, nearest
from vmem.geometry.alignment.pose_scale import PoseScale, scale_from_poses
from vmem.geometry.alignment.predicted import FramedDepth, Predicted, framed
from vmem.geometry.alignment.report import (
    Aligned,
    AlignmentConfig,
    AlignmentReport,
    Source,
    ViewAlignment,
)
from vmem.geometry.alignment.robust_fit import REACH, DepthLine, robust_fit, weighted_median
from vmem.memory import MemorySnapshot, grid_size
from vmem.memory.spawn import cell_centres
from vmem.raster import rasterize
from vmem.types import MIN_CONFIDENCE, POINTS_PER_FRAME, PointMapError, PointMaps

WHERE: dict[Source, str] = {
    "views": "the stored views near it",
    "surfels": "memory's surfels",
    "step": "the step's other views",
    "layout": "the layout",
}
"""Sources with depth, as reasons name them."""
FITTED_VIEWS = 4
"""Stored views, the nearest in pose, to which a new one is fitted."""
FITTED_SAMPLES = 8192
"""Pixels that are fitted at most, evenly spread."""
MIN_OVERLAP = 0.05
"""Share of the image that must show known depth for a fit to it."""
MIN_USABLE = 0.05
"""Share of the image on which the network must be confident, for a view to be placed at all."""
MIN_AGREEING = 0.4
"""Share of the overlap that a fit must bring within a tenth of what is known."""
MAX_RESIDUAL = 0.15
"""Median relative difference above which a fit is none."""
LOW = 0.2
"""Confidence of memory's depth outside of the network's crop, and of fallback depth that agrees
with memory or is the first in it. No later view is fitted to such depth."""
UNTRUSTED = 0.5 * MIN_CONFIDENCE
"""Confidence of other fallback depth: too little to link to surfels or to spawn them."""


def align(
    predicted: Predicted,
    cameras: Cameras,
    memory: MemorySnapshot,
    *,
    fallback: Float32[np.ndarray, "T H W"] | None = None,
    config: AlignmentConfig | None = None,
) -> Aligned:
    """Align T predicted frames with their known ``cameras`` and ``memory``.

    ``fallback`` z-depth is what a view keeps that cannot be placed; without it, the
    depth drawn from memory, and its median where nothing is drawn. Such a view has confidence LOW
    where memory agrees with it, and all over if it is the first of an empty memory, else UNTRUSTED.
    In a view that is placed, pixels outside of the network's crop have memory's depth with
    confidence LOW, else the fallback's with confidence 0.

    The cost does not grow with the number of stored views, but for one vectorised pose distance.
    Bad predictions end in a fallback, never in an exception. Raises PointMapError for arrays of the
    wrong shape.
    """
    config = config or AlignmentConfig()
    n, hw = len(cameras), cameras.hw
    given = framed(predicted.validated(n), hw)
    if fallback is not None and fallback.shape != (n, *hw):
        raise PointMapError(f"fallback depth must be {(n, *hw)}, got {fallback.shape}")
    job = _Job.of(given, cameras, memory, fallback, config)
    placed = job.placed(predicted)
    views, depth, confidence = [], np.zeros((n, *hw), np.float32), np.zeros((n, *hw), np.float32)
    for i in range(n):
        view = placed[i] or _unplaced(job, i)
        views.append(view)
        depth[i], confidence[i] = job.maps(i, view)
    points = np.zeros((n, *hw, 3), np.float32)
    for i in range(n):
        points[i] = unproject(depth[i], cameras[int(i)])
    finite = np.isfinite(points).all(axis=-1)
    points[~finite], confidence[~finite] = 0, 0
    kept = [v.source != "fallback" for v in views]
    confidence = _cleaned(points, depth, confidence, kept, cameras, memory, config.neighbours)
    return Aligned(PointMaps(points, depth, confidence), AlignmentReport(tuple(views)))


def _unplaced(job: _Job, i: int) -> ViewAlignment:
    return ViewAlignment("fallback", DepthLine(), 0.0, 0.0, job.reasons[i])


@dataclass(frozen=True, eq=False)
class _Job:
    """All that placing needs. Fits are made on a coarse grid, on which memory is drawn too."""

    given: FramedDepth
    """The prediction on the frames' pixels."""
    cameras: Cameras
    memory: MemorySnapshot
    fallback: F32 | None
    """(T, H, W) depth of views that cannot be placed, if the caller has any."""
    config: AlignmentConfig
    grid: tuple[int, int]
    """Height and width (gh, gw) of the coarse grid."""
    depth: F32
    """(T, gh, gw) predicted depth on the grid, 0 where there is none."""
    confidence: F32
    """(T, gh, gw) its confidence."""
    reasons: list[str]
    """For each view, why the sources tried so far did not place it."""

    @staticmethod
    def of(
        given: FramedDepth,
        cameras: Cameras,
        memory: MemorySnapshot,
        fallback: F32 | None,
        config: AlignmentConfig,
    ) -> _Job:
        grid = grid_size(cameras.hw, POINTS_PER_FRAME)
        cell = np.ix_(np.arange(len(cameras)), *cell_centres(cameras.hw, grid))
        return _Job(
            given,
            cameras,
            memory,
            fallback,
            config,
            grid,
            given.depth[cell],
            given.confidence[cell],
            [""] * len(cameras),
        )

    def placed(self, predicted: Predicted) -> list[ViewAlignment | None]:
        """What places each view, None where nothing does (``reasons`` says why)."""
        n = len(self.cameras)
        out: list[ViewAlignment | None] = [None] * n
        usable = (self.confidence >= MIN_CONFIDENCE).mean(axis=(1, 2)) >= MIN_USABLE
        # Sources 1 and 2 look at each view by itself: memory's depth d_k at the pixels that it
        # shares with the prediction z_k gives min over (s, t) of sum rho((s z_k + t) / d_k - 1).
        for i in range(n):
            if not usable[i]:
                self.reasons[i] = self.reasons[i] or "the network is sure of hardly anything"
                continue
            if len(self.memory.surfels) == 0:
                self.reasons[i] = "memory is empty"
                continue
            out[i] = self.fitted(i, self.stored(i), "views")
            out[i] = out[i] or self.fitted(i, self.drawn(i), "surfels")
        waiting = [i for i in range(n) if usable[i] and out[i] is None]
        if not waiting:
            return out
        poses = scale_from_poses(predicted, self.cameras.c2w, usable)
        if len(self.memory.surfels) == 0:
            # The first view fixes the unit; the others are fitted to it as far as they see it.
            first = waiting.pop(0)
            out[first] = self.by_poses(first, poses) or self.by_convention(first, poses.reason)
        # Source 3, greedily: next is the view that shares most pixels with the views placed so
        # far, so that a chain of overlaps has its best links. Source 4 where they share too few.
        while waiting:
            seen = {i: self.from_step(i, out) for i in waiting}
            i = max(waiting, key=lambda i: int((seen[i] > 0).any(axis=0).sum()))
            waiting.remove(i)
            out[i] = self.fitted(i, seen[i], "step") or self.by_poses(i, poses)
            if out[i] is None:
                self.reasons[i] += f"; {poses.reason or 'nor does its camera tell the scale'}"
        return out

    def stored(self, i: int) -> F32:
        """Depth (J, gh, gw) in view i of what J stored views near it saw, 0 where nothing.

        These come before the surfels because of a bias: where noisy depth has left several layers
        of surfels, the nearest is drawn, so every step fitted to the drawing comes out nearer.
        Single views have no such bias.
        """
        camera, out = self.cameras[i].resized(self.grid), []
        for k in nearest(camera.c2w, self.memory.poses, FITTED_VIEWS):
            view = self.memory.views[k]
            grid = grid_size(view.camera.hw, POINTS_PER_FRAME)
            cell = np.ix_(*cell_centres(view.camera.hw, grid))
            # Depth of LOW confidence was not predicted by a network.
            depth = np.where(view.confidence[cell] > LOW, view.depth[cell], 0)
            out.append(_splatted(depth, view.camera.resized(grid), camera))
        return np.array(out, np.float32).reshape(-1, *self.grid)

    def drawn(self, i: int) -> F32:
        """Depth (1, gh, gw) of the surfels drawn from view i, 0 where there are none."""
        camera = self.cameras[i].resized(self.grid)
        return rasterize(self.memory.surfels, camera, blocks=self.memory.blocks).depth[None]

    def from_step(self, i: int, placed: list[ViewAlignment | None]) -> F32:
        """Depth (J, gh, gw) in view i of each of J views placed so far, 0 where it shows nothing.

        One layer a view: the nearest of several noisy depths would be too near.
        """
        camera, out = self.cameras[i].resized(self.grid), []
        for j, view in enumerate(placed):
            if view is not None:
                depth = view.line.applied(self.depth[j])
                depth[self.confidence[j] < MIN_CONFIDENCE] = 0
                out.append(_splatted(depth, self.cameras[j].resized(self.grid), camera))
        return np.array(out, np.float32).reshape(-1, *self.grid)

    def fitted(self, i: int, known: F32, source: Source) -> ViewAlignment | None:
        """View i fitted to J layers of depth (J, gh, gw) known there; None if it cannot be, with
        the reason added to ``reasons``."""
        where = WHERE[source]
        both = (known > 0) & (self.depth[i] > 0) & (self.confidence[i] >= MIN_CONFIDENCE)
        overlap = float(both.any(axis=0).mean()) if len(both) else 0.0
        reason = ""
        if overlap < MIN_OVERLAP or both.sum() < 16:
            reason = f"no overlap with {where}"
        else:
            at = np.flatnonzero(both)
            at = at[np.linspace(0, len(at) - 1, min(len(at), FITTED_SAMPLES)).astype(int)]
            # Every layer covers the grid: index (j, pixel) of a sample -> its pixel.
            pixel = at % self.depth[i].size
            mine, sure = (a[i].ravel()[pixel] for a in (self.depth, self.confidence))
            fit = robust_fit(mine, known.ravel()[at], sure, self.config.shift)
            if not fit.explained:
                reason = f"predicted depth does not follow {where}"
            elif fit.agreeing < MIN_AGREEING or fit.residual > MAX_RESIDUAL:
                reason = f"predicted depth contradicts {where}"
            else:
                return ViewAlignment(source, fit.line, fit.residual, overlap, self.reasons[i])
        self.reasons[i] = f"{self.reasons[i]}; {reason}" if self.reasons[i] else reason
        return None

    def by_poses(self, i: int, poses: PoseScale) -> ViewAlignment | None:
        """View i by the scale from camera motion, if there is one and no shift is needed."""
        if self.config.shift != "none" or not np.isfinite(poses.scale[i]):
            return None
        line = DepthLine(float(poses.scale[i]))
        return ViewAlignment("poses", line, 0.0, 0.0, self.reasons[i])

    def by_convention(self, i: int, reason: str) -> ViewAlignment:
        """View i, the first of an empty memory, with a median depth of 1; if a shift is needed too,
        fitted to the caller's depth, where there is any and it has the same shape."""
        if self.config.shift != "none":
            if self.fallback is not None:
                cell = np.ix_(*cell_centres(self.cameras.hw, self.grid))
                known = self.fallback[i][cell]
                known = np.where(np.isfinite(known) & (known > 0), known, 0)
                found = self.fitted(i, known[None].astype(np.float32), "layout")
                if found is not None:
                    return found
            reason = f"{self.reasons[i]}; its shift is unknown, taken as 0"
        sure = self.confidence[i] >= MIN_CONFIDENCE
        median = weighted_median(
            self.depth[i][sure].astype(np.float64), self.confidence[i][sure].astype(np.float64)
        )
        return ViewAlignment("median", DepthLine(1 / median), 0.0, 0.0, reason)

    def maps(self, i: int, view: ViewAlignment) -> tuple[F32, F32]:
        """Depth and confidence (H, W) of view i, not cleaned yet."""
        camera, inside = self.cameras[i], self.given.inside
        fallback = None if self.fallback is None else self.fallback[i]
        # The first view starts the memory; later fallbacks must agree with it to be believed.
        begins = len(self.memory.surfels) == 0 and i == 0 and fallback is not None
        shown = np.zeros(camera.hw, np.float32)
        if view.source == "fallback" or not inside.all():
            blocks = self.memory.blocks
            shown = rasterize(self.memory.surfels, camera, blocks=blocks).depth
        if fallback is None:
            drawn = shown[shown > 0]
            fallback = np.where(shown > 0, shown, np.median(drawn) if len(drawn) else 1.0)
        fine = (fallback > REACH[0]) & (fallback < REACH[1])
        backup = np.where(fine, fallback, 1).astype(np.float32)
        if view.source == "fallback":
            agrees = begins | ((shown > 0) & (np.abs(shown - backup) <= 0.1 * backup))
            confidence = np.where(agrees, LOW, UNTRUSTED) * fine
            return backup, confidence.astype(np.float32)
        depth = view.line.applied(self.given.depth[i])
        confidence = self.given.confidence[i] * (depth > 0)
        filled = ~inside & (shown > 0)
        depth = np.where(filled, shown, np.where(depth > 0, depth, backup))
        return depth, np.where(filled, LOW, confidence).astype(np.float32)


def _splatted(depth: F32, camera: Camera, onto: Camera) -> F32:
    """Depth (h, w) in ``onto`` of the pixels (H, W) of another view: the nearest that falls on
    each pixel, 0 where none does."""
    seen = depth > 0
    w2c = invert_pose(onto.c2w).astype(np.float32)
    local = unproject(depth, camera)[seen] @ w2c[:3, :3].T + w2c[:3, 3]
    local = local[local[:, 2] > 0]
    h, w = onto.hw
    u, v = (local[:, :2] / local[:, 2:] * onto.K[[0, 1], [0, 1]] + onto.K[:2, 2]).T
    inside = (u >= 0) & (u < w) & (v >= 0) & (v < h)
    u, v, z = u[inside].astype(int), v[inside].astype(int), local[inside, 2]
    out = np.full((h, w), np.inf, np.float32)
    np.minimum.at(out, (v, u), z)
    return np.where(np.isfinite(out), out, 0)


def _cleaned(
    points: F32,
    depth: F32,
    confidence: F32,
    kept: list[bool],
    cameras: Cameras,
    memory: MemorySnapshot,
    count: int,
) -> F32:
    """Confidence (T, H, W) after each placed view was compared with the ``count`` stored views and
    the ``count`` new ones nearest in pose."""
    fresh = [i for i, keep in enumerate(kept) if keep]
    out = confidence.copy()
    for i in fresh:
        stored = [memory.views[k] for k in nearest(cameras.c2w[i], memory.poses, count)]
        others = [j for j in fresh if j != i]
        near = nearest(cameras.c2w[i], cameras.c2w[others], count)
        neighbours = [Neighbour(v.camera, v.depth, v.confidence) for v in stored]
        neighbours += [
            Neighbour(cameras[others[k]], depth[others[k]], confidence[others[k]]) for k in near
        ]
        out[i] = cleaned(points[i], confidence[i], neighbours)
    return out
