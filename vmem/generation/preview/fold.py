"""Folding: every direction around a photo's camera maps back into the photo.

Sideways the world is mirrored at the photo's left and right borders, tile after tile all round;
above and below it is mirrored at the top and bottom borders, back and forth within a band beside
the border. The map is continuous, the identity inside the photo, and leaves no direction out.

Vocabulary, in the camera's level frame (its heading, gravity down): *azimuth* from the heading,
positive to the right; *drop*, the tangent of the angle below the horizon. The photo's borders are
planes through the camera centre, whatever its pitch and roll.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64
from numba import njit

from vmem.arrays import F64
from vmem.cameras import Camera, rotation_y

MAX_DROP = 60.0
"""Drops are clipped here: within a degree of straight up or down."""
CEILING_BAND = 0.6
"""Mirroring beyond the top border goes no deeper than this share of the border's elevation."""
FLOOR_BAND = 0.78
"""Mirroring beyond the bottom border goes no deeper than this share of the border's drop: the
nearest floor is the emptiest part of most photos."""
TILE_VARIATION = 0.15
"""Relative variation of the mirrored tiles' widths: equal ones would look like a kaleidoscope."""
_TILES_FADE_IN, _TILES_ALONE = 0.92, 0.7
"""Range on the floor, relative to the photo's lower border, between which floor tiles take over."""
_TILE_WIDTH = 0.7
"""Width of a floor tile as a share of the photo's: its corners often show furniture."""
_LEAST_FLOOR_DROP = 0.05
_FLAT_BAND = 0.2
"""Depth in radians of the band that is mirrored at a border close to the horizon."""

_LEFT, _RIGHT, _TOP, _BOTTOM = range(4)


@dataclass(frozen=True, eq=False)
class Fold:
    """How directions fold into a photo."""

    to_level: Float64[np.ndarray, "3 3"]
    """Rotation from world to level frame."""
    to_index: Float64[np.ndarray, "3 3"]
    """Level direction to homogeneous pixel index (column, row; integers are pixel centres),
    its third component the camera's z."""
    borders: Float64[np.ndarray, "4 3"]
    """Normals of the planes of the left, right, top and bottom border, level frame."""
    tiles: Float64[np.ndarray, " m1"]
    """m + 1 borders of the m (odd) mirrored tiles, as fractions of the way round from the right
    border to the left one."""
    drops: Float64[np.ndarray, " 2"]
    """Least and greatest drop that the photo shows."""


@dataclass(frozen=True, eq=False)
class Folded:
    """N directions and what they fold to."""

    drop: Float64[np.ndarray, " N"]
    """Drop of the direction itself."""
    azimuth: Float64[np.ndarray, " N"]
    """Folded azimuth."""
    content_drop: Float64[np.ndarray, " N"]
    """Folded drop: where the colour comes from."""
    top: Float64[np.ndarray, " N"]
    """Drop of the photo's top border at the folded azimuth."""
    bottom: Float64[np.ndarray, " N"]
    """Drop of the photo's bottom border at the folded azimuth."""


def make_fold(camera: Camera, seed: int) -> Fold:
    """The fold of a photo taken by ``camera``; ``seed`` varies the tiles' widths."""
    h, w = camera.hw
    forward = camera.c2w[:3, 2]
    to_level = rotation_y(math.atan2(forward[0], forward[2])).T
    camera_to_level = to_level @ camera.c2w[:3, :3]
    K_index = np.array([[1.0, 0, -0.5], [0, 1.0, -0.5], [0, 0, 1.0]]) @ camera.K
    # The borders run through the outermost pixel centres: nothing lies beyond them to sample.
    right, bottom = w - 1, h - 1
    corners = np.array([[0, 0, 1], [right, 0, 1], [right, bottom, 1], [0, bottom, 1]], np.float64)
    middles = np.array([[right / 2, 0, 1], [right / 2, bottom, 1]])
    rays = np.concatenate([corners, middles]) @ np.linalg.inv(K_index).T @ camera_to_level.T
    top_left, top_right, bottom_right, bottom_left = rays[:4]
    borders = np.stack(
        [
            np.cross(top_left, bottom_left),
            np.cross(top_right, bottom_right),
            np.cross(top_left, top_right),
            np.cross(bottom_left, bottom_right),
        ]
    )
    drops = rays[:, 1] / np.maximum(np.hypot(rays[:, 0], rays[:, 2]), 1e-6)
    return Fold(
        to_level=to_level,
        to_index=np.ascontiguousarray(K_index @ camera_to_level.T),
        borders=borders,
        tiles=_tile_borders(camera.fov[1], seed),
        drops=np.clip([drops.min(), drops.max()], -MAX_DROP, MAX_DROP),
    )


