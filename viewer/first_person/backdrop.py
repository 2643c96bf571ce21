"""What is seen where memory shows nothing: a soft, dimmed panorama of the photo's continuation.

It is display only and never enters memory. Its colours are those by which the preview generator
continues a photo (`vmem.generation.preview.fold`), whatever the backend of the walk: every
direction folds back into the photo. So the panorama covers the whole sphere, sky included, and has
the photo's own colours along the photo's borders. As they depend on the direction alone, they are
looked up in one pass, and no frames have to be joined.

The panorama is equirectangular in the world frame. So the page needs no camera to look into it, it
closes behind the walker by wrapping around, and rows are circles of latitude, along which a blur of
any width on the sphere is exact. It is sharpest beside the photo, where the eye compares the two,
and smoother and darker the farther a direction is from the photo.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8

from vmem.arrays import F32, F64, U8
from vmem.cameras import Camera, pixel_rays
from vmem.generation.preview.fold import fold_directions, make_fold, photo_index, tile_floor
from vmem.types import View

SHAPE = (512, 1024)
"""Rows and columns: 0.35 degrees a pixel, about the least blur."""
SHARP = np.radians(0.25)
"""Standard deviation of the blur within the photo and on its border."""
BLURS = np.radians((1.2, 5.0, 15.0))
"""Standard deviations of the blurred panoramas that are mixed beyond it."""
BLUR_FROM = np.radians((7.0, 26.0, 75.0))
"""Angles beyond the photo's border from which each of them is seen alone."""
DIM = 0.62
"""Brightness far from the photo, of that at its border."""
DIM_ANGLE = np.radians(50.0)
"""Angle beyond the photo's border at which it is dimmed to DIM."""
QUALITIES = (88, 80, 70, 55, 35)
"""Of the JPEG: the first whose file is small enough, else the last."""
MOST_BYTES = 40_000
"""Of the JPEG."""


