"""Predicted depth brought to known cameras and to the memory, new frames only.

A network knows depth up to a scale (and, of one image, a shift). Each new view is fitted to the
first of these that can tell: depth of the stored views nearest in pose; the surfels of memory as
drawn; the views of the same step that were fitted before; the known camera motion. In an empty
memory one view begins, by motion or else by the convention that its median depth is 1. Nothing is
optimised over all views, and intrinsics are the known ones: depth comes from the network, the
direction from the camera's ray. A view that nothing can place keeps the depth that the caller has,
with low confidence, and the report says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vmem.arrays import F32
from vmem.cameras import (
    Camera,
    CameraError,
    Cameras,
    check_intrinsics,
    check_pose,
    invert_pose,
    unproject,
)
from vmem.geometry.alignment.cleaning import Neighbour, cleaned, nearest
from vmem.geometry.alignment.pose_scale import PoseScale, scale_from_poses
from vmem.geometry.alignment.predicted import FramedDepth, Predicted, framed
from vmem.geometry.alignment.robust_fit import REACH, DepthLine, Shift, robust_fit, weighted_median
from vmem.memory import MemorySnapshot, grid_size
from vmem.memory.spawn import cell_centres
from vmem.raster import rasterize
from vmem.types import MIN_CONFIDENCE, POINTS_PER_FRAME, PointMapError, PointMaps

Source = Literal["views", "surfels", "step", "poses", "layout", "median", "fallback"]
"""What placed a view: stored views near it, drawn surfels, other views of its step, camera motion,
the caller's own depth (in an empty memory, if a shift is wanted), the convention that median depth
is 1; or nothing did."""

WHERE: dict[Source, str] = {
    "views": "the stored views near it",
    "surfels": "memory's surfels",
    "step": "the step's other views",
    "layout": "the layout",
}
FITTED_VIEWS = 4
"""Stored views, the nearest in pose, to which a new one is fitted."""
FITTED_SAMPLES = 8192
"""Pixels that are fitted at most, evenly spread."""
MIN_OVERLAP = 0.05
"""Share of the image that must show known depth for a fit to it."""
MIN_USABLE = 0.05
"""Share of the image on which the network must be sure of anything at all."""
MIN_AGREEING = 0.4
"""Share of the overlap that a fit must bring within a tenth of what is known."""
MAX_RESIDUAL = 0.15
"""Median relative difference above which a fit is none."""
LOW = 0.2
"""Confidence of memory's depth where the network did not look, and of fallback depth that agrees
with memory, or begins it. No later view is fitted to such depth."""
UNTRUSTED = 0.5 * MIN_CONFIDENCE
"""Confidence of fallback depth elsewhere: too little to link or spawn."""


@dataclass(frozen=True)
class AlignmentConfig:
    """How predictions are fitted."""

    shift: Shift = "none"
    """What the network leaves open beside scale: "depth" or "inverse" for one-image networks."""
    neighbours: int = 2
    """Stored views, and as many of the same step, that each new view is compared with."""


@dataclass(frozen=True)
class ViewAlignment:
    """What was done to one view: ``line`` on its depth · residual: median relative difference that
    is left to what it was fitted to, 0 if that says nothing · overlap: share of the image that it
    was fitted on · reason: why nothing better placed it, or ""."""

    source: Source
    line: DepthLine
    residual: float
    overlap: float
    reason: str = ""


@dataclass(frozen=True)
class AlignmentReport:
    """One ViewAlignment a new frame."""

    views: tuple[ViewAlignment, ...]

    def __str__(self) -> str:
        """One line for a log."""
        parts = []
        for i, view in enumerate(self.views):
            part = f"view {i} by {view.source}"
            if view.source != "fallback":
                shift = f"{view.line.shift:+.3g}" if view.line.shift else ""
                part += f" (scale {view.line.scale:.4g}{shift}, residual {view.residual:.1%})"
            parts.append(part + (f": {view.reason}" if view.reason else ""))
        return "alignment: " + "; ".join(parts)


@dataclass(frozen=True, eq=False)
class Aligned:
    """Point maps of the new frames, and how they came about."""

    maps: PointMaps
    report: AlignmentReport


def align(
    predicted: Predicted,
    cameras: Cameras,
    memory: MemorySnapshot,
    *,
    fallback: F32 | None = None,
    config: AlignmentConfig | None = None,
) -> Aligned:
    """Align T predicted frames with their known ``cameras`` and ``memory``.

    ``fallback`` (T, H, W) f32 z-depth is what a view keeps that cannot be placed; without it, what
    memory shows there, or else its median. Where the network did not look, depth is memory's with
    confidence LOW, else the fallback's with 0. Fallback depth of a view that cannot be placed
    has confidence LOW where memory agrees with it, and in the first view of an empty memory,
    UNTRUSTED elsewhere. The cost does not depend on the number of stored
    views, but for one vectorised pose distance. Bad predictions and impossible cameras end in a
    fallback, never in an exception; PointMapError for arrays of the wrong shape.
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
    for i in np.flatnonzero(job.sound):
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
    """All that placing needs: depth on the frames, and the same on a coarse grid, on which memory
    is drawn and everything is fitted. ``reasons`` collects, for every view, what did not place it.
    """

    given: FramedDepth
    cameras: Cameras
    memory: MemorySnapshot
    fallback: F32 | None
    config: AlignmentConfig
    grid: tuple[int, int]
    depth: F32
    confidence: F32
    sound: NDArray[np.bool_]
    reasons: list[str]

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
        wrong = [_camera_error(camera) for camera in cameras]
        sound = np.array([not error for error in wrong])
        return _Job(
            given,
            cameras,
            memory,
            fallback,
            config,
            grid,
            given.depth[cell],
            given.confidence[cell],
            sound,
            wrong,
        )

    def placed(self, predicted: Predicted) -> list[ViewAlignment | None]:
        """What places each view, None where nothing does (``reasons`` says why)."""
        n = len(self.cameras)
        out: list[ViewAlignment | None] = [None] * n
        usable = self.sound & ((self.confidence >= MIN_CONFIDENCE).mean(axis=(1, 2)) >= MIN_USABLE)
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
            # Someone has to begin; the rest of the step follows.
            first = waiting.pop(0)
            out[first] = self.by_poses(first, poses) or self.by_convention(first, poses.reason)
        while waiting:
            seen = {i: self.from_step(i, out) for i in waiting}
            # Who sees most of what is known comes next.
            i = max(waiting, key=lambda i: int((seen[i] > 0).any(axis=0).sum()))
            waiting.remove(i)
            out[i] = self.fitted(i, seen[i], "step") or self.by_poses(i, poses)
            if out[i] is None:
                self.reasons[i] += f"; {poses.reason or 'nor does its camera tell the scale'}"
        return out

    def stored(self, i: int) -> F32:
        """Depth (J, gh, gw) from view i of what stored views near it saw, 0 where nothing.

        Before the surfels: those are the nearest of all layers that noisy depth has left, and every
        step fitted to them comes nearer. Single views have no such bias.
        """
        camera, out = self.cameras[i].resized(self.grid), []
        for k in nearest(camera.c2w, self.memory.poses, FITTED_VIEWS):
            view = self.memory.views[k]
            grid = grid_size(view.camera.hw, POINTS_PER_FRAME)
            cell = np.ix_(*cell_centres(view.camera.hw, grid))
            # Depth of LOW confidence is no network's.
            depth = np.where(view.confidence[cell] > LOW, view.depth[cell], 0)
            out.append(_splatted(depth, view.camera.resized(grid), camera))
        return np.array(out, np.float32).reshape(-1, *self.grid)

    def drawn(self, i: int) -> F32:
        """Surfels' depth (1, gh, gw) from view i, 0 where there are none."""
        camera = self.cameras[i].resized(self.grid)
        return rasterize(self.memory.surfels, camera, blocks=self.memory.blocks).depth[None]

    def from_step(self, i: int, placed: list[ViewAlignment | None]) -> F32:
        """Depth (J, gh, gw) from view i of what each of J views placed so far shows, 0 where it
        shows nothing. Not the nearest of them: of several noisy depths that is too near."""
        camera, out = self.cameras[i].resized(self.grid), []
        for j, view in enumerate(placed):
            if view is not None:
                depth = view.line.applied(self.depth[j])
                depth[self.confidence[j] < MIN_CONFIDENCE] = 0
                out.append(_splatted(depth, self.cameras[j].resized(self.grid), camera))
        return np.array(out, np.float32).reshape(-1, *self.grid)

    def fitted(self, i: int, known: F32, source: Source) -> ViewAlignment | None:
        """View i fitted to depths (J, gh, gw) known there; None, with a reason, if it cannot be."""
        where = WHERE[source]
        both = (known > 0) & (self.depth[i] > 0) & (self.confidence[i] >= MIN_CONFIDENCE)
        overlap = float(both.any(axis=0).mean()) if len(both) else 0.0
        reason = ""
        if overlap < MIN_OVERLAP or both.sum() < 16:
            reason = f"no overlap with {where}"
        else:
            at = np.flatnonzero(both)
            at = at[np.linspace(0, len(at) - 1, min(len(at), FITTED_SAMPLES)).astype(int)]
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
        """View i by the scale that camera motion tells, if it does and scale is all it lacks."""
        if self.config.shift != "none" or not np.isfinite(poses.scale[i]):
            return None
        line = DepthLine(float(poses.scale[i]))
        return ViewAlignment("poses", line, 0.0, 0.0, self.reasons[i])

    def by_convention(self, i: int, reason: str) -> ViewAlignment:
        """View i, the photo of an empty memory, with a median depth of 1; if it lacks a shift too,
        as near to the caller's depth as it comes, if that is there and alike."""
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
        # The photo must give memory something to stand on; what follows must agree with it.
        begins = len(self.memory.surfels) == 0 and i == 0 and fallback is not None
        shown = np.zeros(camera.hw, np.float32)
        if self.sound[i] and (view.source == "fallback" or not inside.all()):
            blocks = self.memory.blocks
            shown = rasterize(self.memory.surfels, camera, blocks=blocks).depth
        if fallback is None:
            drawn = shown[shown > 0]
            fallback = np.where(shown > 0, shown, np.median(drawn) if len(drawn) else 1.0)
        fine = (fallback > REACH[0]) & (fallback < REACH[1])
        backup = np.where(fine, fallback, 1).astype(np.float32)
        if view.source == "fallback":
            agrees = begins | ((shown > 0) & (np.abs(shown - backup) <= 0.1 * backup))
            confidence = np.where(agrees, LOW, UNTRUSTED) * (fine & self.sound[i])
            return backup, confidence.astype(np.float32)
        depth = view.line.applied(self.given.depth[i])
        confidence = self.given.confidence[i] * (depth > 0)
        filled = ~inside & (shown > 0)
        depth = np.where(filled, shown, np.where(depth > 0, depth, backup))
        return depth, np.where(filled, LOW, confidence).astype(np.float32)


def _camera_error(camera: Camera) -> str:
    try:
        check_pose(camera.c2w)
        check_intrinsics(camera.K)
    except CameraError as error:
        return f"impossible camera ({error})"
    return ""


def _splatted(depth: F32, camera: Camera, onto: Camera) -> F32:
    """Depth (H, W) of ``onto``'s image where pixels of another view fall, 0 elsewhere."""
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
    """Confidence (T, H, W), each view compared with those nearest in pose, old and new."""
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
