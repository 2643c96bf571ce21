"""What a stored view truly shows of a target: by exact depth, without surfels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8
from numpy.typing import NDArray

from vmem.cameras import Camera, Cameras, unproject
from vmem.worlds.backend import World, render

TOLERANCE = 0.02
"""Relative depth difference up to which two rays met the same point."""
BLUR = 1.5
"""A view shows a point sharply if it stood at most this many times as far away as the target."""
NEAR = 1e-3


@dataclass(frozen=True, eq=False)
class Look:
    """The exact view of a camera."""

    camera: Camera
    """At the same (H, W)."""
    rgb: UInt8[np.ndarray, "H W 3"]
    """Colours."""
    depth: Float32[np.ndarray, "H W"]
    """z-depth in scene units."""
    hit: Bool[np.ndarray, "H W"]
    """False in the sky."""
    cosine: Float32[np.ndarray, "H W"]
    """Between the surface's normal and the way back to the eye."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What V views show of the P solid pixels of a query's targets."""

    visible: Bool[np.ndarray, "V P"]
    """Whether the view shows the pixel."""
    sharp: Bool[np.ndarray, "V P"]
    """Visible, and from not much farther away."""
    weight: Float64[np.ndarray, " P"]
    """The vote cos / (1 + depth) that an ideal surfel would give in that pixel."""


def look(world: World, camera: Camera) -> Look:
    """Render a camera's exact view (without shadows: only geometry counts here)."""
    seen = render(world, camera, shadows=False)
    points = unproject(seen.depth, camera).astype(np.float64)
    to_eye = camera.position - points
    to_eye /= np.linalg.norm(to_eye, axis=-1, keepdims=True)
    cosine = np.abs(np.sum(seen.normal * to_eye, axis=-1)).astype(np.float32)
    return Look(camera, seen.rgb, seen.depth, seen.hit, cosine)


def sees(
    view: Look, points: Float64[np.ndarray, "P 3"], tolerance: float = TOLERANCE
) -> Bool[np.ndarray, " P"]:
    """Which world points a view truly shows.

    A point shows if it falls into the image and its depth agrees within ``tolerance`` with the
    view's: with the nearest pixel's, or with what the four pixels around it interpolate. Inverse
    depth is linear on planes, so the second is right on slanted walls and the first at edges.
    """
    h, w = view.camera.hw
    w2c, K = view.camera.w2c, view.camera.K
    local = points @ w2c[:3, :3].T + w2c[:3, 3]
    z = local[:, 2]
    ahead = z > NEAR
    depth = np.where(ahead, z, 1.0)
    x = K[0, 0] * local[:, 0] / depth + K[0, 2]
    y = K[1, 1] * local[:, 1] / depth + K[1, 2]
    inside = ahead & (x >= 0) & (x < w) & (y >= 0) & (y < h)
    out = np.zeros(len(points), bool)
    x, y, z = x[inside], y[inside], z[inside]
    nearest = view.depth[y.astype(int), x.astype(int)]
    between = 1 / _bilinear(1 / view.depth, x - 0.5, y - 0.5)
    out[inside] = (np.abs(nearest - z) <= tolerance * z) | (np.abs(between - z) <= tolerance * z)
    return out


def _bilinear(image: NDArray, x: NDArray, y: NDArray) -> NDArray:
    """(P,) values of an image (H, W) between its pixels, at indices (y, x) clamped to it."""
    h, w = image.shape
    x, y = np.clip(x, 0, w - 1), np.clip(y, 0, h - 1)
    left, top = np.minimum(x.astype(int), max(w - 2, 0)), np.minimum(y.astype(int), max(h - 2, 0))
    right, bottom = np.minimum(left + 1, w - 1), np.minimum(top + 1, h - 1)
    u, v = x - left, y - top
    above = (1 - u) * image[top, left] + u * image[top, right]
    below = (1 - u) * image[bottom, left] + u * image[bottom, right]
    return (1 - v) * above + v * below


def truth(targets: Sequence[Look], views: Sequence[Look]) -> Truth:
    """What ``views`` show of the solid pixels of ``targets``, all of them in one row."""
    solid = [unproject(target.depth, target.camera)[target.hit] for target in targets]
    points = np.concatenate(solid).astype(np.float64)
    far = np.concatenate(
        [
            np.linalg.norm(one - target.camera.position, axis=1)
            for one, target in zip(solid, targets, strict=True)
        ]
    )
    visible = np.stack([sees(view, points) for view in views])
    sharp = np.stack(
        [
            shown & (np.linalg.norm(points - view.camera.position, axis=1) <= BLUR * far)
            for shown, view in zip(visible, views, strict=True)
        ]
    )
    weight = np.concatenate(
        [target.cosine[target.hit] / (1 + target.depth[target.hit]) for target in targets]
    )
    return Truth(visible, sharp, weight.astype(np.float64))


def looks(world: World, cameras: Cameras, side: int) -> list[Look]:
    """Exact views of cameras, drawn with ``side`` pixels along the longer side."""
    scale = side / max(cameras.hw)
    hw = (max(1, round(cameras.hw[0] * scale)), max(1, round(cameras.hw[1] * scale)))
    return [look(world, camera) for camera in cameras.resized(hw)]
