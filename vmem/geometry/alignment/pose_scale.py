"""Scale from motion: how far the network says the cameras moved, against how far they did.

Notation, for view i: ``x`` its points in its own camera frame, ``y`` the same points in the common
frame of the network, ``y = m_i R_i x + T_i``. So ``T_i`` is the camera's centre in the common
frame and ``m_i`` the ratio of the two units. ``C_i`` is the centre that is known. If the network is
right there is one scale S and one rotation Q with ``C_i - C_j = S Q (T_i - T_j)`` for all pairs,
and a view's own depth becomes the world's by ``S m_i``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import NDArray

from vmem.arrays import F64
from vmem.cameras import LARGEST, Similarity, nearest_rotation, similarity
from vmem.geometry.alignment.predicted import Predicted, mapped_confidence
from vmem.geometry.alignment.robust_fit import weighted_median

MIN_BASELINE = 0.02
"""Largest distance between cameras, in median depths, below which motion does not tell scale."""
MIN_DIRECTION = 0.9
"""Mean cosine between predicted and known motions below which the prediction is rejected."""
MAX_SPREAD = 0.2
"""Median deviation of the log ratios of distances above which it is rejected."""
MAX_MISFIT = 0.1
"""Median distance, in median depths, between ``y`` and the moved ``x`` above which they do not fit
together."""
_SAMPLES = 2048
_ROUNDS = 5


@dataclass(frozen=True, eq=False)
class PoseScale:
    """What camera motion says of the scale."""

    scale: Float64[np.ndarray, " T"]
    """Factor from each view's own depth to world units, nan where unknown."""
    reason: str = ""
    """Why there is none at all, or ""."""


def scale_from_poses(
    predicted: Predicted, known: Float64[np.ndarray, "T 4 4"], usable: Bool[np.ndarray, " T"]
) -> PoseScale:
    """Scales of the views that are ``usable``, from their known c2w.

    Never raises. Cameras at one place, however turned, do not determine the scale, nor do motions
    that contradict the known ones: then there is a reason in place of scales.
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
    # Q: the mean over views of (known rotation) R_i^T, which all agree if the network is right.
    turns = [p[:3, :3] @ m.R.T for p, m in zip(poses, motions, strict=True)]
    turn = nearest_rotation(np.sum(turns, axis=0))
    # Q (T_i - T_j) and C_i - C_j for all pairs i < j.
    first, second = np.triu_indices(len(motions), 1)
    there = np.array([m.T for m in motions]) @ turn.T
    true = np.array([p[:3, 3] for p in poses])
    there, true = there[first] - there[second], true[first] - true[second]
    moved, distance = np.linalg.norm(there, axis=1), np.linalg.norm(true, axis=1)
    apart = (moved > 1e-9 * max(depths)) & (distance > 1e-9)
    if not apart.any():
        return PoseScale(scales, "the cameras stand too close together to tell scale")
    there, true, moved, distance = (a[apart] for a in (there, true, moved, distance))
    # Directions, each weighted by its known length: long baselines say more.
    cosine = np.sum(there * true, axis=1) / (moved * distance)
    if distance @ cosine < MIN_DIRECTION * distance.sum():
        return PoseScale(scales, "the network's motions go another way than the cameras'")
    # log S is the median of log(|C_i - C_j| / |T_i - T_j|); the error of a ratio falls with its
    # baseline, hence the squared weight.
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
    """(m_i, R_i, T_i) of view i: its own points to the common frame. None where there are too few
    confident points, or they do not fit together."""
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
        # Cauchy weights, 1 / (1 + (r / 2 median r)^2): outliers lose their influence.
        keep = weight / (1 + np.square(off / max(2 * middle, 1e-6 * found.scale * depth)))
    return found if middle <= MAX_MISFIT * found.scale * depth else None


def _median_depth(predicted: Predicted, i: int) -> float:
    sure = _trusted(predicted, i)
    assert sure is not None
    return float(np.median(predicted.points_self[i, sure[0], sure[1], 2]))


def _trusted(predicted: Predicted, i: int) -> tuple[NDArray[np.intp], NDArray[np.intp], F64] | None:
    """(rows, columns, weight) of at most _SAMPLES pixels with finite points before the camera; None
    if there are fewer than 16."""
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