@dataclass(frozen=True, eq=False)
class Backdrop:
    """A panorama on a sphere around the first camera of a walk."""

    rgb: UInt8[np.ndarray, "H W 3"]
    """Colours by direction from the centre: `panorama_directions` of the same shape."""
    centre: Float64[np.ndarray, " 3"]
    """Position of the first camera, world."""
    radius: float
    """Scene units: about as far as what the photo shows along its borders, so that both move alike
    when the walker does."""

    def jpeg(self) -> bytes:
        """The panorama for the page, of the best quality that MOST_BYTES allow."""
        made = b""
        for quality in QUALITIES:
            coded = cv2.imencode(".jpg", self.rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
            made = coded[1].tobytes()
            if len(made) <= MOST_BYTES:
                break
        return made


def make_backdrop(view: View, seed: int, shape: tuple[int, int] = SHAPE) -> Backdrop:
    """The backdrop of a walk that begins with ``view``; ``seed``: the walk's.

    Equal arguments give equal backdrops; neither view nor memory is changed. ``shape``: rows and
    columns, multiples of 4.
    """
    # What is blurred by a degree and more needs half the pixels, and a quarter of the time.
    half = shape[0] // 2, shape[1] // 2
    directions = panorama_directions(half).reshape(-1, 3)
    beyond = beyond_border(view.camera, directions).reshape(half).astype(np.float32)
    color = continued(view.rgb, view.camera, directions, seed).reshape(*half, 3)
    soft, beyond = doubled(soften(color, beyond)), doubled(beyond)
    near = beyond < BLUR_FROM[0]
    photo = cv2.GaussianBlur(view.rgb, (0, 0), SHARP * view.camera.K[0, 0]).astype(np.uint8)
    sharp = continued(photo, view.camera, panorama_directions(shape)[near], seed)
    share = np.clip(1 - beyond[near] / np.float32(BLUR_FROM[0]), 0, 1)[:, None]
    soft[near] += share * (sharp - soft[near])
    soft *= dimming(beyond)[..., None]
    rgb = np.clip(np.rint(soft), 0, 255).astype(np.uint8)
    return Backdrop(rgb, view.camera.position, border_distance(view))


def border_distance(view: View) -> float:
    """Median distance, in scene units, of what a view shows along its four borders."""
    distance = view.depth * np.linalg.norm(pixel_rays(view.camera), axis=-1)
    border = np.concatenate([distance[[0, -1]].ravel(), distance[:, [0, -1]].ravel()])
    known = border[np.isfinite(border) & (border > 0)]
    return float(np.median(known)) if len(known) else 1.0


def panorama_directions(shape: tuple[int, int]) -> Float64[np.ndarray, "H W 3"]:
    """Unit vectors, world, of the pixel centres of an equirectangular panorama.

    Its middle column looks ahead (+z), columns go on to the right (+x), rows downwards (+y).
    """
    h, w = shape
    drop = ((np.arange(h) + 0.5) / h - 0.5) * np.pi
    azimuth = ((np.arange(w) + 0.5) / w - 0.5) * 2 * np.pi
    level, y = np.cos(drop)[:, None], np.sin(drop)[:, None]
    parts = np.broadcast_arrays(level * np.sin(azimuth), y, level * np.cos(azimuth))
    return np.stack(parts, axis=-1)


def panorama_position(directions: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 2"]:
    """Where a panorama shows directions of any length: shares of its width and of its height."""
    x, y, z = np.asarray(directions).T
    azimuth, drop = np.arctan2(x, z), np.arctan2(y, np.hypot(x, z))
    return np.stack([azimuth / (2 * np.pi) + 0.5, drop / np.pi + 0.5], axis=1)


def beyond_border(camera: Camera, directions: Float64[np.ndarray, "n 3"]) -> F64:
    """Angle (n,) between world directions and the photo: 0 on its border, negative inside.

    It is not that to the border's nearest point, but by how far a pyramid about the optical axis
    must open to reach the direction: so it grows without a step all the way to behind the camera.
    """
    x, y, z = (directions @ camera.c2w[:3, :3]).T
    down, across = np.tan(np.array(camera.fov) / 2)
    narrow = min(across, down)
    off_axis = narrow * np.maximum(np.abs(x) / across, np.abs(y) / down)
    return np.arctan2(off_axis, z) - np.arctan(narrow)


def continued(photo: U8, camera: Camera, directions: Float64[np.ndarray, "n 3"], seed: int) -> F32:
    """Colours (n, 3) in [0, 255] of the continuation of a photo (H, W, 3) in world directions."""
    fold = make_fold(camera, seed)
    folded = fold_directions(fold, directions)
    azimuth, drop, share = tile_floor(fold, directions, folded)
    colors = photo.astype(np.float32)
    color = _looked_up(colors, photo_index(fold, folded.azimuth, folded.content_drop)[0])
    tiles = _looked_up(colors, photo_index(fold, azimuth, drop)[0])
    color += share[:, None].astype(np.float32) * (tiles - color)
    return color


def _looked_up(photo: F32, index: Float32[np.ndarray, "n 2"]) -> F32:
    columns = 1024  # OpenCV takes maps of less than 32768
    padded = np.pad(index, ((0, -len(index) % columns), (0, 0))).reshape(-1, columns, 2)
    color = cv2.remap(photo, padded, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return color.reshape(-1, 3)[: len(index)]


def doubled(panorama: Float32[np.ndarray, "H W *C"]) -> F32:
    """A panorama with twice the rows and columns, those between interpolated."""
    closed = np.concatenate([panorama[:, -1:], panorama, panorama[:, :1]], axis=1)
    h, w = closed.shape[:2]
    twice = cv2.resize(closed, (2 * w, 2 * h), interpolation=cv2.INTER_LINEAR)
    return twice[:, 2:-2].astype(np.float32, copy=False)


def soften(color: Float32[np.ndarray, "H W 3"], beyond: Float32[np.ndarray, "H W"]) -> F32:
    """A panorama blurred the more, the larger ``beyond`` is: a mix of the two nearest BLURS."""
    level = np.interp(beyond, BLUR_FROM, np.arange(len(BLURS)))
    mixed = np.zeros_like(color)
    for k, blur in enumerate(BLURS):
        share = np.clip(1 - np.abs(level - k), 0, 1).astype(np.float32)
        mixed += share[..., None] * blurred(color, float(blur))
    return mixed


def blurred(color: Float32[np.ndarray, "H W C"], sigma: float) -> F32:
    """A panorama, H and W even, blurred by a Gaussian of ``sigma`` radians on the sphere.

    Each row is blurred around its circle of latitude, the wider the smaller that circle is; then
    each meridian, which beyond a pole goes on as the opposite one: both close, as Fourier
    transforms want it.
    """
    h, w, _ = color.shape
    latitude = ((np.arange(h) + 0.5) / h - 0.5) * np.pi
    passed = _gaussian(sigma, w)[None] ** (1 / np.cos(latitude[:, None]) ** 2)
    rows = np.fft.irfft(
        np.fft.rfft(color, axis=1) * passed[..., None].astype(np.float32), w, axis=1
    )
    front, back = rows[:, : w // 2], rows[::-1, w // 2 :]
    meridians = np.concatenate([front, back])
    waves = np.fft.rfft(meridians, axis=0) * _gaussian(sigma, 2 * h)[:, None, None]
    meridians = np.fft.irfft(waves, 2 * h, axis=0)
    return np.concatenate([meridians[:h], meridians[: h - 1 : -1]], axis=1).astype(np.float32)


def _gaussian(sigma: float, n: int) -> F32:
    """What a Gaussian of ``sigma`` radians leaves of each wave around a circle of n pixels."""
    return np.exp(-0.5 * (sigma * np.arange(n // 2 + 1)) ** 2).astype(np.float32)


def dimming(beyond: Float32[np.ndarray, "H W"]) -> F32:
    """Factor on colours: 1 at the photo's border, DIM from DIM_ANGLE on."""
    way = np.clip(beyond / DIM_ANGLE, 0, 1)
    return (1 - (1 - DIM) * way * way * (3 - 2 * way)).astype(np.float32)
