"""The world beyond the photo: a mirrored continuation in 3-D around the anchor camera.

Seen from the anchor, every direction folds back into the photo (`fold`). Colour and horizontal
range come from the folded direction, so the scene continues without a step across the border,
walls meet walls, and a floor below the photo stays the plane that it is. The continuation depends
on the photo, its depth and the seed only: coming back shows the same thing.

Geometry is kept as six depth maps, the faces of a cube around the anchor, and is warped as any
view; colours are looked up in the photo itself, at its own resolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64

from vmem.arrays import F32, F64
from vmem.cameras import Camera, pixel_rays, rotation_x, rotation_y, unproject
from vmem.generation.preview.fold import (
    MAX_DROP,
    Fold,
    Folded,
    border_drop,
    fold_directions,
    make_fold,
    photo_index,
    tile_floor,
)
from vmem.generation.preview.texture import Texture, accumulate, make_texture, smooth_pixels
from vmem.generation.preview.warp import tear_ratio, warp_depth
from vmem.types import View

FACE_SIZE = 384
"""Largest side of a cube face in pixels."""
FLOOR_QUANTILE = 0.98
"""Share of the anchor's points that lie above the floor; the rest are taken to be noise."""
_FACE_TAN = 1.05
"""Tangent of half a face's field of view: a little over 45°, so that faces overlap."""
_TOP_BAND = 0.85
"""Share of the top border's elevation down to which the slope of the ceiling is measured."""


@dataclass(frozen=True, eq=False)
class Extension:
    """An anchor's continuation in all directions."""

    fold: Fold
    """How directions fold into the photo."""
    texture: Texture
    """The photo."""
    confidence: Float32[np.ndarray, "H W"]
    """Confidence in the photo's depth."""
    position: Float64[np.ndarray, " 3"]
    """Position of the anchor camera, world."""
    floor: float
    """World y of the floor plane."""
    faces: tuple[tuple[Camera, Float32[np.ndarray, "n n"]], ...]
    """Six cameras, each with its z-depth, finite and positive."""


@dataclass(frozen=True, eq=False)
class _Relief:
    """The photo's geometry for look-ups."""

    inverse_depth: F32
    """(H, W) f32."""
    smooth: F32
    """(H, W) f32: 1 where the neighbouring pixels lie on one surface, 0 elsewhere."""


def extend(anchor: View, seed: int) -> Extension:
    """The continuation of ``anchor``; ``seed`` varies the widths of the mirrored tiles."""
    fold = make_fold(anchor.camera, seed)
    floor = floor_height(anchor)
    relief = _relief(anchor)
    camera_height = floor - float(anchor.camera.position[1])
    slope = _ceiling_slope(fold, relief, anchor.camera)
    size = int(np.clip(round(1.2 * anchor.camera.K[0, 0]), 32, FACE_SIZE))
    faces = tuple(
        (face, _face_depth(face, fold, relief, camera_height, slope))
        for face in _cube_cameras(fold, anchor.camera.position, size)
    )
    # Depth discontinuities of the photo do not matter in its mirrored tiles: one surface.
    texture = make_texture(anchor.rgb, np.ones(anchor.depth.shape, np.float32), 2.0)
    confidence = np.ascontiguousarray(anchor.confidence, np.float32)
    return Extension(fold, texture, confidence, anchor.camera.position, floor, faces)


def render_depth(extension: Extension, camera: Camera) -> Float32[np.ndarray, "h w"]:
    """z-depth of the continuation in ``camera``; 0 where it shows none."""
    depth = np.zeros(camera.hw, np.float32)
    for face, face_depth in extension.faces:
        if _is_out_of_sight(face, face_depth, camera):
            continue
        warped = warp_depth(face_depth, face, camera).depth
        nearer = (warped > 0) & ((depth == 0) | (warped < depth))
        depth[nearer] = warped[nearer]
    return depth


