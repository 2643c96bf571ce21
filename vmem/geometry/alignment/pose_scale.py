"""Scale from motion: how far the network says the cameras moved, against how far they did.

Each view's camera in the network's frame is where its own points and their copies in that frame
meet, over thousands of points and by confidence; no camera is searched for. Distances between
camera centres then have one common ratio to the true ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vmem.arrays import F64
from vmem.cameras import LARGEST, Similarity, nearest_rotation, similarity
from vmem.geometry.alignment.predicted import Predicted, mapped_confidence
from vmem.geometry.alignment.robust_fit import weighted_median

MIN_BASELINE = 0.02
"""Largest distance between cameras, in median depths, below which motion does not tell scale."""
MIN_DIRECTION = 0.9
"""Mean cosine between predicted and true motions, below which the prediction is not believed."""
MAX_SPREAD = 0.2
"""Median deviation of the log ratios of distances above which they are not."""
MAX_MISFIT = 0.1
"""Distance, in median depths, between a view's points and their moved copies that is a misfit."""
_SAMPLES = 2048
_ROUNDS = 5


@dataclass(frozen=True, eq=False)
class PoseScale:
    """scale (T,) f64 by which each view's own depth becomes the world's, nan where unknown ·
    reason: why there is none at all, or ""."""

    scale: F64
    reason: str = ""


def scale_from_poses(predicted: Predicted, known: F64, usable: NDArray[np.bool_]) -> PoseScale:
    """Scales from known c2w (T, 4, 4), of the views that are ``usable`` (T,); never raises.

    Two views at one place, however turned, tell nothing; nor do motions that contradict the known
    ones. Then there is a reason instead of scales.
    """
    scales = np.full(len(known), np.nan)
    if predicted.points_world is None and predicted.poses is None:
        return PoseScale(scales, "the network gives no common frame")
    found = [
        motion_of(predicted, i) if usable[i] and np.isfinite(known[i]).all() else None
        for i in range(len(known))
    ]
    at = [i for i, motion in enumerate(found) if motion is not None]
    motions = [motion for motion in found if motion is not None]
    depths = [m.scale * _median_depth(predicted, i) for i, m in zip(at, motions, strict=True)]
    poses = [known[i] for i in at]
    if predicted.origin is not None and np.isfinite(predicted.origin).all():
        motions.append(Similarity(1.0, np.eye(3), np.zeros(3)))
        poses.append(predicted.origin)
    if not at or len(motions) < 2:
        return PoseScale(scales, "fewer than two cameras are known to the network")
    turns = [p[:3, :3] @ m.R.T for p, m in zip(poses, motions, strict=True)]
    turn = nearest_rotation(np.sum(turns, axis=0))
    first, second = np.triu_indices(len(motions), 1)
    there = np.array([m.T for m in motions]) @ turn.T
    true = np.array([p[:3, 3] for p in poses])
    there, true = there[first] - there[second], true[first] - true[second]
    moved, distance = np.linalg.norm(there, axis=1), np.linalg.norm(true, axis=1)
    apart = (moved > 1e-9 * max(depths)) & (distance > 1e-9)
    if not apart.any():
        return PoseScale(scales, "the cameras stand too close together to tell scale")
    there, true, moved, distance = (a[apart] for a in (there, true, moved, distance))
    cosine = np.sum(there * true, axis=1) / (moved * distance)
    if distance @ cosine < MIN_DIRECTION * distance.sum():
        return PoseScale(scales, "the network's motions go another way than the cameras'")
    ratio = np.log(distance / moved)
    log_scale = weighted_median(ratio, distance**2)
    if weighted_median(np.abs(ratio - log_scale), distance**2) > MAX_SPREAD:
        return PoseScale(scales, "the network's motions have no common scale")
    common = float(np.exp(log_scale))
    if max(distance) < MIN_BASELINE * common * float(np.median(depths)):
        return PoseScale(scales, "the cameras stand too close together to tell scale")
    scales[at] = [common * motion.scale for motion in motions[: len(at)]]
    return PoseScale(scales)


def motion_of(predicted: Predicted, i: int) -> Similarity | None:
    """View i's camera to the network's frame: its scale is that between own and common points.
    None where they do not fit together, or are not there."""
    sure = _trusted(predicted, i)
    if sure is None:
        return None
    if predicted.points_world is None:
        pose = np.asarray(predicted.poses, np.float64)[i]
        if not np.isfinite(pose).all() or abs(np.linalg.det(pose[:3, :3]) - 1) > 0.1:
            return None
        return Similarity(1.0, nearest_rotation(pose[:3, :3]), pose[:3, 3])
    rows, columns, weight = sure
    own = predicted.points_self[i, rows, columns].astype(np.float64)
    common = predicted.points_world[i, rows, columns].astype(np.float64)
    fine = (np.abs(common) < LARGEST).all(axis=1)
    if fine.sum() < 16:
        return None
    own, common, weight = own[fine], common[fine], weight[fine]
    depth = float(np.median(own[:, 2]))
    keep, middle = weight, np.inf
    found = Similarity(1.0, np.eye(3), np.zeros(3))
    for _ in range(_ROUNDS):
        found = similarity(own, common, keep)
        if not (np.isfinite(found.scale) and found.scale > 1e-6):
            return None
        off = np.linalg.norm(found.scale * own @ found.R.T + found.T - common, axis=1)
        middle = weighted_median(off, weight)
        # Weights of Cauchy's: an outlier's say falls with the square of its distance.
        keep = weight / (1 + np.square(off / max(2 * middle, 1e-6 * found.scale * depth)))
    return found if middle <= MAX_MISFIT * found.scale * depth else None


def _median_depth(predicted: Predicted, i: int) -> float:
    sure = _trusted(predicted, i)
    assert sure is not None
    return float(np.median(predicted.points_self[i, sure[0], sure[1], 2]))


def _trusted(predicted: Predicted, i: int) -> tuple[NDArray[np.intp], NDArray[np.intp], F64] | None:
    """(rows, columns, weight) of at most _SAMPLES pixels with something in them; None if few."""
    points = predicted.points_self[i]
    weight = mapped_confidence(predicted.confidence[i])
    z = points[..., 2]
    fine = (np.abs(points) < LARGEST).all(axis=-1) & (z > 1 / LARGEST) & (weight > 0)
    rows, columns = np.nonzero(fine)
    if len(rows) < 16:
        return None
    some = np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLES)).astype(int)
    rows, columns = rows[some], columns[some]
    return rows, columns, weight[rows, columns].astype(np.float64)
