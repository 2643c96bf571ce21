"""Frames to views for the network, and where in the frame the network's pixels lie.

The network was trained on views of a longer side of 512 whose sides are multiples of 16, none of
them square: a square frame loses a quarter of its height, as in the published code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float32, Float64, UInt8
from PIL import Image
from torch import Tensor

from vmem.arrays import U8
from vmem.geometry.cut3r.config import PATCH, Cut3rError
from vmem.geometry.cut3r.heads import Prediction

SIZE = 512


@dataclass(frozen=True)
class Crop:
    """Which part of a frame the network sees."""

    frame_hw: tuple[int, int]
    """Height and width of the frame."""
    resized_hw: tuple[int, int]
    """Height and width of the whole frame after resizing."""
    box: tuple[int, int, int, int]
    """Left, top, right, bottom in pixels of the resized frame."""

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width that the network sees, multiples of 16."""
        left, top, right, bottom = self.box
        return bottom - top, right - left

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the crop to one pixel of the frame, across and down."""
        (h, w), (resized_h, resized_w) = self.frame_hw, self.resized_hw
        return resized_w / w, resized_h / h

    @property
    def frame_box(self) -> tuple[float, float, float, float]:
        """left, top, right, bottom in pixels of the frame, its corner being (0, 0)."""
        (across, down), (left, top, right, bottom) = self.scale, self.box
        return left / across, top / down, right / across, bottom / down

    def intrinsics(self, K: Float64[np.ndarray, "*batch 3 3"]) -> Float64[np.ndarray, "*batch 3 3"]:
        """K of the frame -> that of the crop; pixel centres at +0.5 in both."""
        (across, down), (left, top, _, _) = self.scale, self.box
        to_crop = np.array([[across, 0, -left], [0, down, -top], [0, 0, 1]])
        return to_crop @ K


def crop_of(frame_hw: tuple[int, int], size: int = SIZE, *, whole_square: bool = False) -> Crop:
    """The middle of a frame resized to a longer side of ``size``, its sides cut to multiples of 16.

    A square frame keeps 3/4 of its height, or all of it with ``whole_square``. Raises Cut3rError
    where nothing would be left, or a side would be no multiple of 16.
    """
    if min(frame_hw) < 1 or size < PATCH:
        raise Cut3rError(f"a frame of {frame_hw} cannot be resized to {size} pixels")
    longer = max(frame_hw)
    h, w = (round(side * size / longer) for side in frame_hw)
    middle_y, middle_x = h // 2, w // 2
    half_h, half_w = (2 * middle // PATCH * PATCH // 2 for middle in (middle_y, middle_x))
    if h == w and not whole_square:
        half_h = 3 * half_w // 4
    if not half_h or not half_w or 2 * half_h % PATCH:
        raise Cut3rError(
            f"a frame of {frame_hw[0]} x {frame_hw[1]} at a longer side of {size} leaves a crop of "
            f"{2 * half_h} x {2 * half_w}, expected multiples of {PATCH}; use a frame less narrow, "
            "or a size that is a multiple of 64"
        )
    box = (middle_x - half_w, middle_y - half_h, middle_x + half_w, middle_y + half_h)
    return Crop((frame_hw[0], frame_hw[1]), (h, w), box)


def prepare(
    frames: UInt8[np.ndarray, "T H W 3"], size: int = SIZE, *, whole_square: bool = False
) -> tuple[Float32[Tensor, "T 3 h w"], Crop]:
    """Views in [-1, 1] on the CPU from frames, and their crop.

    Lanczos where the longer side shrinks, else bicubic. Raises Cut3rError as `crop_of` does, and
    for frames of another kind.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not len(frames):
        raise Cut3rError(
            f"frames: got {frames.shape} {frames.dtype}, expected (N, H, W, 3) uint8, N >= 1"
        )
    crop = crop_of(frames.shape[1:3], size, whole_square=whole_square)
    views = np.stack([_cropped(frame, crop) for frame in frames])
    images = rearrange(torch.from_numpy(views), "n h w c -> n c h w")
    return images.float() / 255 * 2 - 1, crop


def _cropped(frame: U8, crop: Crop) -> U8:
    shrinks = max(crop.frame_hw) > max(crop.resized_hw)
    how = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
    h, w = crop.resized_hw
    return np.asarray(Image.fromarray(frame).resize((w, h), how).crop(crop.box))


@dataclass(frozen=True, eq=False)
class CropMaps:
    """A prediction in the pixels of a crop."""

    points: Float32[np.ndarray, "B h w 3"]
    """In the axes that were asked for."""
    confidence: Float32[np.ndarray, "B h w"]
    """1 + exp(logit)."""
    crop: Crop


def crop_maps(prediction: Prediction, crop: Crop, frame: str = "own") -> CropMaps:
    """A prediction's points as arrays beside the crop whose pixels they are.

    frame: "own" for the axes of each view's own camera, "world" for the first view's. Raises
    Cut3rError where these points were not asked for, or the crop is another's.
    """
    points, confidence = (
        (prediction.own_points, prediction.own_confidence)
        if frame == "own"
        else (prediction.world_points, prediction.world_confidence)
    )
    if points is None or confidence is None:
        raise Cut3rError(f"the prediction has no {frame} points; ask `step` for them")
    if tuple(points.shape[1:3]) != crop.hw:
        raise Cut3rError(f"points of {tuple(points.shape[1:3])} are not those of a crop {crop.hw}")
    return CropMaps(points.cpu().numpy(), confidence.cpu().numpy(), crop)
