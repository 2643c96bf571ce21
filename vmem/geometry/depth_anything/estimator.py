"""Depth of single images by Depth Anything V2, aligned with memory: a small network, no state.

The network gives inverse depth up to a scale and a shift that differ in every frame. Alignment
(vmem.geometry.alignment.fit_views) finds both: from memory, and for the photo from its layout,
whose unit is that of the walk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8
from numpy.typing import NDArray

from vmem.arrays import F32
from vmem.cameras import Cameras, unproject
from vmem.devices.settings import NetworkSettings
from vmem.geometry.aligned_or_layout import align_or_lay_out
from vmem.geometry.alignment.fit_views import Aligned, AlignmentConfig, align
from vmem.geometry.alignment.predicted import DOUBT, Predicted, framed
from vmem.geometry.alignment.robust_fit import DepthLine
from vmem.geometry.layout.estimator import SKY_DISTANCE, LayoutEstimator
from vmem.geometry.layout.first_camera import first_camera
from vmem.memory import MemorySnapshot
from vmem.progress import CancelToken, OnProgress, Progress, silent
from vmem.types import MIN_CONFIDENCE, Frames, PointMaps

Look = Callable[[UInt8[np.ndarray, "H W 3"]], Float32[np.ndarray, "h w"]]
"""A frame to relative inverse depth, whose size depends on (H, W) alone."""

SKY = 0.01
"""Inverse depth, as a share of the nearest things', up to which a pixel is sky."""
NOISE = 0.02
"""Inverse depth, as such a share, at which confidence is one half: if inverse depth is off by the
same everywhere, the relative error of depth grows with depth."""
NEAREST = 0.95
"""The quantile of inverse depth that is taken for the nearest things'."""
LEAST_SPREAD = 1e-3
"""A frame whose inverse depth varies by a smaller share is not used."""
BEND = 2.0
"""Factor by which a fit to the layout may change the range of a photo's log depth: a layout that is
little but one wall would flatten all objects before it."""
FARTHEST = 30.0
"""Depth, in median depths of the view, from which on nothing is remembered."""


class DepthAnythingEstimator:
    """The GeometryEstimator that runs Depth Anything V2; it keeps no state."""

    def __init__(
        self,
        settings: NetworkSettings | None = None,
        *,
        lend: Callable[[OnProgress, CancelToken], Look] | None = None,
    ) -> None:
        """``settings``: whose device the network runs on ("auto" may be the CPU).

        ``lend``: gives the network; by default the released one, fetched and loaded when first
        needed.
        """
        self._settings = settings or NetworkSettings()
        self._lend = lend or self._network
        self._layout = LayoutEstimator()

    place = staticmethod(first_camera)

    def estimate(
        self,
        frames: Frames,
        cameras: Cameras,
        memory: MemorySnapshot,
        *,
        on_progress: OnProgress = silent,
        cancel: CancelToken | None = None,
    ) -> PointMaps:
        """Point maps of T new frames. Depth that frames carry is used unchanged: it was warped from
        memory, and is better than an estimate from the result.

        The sky, and what is farther than FARTHEST, has confidence 0 and a depth beyond all else.
        The note says how each view was placed. Raises CheckpointError, DeviceError,
        NotEnoughMemoryError, DeviceLostError, Cancelled.
        """
        if frames.depth is not None:
            return self._layout.estimate(frames, cameras, memory)
        cancel = cancel or CancelToken()
        said = self._said(frames, on_progress, cancel)
        cancel.check()
        on_progress(Progress("geometry", len(frames), len(frames)))
        predicted, sky, remarks = as_predicted(np.stack(said))
        config = AlignmentConfig(shift="inverse")
        aligned = align_or_lay_out(predicted, frames, cameras, memory, config)
        depth = framed(predicted, cameras.hw).depth
        for i, view in enumerate(aligned.report.views):
            if view.source == "layout" and _bent(view.line, depth[i]):
                aligned = align(predicted, cameras, memory, config=config)
                remarks.append(f"view {i}: its layout fits only if depth is bent: not used")
                break
        maps = _with_far(aligned, depth, sky, cameras)
        return replace(maps, note="; ".join([str(aligned.report), *remarks]))

    def _said(self, frames: Frames, on_progress: OnProgress, cancel: CancelToken) -> list[F32]:
        """What the network says of each frame: inverse depth (h, w), possibly not finite."""
        import torch

        from vmem.devices.advice import memory_advice
        from vmem.devices.recovery import with_advice
        from vmem.geometry.depth_anything.network import pick_place

        def look() -> list[F32]:
            said: list[F32] = []
            network = self._lend(on_progress, cancel)
            for rgb in frames.rgb:
                cancel.check()
                on_progress(Progress("geometry", len(said), len(frames)))
                said.append(network(rgb))
            return said

        def advice(device: torch.device) -> str:
            when = "while Depth Anything looked at a frame"
            return memory_advice(self._settings, device, when, "--geometry layout")

        return with_advice(look, lambda: pick_place(self._settings.device), advice)

    def _network(self, on_progress: OnProgress, cancel: CancelToken) -> Look:
        from vmem.geometry.depth_anything.network import shared_network

        return shared_network(self._settings.device, on_progress, cancel)


