"""Cues for floor, walls and ceiling in the photo, gathered on the level grid.

Four cues, in the order of their worth: the *floor likelihood*, a colour and texture classifier
trained on the photo itself (bottom rows are floor, what lies above the horizon is not); *edges*,
since creases between surfaces show; *line orientation*, since a line that points up cannot lie on
the floor, nor one along the room on its back wall; and *sky*. The first two follow Hoiem et al.,
"Automatic photo pop-up" (2005), the third Hedau et al., "Recovering the spatial layout of
cluttered rooms" (2009).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, UInt8
from numpy.typing import NDArray

from vmem.arrays import F32, F64, U8
from vmem.cameras import Camera
from vmem.geometry.layout.level_grid import LevelGrid, level_points, level_rotation
from vmem.geometry.layout.lines import interpretation_normals, segment_lengths

FEATURE_SIDE = 224
"""Shorter side, in pixels, at which colour and texture are measured."""
LINE_TOLERANCE = 0.03
"""Radians by which a segment may miss an axis of the room and still be taken as parallel to it."""
FLOOR_CLUSTERS = 4
OTHER_CLUSTERS = 6


class Axis(IntEnum):
    """Axes of a room: across it, up and down, and along its depth."""

    ACROSS = 0
    VERTICAL = 1
    ALONG = 2


@dataclass(frozen=True, eq=False)
class Evidence:
    """Cues on a level grid of m rows and n columns."""

    grid: LevelGrid
    floor: Float[np.ndarray, "m n"]
    """From -1, certainly not floor, to 1, certainly floor; 0 above the horizon and outside
    of the photo."""
    edge_u: Float32[np.ndarray, "m n"]
    """Brightness gradient along u; the strongest gradient is about 1."""
    edge_v: Float32[np.ndarray, "m n"]
    """Brightness gradient along v."""
    texture: float
    """Mean gradient magnitude: the edge strength that any curve meets by chance."""
    sky: Bool[np.ndarray, "H W"]
    """Where the sky is, at the photo's size."""


def gather_evidence(rgb: UInt8[np.ndarray, "H W 3"], camera: Camera, grid: LevelGrid) -> Evidence:
    """Evidence of a photo taken by ``camera``, on ``grid``."""
    scale = min(1.0, FEATURE_SIDE / min(rgb.shape[:2]))
    small = rgb
    if scale < 1:
        resized = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        small = resized.astype(np.uint8)

    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    soft = cv2.GaussianBlur(grid.sample(gray), (0, 0), 1.0)
    edge_u = cv2.Sobel(soft, cv2.CV_32F, 1, 0)
    edge_v = cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    strength = np.hypot(edge_u, edge_v)
    inner = cv2.erode(grid.inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    # Contrast below a few grey levels is no edge, however flat the rest of the photo.
    strongest = max(float(np.percentile(strength[inner], 97)), 16.0) if inner.any() else 1.0
    gain = np.where(inner, np.minimum(1.0, strongest / np.maximum(strength, 1e-6)), 0) / strongest
    edge_u, edge_v = edge_u * gain, edge_v * gain

    return Evidence(
        grid=grid,
        floor=_floor_likelihood(grid.sample(_appearance(small)), grid),
        edge_u=edge_u.astype(np.float32),
        edge_v=edge_v.astype(np.float32),
        texture=float(np.hypot(edge_u, edge_v)[inner].mean()) if inner.any() else 0.0,
        sky=_find_sky(small, rgb.shape[:2]),
    )


def _appearance(rgb: U8) -> F32:
    """Colour and texture (H, W, 4) in units of about one just noticeable difference each."""
    lab = cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32), (0, 0), 1.5)
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    mean = cv2.GaussianBlur(gray, (0, 0), 2.5)
    variance = cv2.GaussianBlur(gray * gray, (0, 0), 2.5) - mean * mean
    roughness = np.sqrt(np.maximum(variance, 0))
    # Light falls unevenly on one floor, so brightness counts less than hue.
    return np.dstack([lab[..., 0] * 0.5, lab[..., 1] * 1.3, lab[..., 2] * 1.3, roughness * 0.7])


def _floor_likelihood(appearance: F32, grid: LevelGrid) -> NDArray[np.floating]:
    below = np.broadcast_to(grid.v[:, None] > 0.02, grid.inside.shape) & grid.inside
    floor_seed = below & (grid.row > 0.86)
    other_seed = grid.inside & (grid.v[:, None] < -0.06)
    if other_seed.sum() < OTHER_CLUSTERS * 10:
        other_seed = grid.inside & (grid.row < 0.12)
    if floor_seed.sum() < FLOOR_CLUSTERS * 10 or other_seed.sum() < OTHER_CLUSTERS * 10:
        return np.zeros(grid.inside.shape)
    floor_cost = _mixture_cost(appearance, appearance[floor_seed], FLOOR_CLUSTERS)
    other_cost = _mixture_cost(appearance, appearance[other_seed], OTHER_CLUSTERS)
    certainty = np.tanh(np.clip((other_cost - floor_cost) * 0.35, -10, 10))
    return np.where(below, certainty, 0.0)