@dataclass(frozen=True, eq=False)
class Beyond:
    """Pixels of a camera's picture that the continuation fills."""

    extension: Extension
    wanted: Bool[np.ndarray, "h w"]
    """Which pixels."""
    directions: Float64[np.ndarray, "n 3"]
    """From the anchor to the wanted pixels' surfaces, world."""
    folded: Folded
    """These directions folded into the photo."""
    uv: Float32[np.ndarray, "n 2"]
    """Where they look in the photo, in pixel indices."""

    @staticmethod
    def at(
        extension: Extension,
        camera: Camera,
        depth: Float32[np.ndarray, "h w"],
        wanted: Bool[np.ndarray, "h w"],
    ) -> Beyond:
        """The ``wanted`` pixels of ``camera``, whose z-depth is ``depth``."""
        directions = _points(depth, camera, wanted) - extension.position
        folded = fold_directions(extension.fold, directions)
        uv = photo_index(extension.fold, folded.azimuth, folded.content_drop)[0]
        return Beyond(extension, wanted, directions, folded, uv)

    def color(self) -> Float32[np.ndarray, "h w 3"]:
        """Colour in [0, 255] where wanted, else 0."""
        fold, wanted = self.extension.fold, self.wanted
        tile_azimuth, tile_drop, tile_share = tile_floor(fold, self.directions, self.folded)
        rgb = np.zeros((*wanted.shape, 3), np.float32)
        self._add(rgb, self.uv, 1 - tile_share)
        if tile_share.any():
            self._add(rgb, photo_index(fold, tile_azimuth, tile_drop)[0], tile_share)
        return np.clip(rgb, 0, 255, out=rgb)

    def confidence(self) -> Float32[np.ndarray, "h w"]:
        """Confidence in the depth where wanted, else 0.

        It is the photo's confidence in the folded direction, so that sky continues as sky.
        """
        confidence = np.zeros(self.wanted.shape, np.float32)
        if len(self.uv):
            found = _look_up(self.extension.confidence, self.uv, cv2.INTER_NEAREST)
            confidence[self.wanted] = found
        return confidence

    def _add(self, rgb: F32, uv: F32, share: F64) -> None:
        """Add the photo at ``uv`` to the wanted pixels, each by its share."""
        index = np.zeros((*self.wanted.shape, 2), np.float32)
        index[self.wanted] = uv
        weight = np.zeros(self.wanted.shape, np.float32)
        weight[self.wanted] = share
        accumulate(rgb, weight, self.extension.texture, index)


def _points(depth: F32, camera: Camera, wanted: Bool[np.ndarray, "h w"]) -> F32:
    """(N, 3) f32 of what `unproject` gives, of the wanted pixels only."""
    row, column = np.nonzero(wanted)
    x = ((np.arange(camera.hw[1]) + 0.5 - camera.K[0, 2]) / camera.K[0, 0])[column]
    y = (np.arange(camera.hw[0]) + 0.5 - camera.K[1, 2]) / camera.K[1, 1]
    points, far = np.empty((len(row), 3), np.float32), depth[wanted]
    for axis, (right, down, ahead) in enumerate(camera.c2w[:3, :3]):
        points[:, axis] = (right * x + (down * y + ahead)[row]) * far + camera.position[axis]
    return points


def _is_out_of_sight(source: Camera, depth: F32, target: Camera) -> bool:
    """Whether no surface of a depth map can show in ``target``: it lies in the hull of the corners
    of its frame at its least and greatest depth, which lie on one side of the target's view."""
    h, w = source.hw
    corners = np.array([[0, 0, 1], [w, 0, 1], [w, h, 1], [0, h, 1]]) @ np.linalg.inv(source.K).T
    ends = np.concatenate([corners * float(depth.min()), corners * float(depth.max())])
    relative = target.w2c @ source.c2w
    x, y, z = (ends @ relative[:3, :3].T + relative[:3, 3]).T
    (h, w), K = target.hw, target.K
    column, row = K[0, 0] * x + K[0, 2] * z, K[1, 1] * y + K[1, 2] * z
    return any(side.max() < 0 for side in (z, column, w * z - column, row, h * z - row))


def floor_height(anchor: View) -> float:
    """World y of the floor: nearly all of the anchor's points lie above it.

    At least a tenth of the median depth below the camera: a photo that looks up shows no floor.
    """
    valid = np.isfinite(anchor.depth) & (anchor.depth > 0)
    confident = valid & (anchor.confidence > 0)
    chosen = confident if confident.any() else valid
    camera_y = float(anchor.camera.position[1])
    if not chosen.any():
        return camera_y + 1.0
    heights = unproject(anchor.depth, anchor.camera)[chosen][:, 1]
    typical_depth = float(np.median(anchor.depth[chosen]))
    return max(float(np.quantile(heights, FLOOR_QUANTILE)), camera_y + 0.1 * typical_depth)