def _tile_borders(fov: float, seed: int) -> F64:
    """Borders of an odd number of mirrored tiles that together close the circle.

    Odd, because mirroring an odd number of times turns the right border's content into the left
    border's: only then do the two ways round meet without a seam.
    """
    tiles_to_fill = (2 * math.pi - fov) / fov
    count = max(1, 2 * round((tiles_to_fill - 1) / 2) + 1)
    widths = np.random.default_rng(seed).uniform(1 - TILE_VARIATION, 1 + TILE_VARIATION, count)
    return np.concatenate([[0.0], np.cumsum(widths) / widths.sum()])


def fold_directions(fold: Fold, directions: Float64[np.ndarray, "n 3"]) -> Folded:
    """Fold world ``directions`` of any length."""
    level = np.ascontiguousarray(directions @ fold.to_level.T)
    out = np.empty((5, len(level)))
    _fold(level, fold.borders, fold.tiles, fold.drops[0], fold.drops[1], out)
    return Folded(*out)


def photo_index(
    fold: Fold, azimuth: Float64[np.ndarray, " n"], drop: Float64[np.ndarray, " n"]
) -> tuple[Float32[np.ndarray, "n 2"], Float64[np.ndarray, " n"]]:
    """Pixel indices of folded directions, and their z-depth at horizontal range 1."""
    level = np.stack([np.sin(azimuth), drop, np.cos(azimuth)], axis=1)
    homogeneous = level @ fold.to_index.T
    z = np.maximum(homogeneous[:, 2], 1e-6)
    index = np.clip(homogeneous[:, :2] / z[:, None], -1e4, 1e5)
    return index.astype(np.float32), z


@njit(cache=True, nogil=True)
def side_azimuth(normal: F64, drop: float, side: float) -> float:
    """Azimuth at which the plane of a side border (``side`` -1 left, 1 right) meets ``drop``."""
    # On the plane: normal_x sin(azimuth) + normal_z cos(azimuth) = -normal_y drop.
    amplitude = max(math.hypot(normal[0], normal[2]), 1e-9)
    phase = math.atan2(normal[0], normal[2])
    swing = math.acos(min(1.0, max(-1.0, -normal[1] * drop / amplitude)))
    best = side * math.pi
    for candidate in (phase + swing, phase - swing):
        angle = math.atan2(math.sin(candidate), math.cos(candidate))
        if angle * side > 0 and abs(angle) < abs(best):
            best = angle
    return best


@njit(cache=True, nogil=True)
def border_drop(normal: F64, azimuth: float) -> float:
    """Drop at which the plane of the top or bottom border meets ``azimuth``."""
    if abs(normal[1]) < 1e-9:
        return 0.0
    across = normal[0] * math.sin(azimuth) + normal[2] * math.cos(azimuth)
    return min(MAX_DROP, max(-MAX_DROP, -across / normal[1]))


@njit(cache=True, nogil=True)
def _there_and_back(way: float, length: float) -> float:
    """0 at 0, rising to ``length``, falling back to 0 at twice ``length``, and so on."""
    return length - abs(way % (2 * length) - length)


