"""Straight line segments of a photo, and what they say about gravity and the walls' directions.

A segment and the camera centre span a plane, the segment's *interpretation plane*. Its normal is
at a right angle to the direction in space of any line that could have made the segment, so all
segments of parallel lines have normals at a right angle to one common direction: the vanishing
point. Source: Barnard, "Interpreting perspective images" (1983); Manhattan frames by Coughlan and
Yuille (1999).
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from vmem.arrays import F64

DETECTION_SIDE = 400
"""Shorter side, in pixels, of the largest image in which segments are searched."""
MIN_LENGTH = 0.035
"""Shortest segment kept, in shorter image sides."""
ANGLE_TOLERANCE = 0.012
"""Radians by which a segment may miss a vanishing point and still count for about a third."""
REFINEMENT_REACH = math.radians(3)
"""Largest angle between the best of the voting grid's directions and the refined one."""
MIN_SEGMENTS = 6
"""With fewer candidate segments nothing is concluded."""


def detect_segments(rgb: UInt8[np.ndarray, "H W 3"]) -> Float64[np.ndarray, "N 4"]:
    """Segments ``x0 y0 x1 y1`` in pixels of ``rgb``, short ones left out.

    Source: LSD, von Gioi et al. (2010), OpenCV's implementation.
    """
    short_side = min(rgb.shape[:2])
    scale = min(1.0, DETECTION_SIDE / short_side)
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    found = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(gray)[0]
    if found is None:
        return np.zeros((0, 4))
    segments = found.reshape(-1, 4).astype(np.float64) / scale
    return segments[segment_lengths(segments) >= MIN_LENGTH * short_side]


def segment_lengths(segments: Float64[np.ndarray, "N 4"]) -> Float64[np.ndarray, " N"]:
    """Lengths of segments, in their unit."""
    return np.hypot(segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1])


def interpretation_normals(
    segments: Float64[np.ndarray, "N 4"], K: Float64[np.ndarray, "3 3"]
) -> Float64[np.ndarray, "N 3"]:
    """Unit normals, camera frame, of the planes through the camera and each segment."""
    focal = np.array([K[0, 0], K[1, 1]])
    centre = K[:2, 2]
    start = np.pad((segments[:, :2] - centre) / focal, ((0, 0), (0, 1)), constant_values=1)
    end = np.pad((segments[:, 2:] - centre) / focal, ((0, 0), (0, 1)), constant_values=1)
    normals = np.cross(start, end)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / np.maximum(length, 1e-12)


def down_direction(
    pitch: Float64[np.ndarray, "*#batch"] | float, roll: Float64[np.ndarray, "*#batch"] | float
) -> Float64[np.ndarray, "*batch 3"]:
    """Gravity in the frame of a camera pitched up by ``pitch`` and rolled by ``roll``."""
    parts = (np.sin(roll) * np.cos(pitch), np.cos(roll) * np.cos(pitch), -np.sin(pitch))
    return np.stack(np.broadcast_arrays(*parts), axis=-1)


def find_gravity(
    segments: Float64[np.ndarray, "N 4"], K: Float64[np.ndarray, "3 3"]
) -> tuple[Float64[np.ndarray, " 3"], float]:
    """Gravity as a unit vector in the camera frame, and a confidence in 0..1.

    The upright segments vote for pitch (within 32 degrees) and roll (within 8) on a grid of one
    degree, with a mild preference for a level camera; weighted least squares refines the winner.
    The confidence is the share of upright segment length that meets the winner, less if all that
    meets it is shorter together than the focal length (about one shorter image side).
    """
    level = np.array([0.0, 1.0, 0.0])
    lean = np.arctan2(
        np.abs(segments[:, 2] - segments[:, 0]), np.abs(segments[:, 3] - segments[:, 1])
    )
    upright = segments[lean < math.radians(25)]
    if len(upright) < MIN_SEGMENTS:
        return level, 0.0
    normals = interpretation_normals(upright, K)
    lengths = segment_lengths(upright)

    pitch, roll = np.meshgrid(np.radians(np.arange(-32, 33)), np.radians(np.arange(-8, 9)))
    candidates = down_direction(pitch.ravel(), roll.ravel())
    votes = np.exp(-((normals @ candidates.T / ANGLE_TOLERANCE) ** 2))
    prior = np.exp(-((pitch.ravel() / math.radians(25)) ** 2))
    prior = prior * np.exp(-((roll.ravel() / math.radians(5)) ** 2))
    support = lengths @ votes
    winner = int(np.argmax(support * prior))
    evidence = min(1.0, float(support[winner] / K[0, 0]))
    confidence = evidence * float(support[winner] / lengths.sum())
    return _refine_vanishing_point(candidates[winner], normals, lengths), confidence


def _refine_vanishing_point(start: F64, normals: F64, lengths: F64) -> F64:
    # The small ridge keeps pitch and roll near level where the segments leave them open.
    ridge = np.diag([1.0, 0.0, 1.0]) * 2e-5
    direction = start
    for _ in range(3):
        weight = lengths * np.exp(-((normals @ direction / ANGLE_TOLERANCE) ** 2))
        scatter = (normals * weight[:, None]).T @ normals + ridge * weight.sum()
        direction = np.linalg.eigh(scatter)[1][:, 0]
        direction = direction * (1 if direction[1] >= 0 else -1)
    # Segments that nearly line up leave one angle free, and the refinement slides along it.
    return direction if direction @ start > math.cos(REFINEMENT_REACH) else start


def wall_yaws(
    segments: Float64[np.ndarray, "N 4"],
    K: Float64[np.ndarray, "3 3"],
    to_level: Float64[np.ndarray, "3 3"],
) -> list[float]:
    """Likely yaws (radians, best first) of a room's depth axis against the camera's heading.

    ``to_level`` turns camera vectors into the level frame. Every segment that could be a
    horizontal line has one horizontal direction, known modulo a right angle if it belongs to one
    of two perpendicular walls; the yaws are the two highest peaks of the length-weighted histogram
    of these directions, each in the one or two forms that lie within 50 degrees.
    """
    normals = interpretation_normals(segments, K) @ to_level.T
    tilted = np.abs(normals[:, 1]) > 0.05
    if tilted.sum() < MIN_SEGMENTS:
        return []
    normals = normals[tilted]
    lengths = segment_lengths(segments)[tilted]
    # cross(normal, down) in level coordinates: the horizontal direction within the plane.
    direction = np.degrees(np.arctan2(-normals[:, 2], normals[:, 0])) % 90
    histogram = np.histogram(direction, 90, (0, 90), weights=lengths)[0]
    kernel = np.exp(-((np.arange(-4, 5) / 1.5) ** 2))
    smooth = np.convolve(np.pad(histogram, 4, mode="wrap"), kernel, mode="valid")

    yaws: list[float] = []
    for _ in range(2):
        peak = int(np.argmax(smooth))
        for yaw in (peak + 0.5, peak + 0.5 - 90):
            if abs(yaw) <= 50:
                yaws.append(math.radians(yaw))
        distance = np.abs((np.arange(90) - peak + 45) % 90 - 45)
        smooth = np.where(distance <= 8, 0.0, smooth)
    return yaws