def _cube_cameras(fold: Fold, position: F64, size: int) -> list[Camera]:
    focal = size / 2 / _FACE_TAN
    K = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    turns = [rotation_y(quarter * math.pi / 2) for quarter in range(4)]
    turns += [rotation_x(math.pi / 2), rotation_x(-math.pi / 2)]
    cameras = []
    for turn in turns:
        c2w = np.eye(4)
        c2w[:3, :3] = fold.to_level.T @ turn
        c2w[:3, 3] = position
        cameras.append(Camera(c2w, K, (size, size)))
    return cameras


def _relief(anchor: View) -> _Relief:
    valid = np.isfinite(anchor.depth) & (anchor.depth > 0)
    stand_in = np.median(anchor.depth[valid]) if valid.any() else 1.0
    depth = np.where(valid, anchor.depth, stand_in).astype(np.float32)
    smooth = smooth_pixels(depth, 1, tear_ratio(anchor.camera) ** 2)
    return _Relief(np.reciprocal(depth), smooth.astype(np.float32))


def _range(fold: Fold, relief: _Relief, azimuth: F64, drop: F64) -> F64:
    """Horizontal range (N,) of the photo's surface in folded directions.

    Inverse depth is interpolated, which is exact on planes, but not across discontinuities.
    """
    uv, z_at_unit_range = photo_index(fold, azimuth, drop)
    linear = _look_up(relief.inverse_depth, uv, cv2.INTER_LINEAR)
    nearest = _look_up(relief.inverse_depth, uv, cv2.INTER_NEAREST)
    smooth = _look_up(relief.smooth, uv, cv2.INTER_NEAREST) > 0.5
    return 1 / (np.where(smooth, linear, nearest) * z_at_unit_range)


def _look_up(image: F32, uv: F32, interpolation: int) -> F64:
    """(N,) values at pixel indices (N, 2); OpenCV wants maps of less than 32768 columns."""
    columns = 1024
    padded = np.pad(uv, ((0, -len(uv) % columns), (0, 0))).reshape(-1, columns, 2)
    values = cv2.remap(image, padded, None, interpolation, borderMode=cv2.BORDER_REPLICATE)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return values.reshape(-1)[: len(uv)].astype(np.float64)


def _ceiling_slope(fold: Fold, relief: _Relief, camera: Camera) -> float:
    """Exponent e of range ~ drop^e above the photo: 0 continues a wall, -1 a level ceiling.

    Measured on the photo's uppermost band: the median of its columns, because different exponents
    in neighbouring columns would tear the continuation.
    """
    azimuth = np.linspace(-0.45, 0.45, 31) * camera.fov[1]
    border = np.array([border_drop(fold.borders[2], a) for a in azimuth])
    rising = border < -0.05
    if not rising.any():
        return 0.0
    at_border = _range(fold, relief, azimuth[rising], border[rising])
    below_it = _range(fold, relief, azimuth[rising], _TOP_BAND * border[rising])
    slopes = np.log(at_border / below_it) / -math.log(_TOP_BAND)
    return float(np.clip(np.median(slopes), -1, 0))


def _face_depth(
    face: Camera, fold: Fold, relief: _Relief, camera_height: float, ceiling_slope: float
) -> F32:
    """z-depth (N, N) f32 of the continuation on one face of the cube."""
    directions = (pixel_rays(face) @ face.c2w[:3, :3].T).reshape(-1, 3)
    folded = fold_directions(fold, directions)
    above, below = folded.drop < folded.top, folded.drop > folded.bottom
    within = np.where(above, folded.top, np.where(below, folded.bottom, folded.drop))
    horizontal_range = _range(fold, relief, folded.azimuth, within)

    rising = above & (folded.top < 0) & (folded.drop < 0)
    steeper = np.ones_like(horizontal_range)
    steeper[rising] = folded.drop[rising] / folded.top[rising]
    horizontal_range *= steeper**ceiling_slope

    to_floor = np.full_like(horizontal_range, np.inf)
    downwards = folded.drop > 0
    to_floor[downwards] = camera_height / folded.drop[downwards]
    # Below the photo there is floor, unless the photo ends above the horizon: then its lowest
    # surface goes on down until it meets the floor. Nothing lies below the floor.
    floor_shown = below & (folded.bottom > 0)
    horizontal_range[floor_shown] = np.inf
    horizontal_range = np.minimum(horizontal_range, to_floor)

    length = np.maximum(np.hypot(directions[:, 0], directions[:, 2]), 1 / MAX_DROP)
    depth = (horizontal_range / length).reshape(face.hw)
    return np.clip(depth, 1e-2, 1e4).astype(np.float32)