def tile_floor(
    fold: Fold, directions: Float64[np.ndarray, "n 3"], folded: Folded
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Another fold for the floor at the camera's feet: mirrored tiles of the nearest floor seen.

    Folding directions turns the floor under the camera into a star; tiles in the plane do not.
    Returns azimuth and drop of the content, and its share: 0 at the photo's lower border, 1 well
    below it.
    """
    bottom = border_drop(fold.borders[_BOTTOM], 0.0)
    if bottom < _LEAST_FLOOR_DROP:
        return folded.azimuth, folded.content_drop, np.zeros_like(folded.drop)
    ratio = folded.bottom / np.maximum(folded.drop, 1e-9)
    share = np.clip((_TILES_FADE_IN - ratio) / (_TILES_FADE_IN - _TILES_ALONE), 0, 1)
    share[folded.drop < bottom] = 0
    # On the floor, in units of the camera's height above it.
    level = directions @ fold.to_level.T
    height = np.maximum(level[:, 1], 1e-9)
    x, z = level[:, 0] / height, level[:, 2] / height
    near = 1 / bottom
    depth = near / FLOOR_BAND - near
    left = _TILE_WIDTH * near * math.tan(side_azimuth(fold.borders[_LEFT], bottom, -1.0))
    right = _TILE_WIDTH * near * math.tan(side_azimuth(fold.borders[_RIGHT], bottom, 1.0))
    tile_x = left + (right - left) - np.abs((x - left) % (2 * (right - left)) - (right - left))
    tile_z = near + depth - np.abs((near - z) % (2 * depth) - depth)
    return np.arctan2(tile_x, tile_z), 1 / np.hypot(tile_x, tile_z), share


@njit(cache=True, nogil=True)
def _fold_azimuth(azimuth: float, start: float, end: float, tiles: F64) -> float:
    """Azimuth within [start, end], mirrored tile by tile."""
    if start <= azimuth <= end:
        return azimuth
    beyond = azimuth - end if azimuth > end else azimuth - end + 2 * math.pi
    way = beyond / (2 * math.pi - (end - start))
    tile = 0
    while tile < len(tiles) - 2 and way > tiles[tile + 1]:
        tile += 1
    share = (way - tiles[tile]) / (tiles[tile + 1] - tiles[tile])
    part = min(1.0, max(0.0, share)) * (end - start)
    return end - part if tile % 2 == 0 else start + part


@njit(cache=True, nogil=True)
def _fold_above(drop: float, top: float, bottom: float) -> float:
    """Drop above the ``top`` border, mirrored as an angle."""
    border = math.atan(top)
    inner = border * CEILING_BAND if border < -_FLAT_BAND else border + _FLAT_BAND
    inner = min(inner, math.atan(bottom))
    length = max(inner - border, 1e-3)
    return math.tan(border + _there_and_back(border - math.atan(drop), length))


@njit(cache=True, nogil=True)
def _fold_below(drop: float, bottom: float) -> float:
    """Drop below the ``bottom`` border, mirrored in the logarithm of the range on the floor."""
    if bottom > _LEAST_FLOOR_DROP:
        # On a floor, range is inverse to drop.
        way = _there_and_back(math.log(drop / bottom), -math.log(FLOOR_BAND))
        return bottom * math.exp(-way)
    border = math.atan(bottom)
    return math.tan(border - _there_and_back(math.atan(drop) - border, _FLAT_BAND))


@njit(cache=True, nogil=True)
def _fold(
    directions: F64,
    borders: F64,
    tiles: F64,
    least_drop: float,
    greatest_drop: float,
    out: F64,
) -> None:
    """Rows of ``out`` (5, N): the fields of Folded."""
    for n in range(len(directions)):
        x, y, z = directions[n]
        drop = min(MAX_DROP, max(-MAX_DROP, y / max(math.hypot(x, z), 1e-9)))
        visible = min(greatest_drop, max(least_drop, drop))
        start = side_azimuth(borders[_LEFT], visible, -1.0)
        end = side_azimuth(borders[_RIGHT], visible, 1.0)
        azimuth = _fold_azimuth(math.atan2(x, z), start, end, tiles)
        top = border_drop(borders[_TOP], azimuth)
        bottom = border_drop(borders[_BOTTOM], azimuth)
        content = drop
        if drop < top:
            content = _fold_above(drop, top, bottom)
        elif drop > bottom:
            content = _fold_below(drop, bottom)
        out[0, n] = drop
        out[1, n] = azimuth
        out[2, n] = content
        out[3, n] = top
        out[4, n] = bottom