def as_predicted(
    inverse: Float32[np.ndarray, "T h w"],
) -> tuple[Predicted, Bool[np.ndarray, "T h w"], list[str]]:
    """Inverse depth, up to scale and shift, as depth and confidence; a mask of the sky; and a
    remark for every frame that cannot be used.

    Depth is 1 at the nearest things, and missing in the sky and where a number is not finite.
    """
    depth = np.zeros_like(inverse, np.float32)
    confidence = np.ones_like(depth)
    sky = np.zeros(inverse.shape, bool)
    remarks: list[str] = []
    for i, one in enumerate(inverse):
        finite = np.isfinite(one)
        low, high = np.quantile(one[finite], (1 - NEAREST, NEAREST)) if finite.any() else (0, 0)
        if high <= 0 or high - low <= LEAST_SPREAD * high:
            what = "the same everywhere" if finite.any() else "no finite number"
            remarks.append(f"view {i}: Depth Anything said {what}")
            continue
        share = np.where(finite, one, 0) / high
        sky[i] = finite & (share <= SKY)
        solid = finite & ~sky[i]
        depth[i][solid] = 1 / share[solid]
        confidence[i][solid] += DOUBT * share[solid] / NOISE
    points = np.zeros((*depth.shape, 3), np.float32)
    points[..., 2] = depth
    return Predicted(points, confidence), sky, remarks


def _bent(line: DepthLine, depth: F32) -> bool:
    """Whether a line changes the range of depth (H, W), 0 where there is none, beyond BEND."""
    given = depth[depth > 0]
    fitted = line.applied(given)
    if not (fitted > 0).any():
        return True
    before, after = (
        np.log(np.quantile(d, NEAREST) / np.quantile(d, 1 - NEAREST))
        for d in (given, fitted[fitted > 0])
    )
    return not before / BEND <= after <= before * BEND


def _with_far(aligned: Aligned, given: F32, sky: NDArray[np.bool_], cameras: Cameras) -> PointMaps:
    """Maps in which the sky (T, h, w), and pixels that alignment has brought beyond infinity or
    FARTHEST, are far away; ``given`` (T, H, W): depth before alignment, 0 where there is none."""
    maps = aligned.maps
    points, depth, confidence = maps.points.copy(), maps.depth.copy(), maps.confidence.copy()
    h, w = cameras.hw
    for i, view in enumerate(aligned.report.views):
        trusted = confidence[i] >= MIN_CONFIDENCE
        if view.source == "fallback" or not trusted.any():
            continue
        shown = cv2.resize(sky[i].astype(np.uint8), (w, h), interpolation=cv2.INTER_NEAREST) > 0
        limit = FARTHEST * np.median(depth[i][trusted])
        far = shown | ((given[i] > 0) & (view.line.applied(given[i]) <= 0)) | (depth[i] > limit)
        solid = depth[i][trusted & ~far]
        if far.any() and len(solid):
            depth[i][far], confidence[i][far] = SKY_DISTANCE * solid.max(), 0
            points[i][far] = unproject(depth[i], cameras[i])[far]
    return replace(maps, points=points, depth=depth, confidence=confidence)