def _mixture_cost(appearance: F32, samples: F32, clusters: int) -> F32:
    """Negative log-likelihood, up to a constant, under a mixture of round Gaussians."""
    spread = 9.0
    samples = samples[:: max(1, len(samples) // 2000)]
    centres, weights = _cluster(samples, clusters)
    costs = [
        ((appearance - centre) ** 2).sum(-1) / (2 * spread**2) - math.log(weight + 1e-3)
        for centre, weight in zip(centres, weights, strict=True)
    ]
    return np.min(costs, axis=0)


def _cluster(samples: F32, clusters: int) -> tuple[F32, F64]:
    """k-means started from brightness quantiles, so that no random number is drawn.

    Returns centres (clusters, C) and the share of samples in each.
    """
    order = np.argsort(samples[:, 0], kind="stable")
    starts = ((np.arange(clusters) + 0.5) / clusters * len(samples)).astype(int)
    centres = samples[order[starts]]
    nearest = np.zeros(len(samples), int)
    for _ in range(12):
        nearest = ((samples[:, None] - centres) ** 2).sum(-1).argmin(1)
        for k in range(clusters):
            if (nearest == k).any():
                centres[k] = samples[nearest == k].mean(0)
    return centres, np.bincount(nearest, minlength=clusters) / len(samples)


def _find_sky(rgb: U8, hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Smooth blue or white regions that touch the top of the photo, at size ``hw``."""
    red, green, blue = (rgb[..., i].astype(np.float32) for i in range(3))
    bright, dark = rgb.max(-1).astype(np.float32), rgb.min(-1).astype(np.float32)
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    roughness = cv2.GaussianBlur(np.abs(cv2.Laplacian(gray, cv2.CV_32F)), (0, 0), 2.0)
    is_blue = (blue > red + 12) & (blue >= green - 2) & (bright > 90)
    is_white = (bright > 205) & (bright - dark < 0.16 * bright) & (roughness < 4)
    # White alone may be a wall; beside enough blue it is a cloud, and clouds may be rough.
    cloudy = is_blue.mean() > 0.06
    candidate = ((is_blue | is_white) & (roughness < 14)) if cloudy else is_white
    closing = np.ones((5, 5), np.uint8)
    candidate = cv2.morphologyEx(candidate.astype(np.uint8), cv2.MORPH_CLOSE, closing)

    count, regions = cv2.connectedComponents(candidate)
    sky = np.zeros(regions.shape, np.float32)
    for index in range(1, count):
        region = regions == index
        # Without a trace of blue it is as likely a white ceiling.
        blueish = (blue - red)[region].mean() > 5
        if blueish and region.mean() > 0.02 and region[:3].mean() > 0.1:
            sky[region] = 1
    return cv2.resize(sky, hw[::-1], interpolation=cv2.INTER_LINEAR) > 0.5


def line_maps(
    segments: Float64[np.ndarray, "N 4"], camera: Camera, grid: LevelGrid, yaw: float
) -> Float64[np.ndarray, "3 m n"]:
    """For each Axis: 1 where a segment parallel to it runs, fading to 0 around it.

    The room's depth axis is at ``yaw`` (radians, positive to the right) from the heading.
    """
    maps = np.zeros((3, *grid.inside.shape), np.float32)
    if not len(segments):
        return maps.astype(np.float64)
    normals = interpretation_normals(segments, camera.K) @ level_rotation(camera).T
    c, s = math.cos(yaw), math.sin(yaw)
    axes = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    miss = np.abs(normals @ axes.T)
    nearest = miss.argmin(1)

    start = level_points(segments[:, :2], camera)
    end = level_points(segments[:, 2:], camera)
    m, n = grid.inside.shape
    cells = segment_lengths(np.hstack([start, end])) / grid.step
    for i in np.flatnonzero(miss.min(1) < LINE_TOLERANCE):
        t = np.linspace(0, 1, max(2, int(2 * cells[i])))[:, None]
        points = start[i] * (1 - t) + end[i] * t
        columns = np.rint((points[:, 0] - grid.u[0]) / grid.step).astype(int).clip(0, n - 1)
        rows = np.rint((points[:, 1] - grid.v[0]) / grid.step).astype(int).clip(0, m - 1)
        maps[nearest[i], rows, columns] = 1
    blurred = np.stack([cv2.GaussianBlur(maps[axis], (0, 0), 1.5) for axis in Axis])
    return np.minimum(3 * blurred, 1).astype(np.float64)
