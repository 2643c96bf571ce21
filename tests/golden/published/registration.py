"""Registration in the published alignment: focal lengths from points, cameras by PnP.

Source: published code; the numbers in brackets are the sections of its mathematics
(docs/differences.md): pair transforms (8.2), focal length (8.5.4), PnP
(8.5.5), registration of camera centres (8.6.1).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vmem.arrays import F32, F64
from vmem.cameras import Similarity, invert_pose, similarity

MIN_CONFIDENCE = 3.0
"""Pixels above it enter PnP."""
TENTATIVE_FOCALS = 21


def coded(transform: Similarity) -> F32:
    """(8,) f32: quaternion xyzw, sign(t) log1p|t| of t = T / scale, log scale (8.2)."""
    t = transform.T / transform.scale
    parts = [
        quaternion(transform.R),
        np.sign(t) * np.log1p(np.abs(t)),
        [np.log(transform.scale)],
    ]
    return np.concatenate(parts).astype(np.float32)


def quaternion(R: F64) -> F64:
    """(4,) xyzw of a rotation (3, 3), its component of largest magnitude positive."""
    q = Rotation.from_matrix(R).as_quat()
    return q * (1 if q[np.argmax(np.abs(q))] > 0 else -1)


def weiszfeld_focal(points: F32) -> float:
    """Focal length in pixels of a point map (H, W, 3) with a centred principal point (8.5.4)."""
    h, w = points.shape[:2]
    columns, rows = np.meshgrid(np.arange(w), np.arange(h))
    offset = np.stack([columns - w / 2, rows - h / 2], axis=-1).reshape(-1, 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = points[..., :2].astype(np.float64) / points[..., 2:]
    slope = np.where(np.isfinite(slope), slope, 0).reshape(-1, 2)
    along, square = np.sum(offset * slope, axis=1), np.sum(slope * slope, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        focal = along.mean() / square.mean()
        for _ in range(10):
            distance = np.maximum(np.linalg.norm(offset - focal * slope, axis=1), 1e-8)
            focal = (along / distance).mean() / (square / distance).mean()
    return float(max(focal, 0))


def pnp(points: F32, confidence: F32) -> tuple[float, F64] | None:
    """(focal, c2w (4, 4)) of the camera that sees point map (H, W, 3) in its own pixels; None where
    fewer than four are confident, or no tentative focal length finds a camera (8.5.5)."""
    h, w = confidence.shape
    rows, columns = np.nonzero(confidence > MIN_CONFIDENCE)
    if len(rows) < 4:
        return None
    known = points[rows, columns].astype(np.float32)
    pixels = np.stack([columns, rows], axis=1).astype(np.float32)
    best: tuple[int, float, F64] | None = None
    for focal in np.geomspace(max(w, h) / 2, 3 * max(w, h), TENTATIVE_FOCALS):
        K = np.array([[focal, 0, w / 2], [0, focal, h / 2], [0, 0, 1]], np.float32)
        try:
            found, turn, shift, inliers = cv2.solvePnPRansac(
                known,
                pixels,
                K,
                np.zeros(0),
                iterationsCount=10,
                reprojectionError=5,
                flags=cv2.SOLVEPNP_SQPNP,
            )
        except cv2.error:
            continue
        if found and (best is None or len(inliers) > best[0]):
            w2c = np.eye(4)
            w2c[:3, :3] = cv2.Rodrigues(turn)[0]
            w2c[:3, 3] = shift.ravel()
            best = len(inliers), float(focal), invert_pose(w2c)
    return None if best is None else best[1:]


def register_poses(estimated: NDArray[np.floating], known: NDArray[np.floating]) -> Similarity:
    """The similarity from estimated c2w (N, 4, 4) to known ones, by centres and points a little way
    ahead of them (8.6.1). Where all estimates coincide its scale is anything at all."""
    found = similarity(_heads(estimated), _heads(known))
    return Similarity(1.0, found.R, found.T) if abs(found.scale) < 1e-6 else found


def _heads(c2w: NDArray[np.floating]) -> F64:
    c2w = c2w.astype(np.float64)
    centres = c2w[:, :3, 3]
    first, second = np.triu_indices(len(c2w), 1)
    apart = np.linalg.norm(centres[first] - centres[second], axis=1)
    ahead = max(float(np.median(apart)) / 100, 1e-6)
    return np.concatenate([centres, centres + ahead * c2w[:, :3, 2]])
