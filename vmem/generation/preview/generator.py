"""The preview generator: warps retrieved views and continues the photo, without a model.

For each target the retrieved views are warped through their depth (`warp`) and blended; what they
do not cover comes from the mirrored continuation of the photo (`outpaint`), with colours matched
along the seam; remaining holes are filled from the background (`inpaint`). Every pixel keeps where
it comes from and how often it was resampled, and the sharpest source dominates, so that walking in
circles does not blur the scene.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from vmem.arrays import F32, U8
from vmem.cameras import Camera, Cameras
from vmem.generation.base import Context
from vmem.generation.preview.inpaint import Mask, fill_from_background, push_pull
from vmem.generation.preview.outpaint import (
    Extension,
    extend,
    render_color,
    render_confidence,
    render_depth,
)
from vmem.generation.preview.texture import Texture, accumulate, make_texture
from vmem.generation.preview.warp import Warp, tear_ratio, warp_depth
from vmem.progress import CancelToken, OnProgress, Progress, silent
from vmem.types import Frames, Provenance, View

SURFACE_TOLERANCE = 0.06
"""Relative depth within which two views are taken to show the same surface."""
AGE_FADE = 4.0
"""Each resampling divides a source's weight by this."""
OBSERVED_BONUS = 4.0
"""Factor on the weight of pixels that were observed in the photo."""
DOMINANCE = 2.0
"""Power of the weights in blending: high, because equal shares of similar sources would blur."""
MAX_SEAM_OFFSET = 40.0
"""Largest colour correction at a seam, in 8-bit levels."""
SEAM_BAND = 0.04
"""Width of the band beside a seam on which colours are compared, as share of the image height."""
SEAM_FADE = 0.1
"""Share of the image height over which a seam's colour correction fades."""
_WORKERS = min(4, os.cpu_count() or 1)
"""Threads that make a frame; each writes its own part, so their number changes no result."""
_OBSERVED = int(Provenance.OBSERVED)


@dataclass(frozen=True, eq=False)
class _Source:
    """A view to warp from."""

    texture: Texture
    camera: Camera
    provenance: U8
    """(H, W) u8 of Provenance, as it shall appear in the new frame."""
    age: F32
    """(H, W) f32 times resampled."""
    confidence: F32
    """(H, W) f32."""

    @staticmethod
    def make(
        rgb: U8, camera: Camera, depth: F32, provenance: U8, age: F32, confidence: F32
    ) -> _Source:
        texture = make_texture(rgb, depth, tear_ratio(camera))
        return _Source(texture, camera, provenance, age, confidence)


@dataclass(frozen=True, eq=False)
class _Merged:
    """The warped views, blended into one frame."""

    rgb: F32
    """(H, W, 3) f32 in [0, 255]."""
    depth: F32
    """(H, W) f32, 0 where no view shows anything."""
    provenance: U8
    """(H, W) u8 of Provenance."""
    age: F32
    """(H, W) f32 times resampled."""
    confidence: F32
    """(H, W) f32."""
    known: Mask
    """(H, W) bool: some view shows this pixel."""


class PreviewGenerator:
    """Generator (see `vmem.generation.base`) that warps, extends and fills.

    Stateless except for a cache of each anchor's extension, which never changes a result.
    """

    def __init__(self) -> None:
        self._extensions: weakref.WeakKeyDictionary[View, dict[int, Extension]]
        self._extensions = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def generate(
        self,
        context: Context,
        targets: Cameras,
        *,
        seed: int,
        on_progress: OnProgress = silent,
        cancel: CancelToken | None = None,
        sampler: str | None = None,
    ) -> Frames:
        """Frames with depth, provenance and age for every target, in the order of ``targets``.

        The last target is made first and is one more source of the others, so that all agree on
        what it invented. ``sampler`` is ignored. Raises Cancelled, ValueError (no views).
        """
        cancel = cancel or CancelToken()
        if not context.views:
            raise ValueError("the preview generator needs at least one context view, got none")
        cancel.check()
        extension = self._extension(context.anchor, seed)
        cancel.check()
        sources = [_recall(view, context.anchor) for view in context.views]
        order = [len(targets) - 1, *range(len(targets) - 1)]
        made: dict[int, _Source] = {}
        with ThreadPoolExecutor(_WORKERS) as workers:
            for done, index in enumerate(order, start=1):
                frame = _make_frame(sources, targets[index], extension, workers, cancel)
                if not made:
                    sources = [*sources, frame]
                made[index] = frame
                on_progress(Progress("generate", done, len(targets)))
                cancel.check()
        frames = [made[index] for index in range(len(targets))]
        return Frames(
            rgb=np.stack([frame.texture.rgb for frame in frames]),
            depth=np.stack([frame.texture.depth for frame in frames]),
            provenance=np.stack([frame.provenance for frame in frames]),
            age=np.stack([frame.age for frame in frames]),
            confidence=np.stack([frame.confidence for frame in frames]),
        )

    def _extension(self, anchor: View, seed: int) -> Extension:
        with self._lock:
            cached = self._extensions.setdefault(anchor, {}).get(seed)
        if cached is not None:
            return cached
        # Two threads may compute it at once; their results are equal.
        extension = extend(anchor, seed)
        with self._lock:
            self._extensions.setdefault(anchor, {})[seed] = extension
        return extension


def _recall(view: View, anchor: View) -> _Source:
    """A stored view as a source: pixels that were extrapolated are now reobserved."""
    from_photo = view is anchor or view.step == 0
    if view.provenance is not None:
        observed = view.provenance == Provenance.OBSERVED
    else:
        observed = np.full(view.depth.shape, from_photo)
    provenance = np.where(observed, Provenance.OBSERVED, Provenance.REOBSERVED).astype(np.uint8)
    age = view.age
    if age is None:
        age = np.full(view.depth.shape, 0 if from_photo else 1, np.float32)
    return _Source.make(view.rgb, view.camera, view.depth, provenance, age, view.confidence)


def _make_frame(
    sources: Sequence[_Source],
    camera: Camera,
    extension: Extension,
    workers: ThreadPoolExecutor,
    cancel: CancelToken,
) -> _Source:
    """One frame from warped sources, the extension and the fill."""
    warps = list(workers.map(lambda s: warp_depth(s.texture.depth, s.camera, camera), sources))
    cancel.check()
    merged = _blend(sources, warps, camera.hw, workers)
    cancel.check()
    rgb, depth, confidence = merged.rgb, merged.depth, merged.confidence
    if not merged.known.all():
        beyond_depth = render_depth(extension, camera)
        cancel.check()
        use = ~merged.known & (beyond_depth > 0)
        band = _seam_band(merged.known, use, beyond_depth > 0)
        beyond = render_color(extension, camera, beyond_depth, use | band)
        beyond += _seam_offset(rgb - beyond, band, merged.known)
        rgb = np.where(use[..., None], beyond, rgb)
        depth = np.where(use, beyond_depth, depth)
        confidence = confidence + render_confidence(extension, camera, beyond_depth, use)
        known = merged.known | use
        rgb, depth = fill_from_background(rgb, depth, known)
        # A filled pixel at the edge of the sky may be sky or not: no confidence in it.
        confidence = np.where(
            known, confidence, push_pull(confidence[..., None], known)[..., 0] > 0.9
        )
    return _Source.make(
        rgb=np.clip(np.rint(rgb), 0, 255).astype(np.uint8),
        camera=camera,
        depth=depth.astype(np.float32),
        provenance=merged.provenance,
        age=merged.age,
        confidence=np.clip(confidence, 0, 1).astype(np.float32),
    )


def _blend(
    sources: Sequence[_Source],
    warps: Sequence[Warp],
    hw: tuple[int, int],
    workers: ThreadPoolExecutor,
) -> _Merged:
    """Warped sources merged: the nearest surface, mostly from the source that shows it sharpest."""
    depth = np.stack([warp.depth for warp in warps])
    weight = np.stack([warp.density for warp in warps])
    age = np.zeros(depth.shape, np.float32)
    provenance = np.zeros(depth.shape, np.uint8)
    confidence = np.zeros(depth.shape, np.float32)
    for k, (source, warp) in enumerate(zip(sources, warps, strict=True)):
        maps = warp.uv[..., 0], warp.uv[..., 1]
        for image, out in (
            (source.age, age),
            (source.provenance, provenance),
            (source.confidence, confidence),
        ):
            out[k] = cv2.remap(image, *maps, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    out_depth = np.zeros(hw, np.float32)
    out_provenance = np.full(hw, Provenance.EXTRAPOLATED, np.uint8)
    out_age = np.ones(hw, np.float32)
    winner = np.full(hw, -1, np.int64)
    _weigh(depth, weight, age, provenance, out_depth, out_provenance, out_age, winner)
    out_confidence = np.take_along_axis(confidence, winner.clip(0)[None], axis=0)[0]
    out_confidence[winner < 0] = 0
    rgb = np.zeros((*hw, 3), np.float32)

    def sum_rows(rows: slice) -> None:
        for k, (source, warp) in enumerate(zip(sources, warps, strict=True)):
            accumulate(rgb[rows], weight[k, rows], source.texture, warp.uv[rows])

    edges = np.linspace(0, hw[0], _WORKERS + 1).astype(int)
    bands = [slice(a, b) for a, b in itertools.pairwise(edges)]
    list(workers.map(sum_rows, bands))
    # A Lanczos kernel overshoots at edges.
    return _Merged(
        np.clip(rgb, 0, 255), out_depth, out_provenance, out_age, out_confidence, out_depth > 0
    )


@njit(cache=True, nogil=True)
def _weigh(
    depth: F32,
    weight: F32,
    age: F32,
    provenance: NDArray[np.uint8],
    out_depth: F32,
    out_provenance: NDArray[np.uint8],
    out_age: F32,
    out_winner: NDArray[np.int64],
) -> None:
    """Turn densities in ``weight`` (n, H, W) into blending weights that sum to 1, in place.

    ``out_winner`` gets the index of the source of the largest weight, and keeps its value where no
    source shows anything. For the sources k on the nearest surface, with density d, age a:

        share_k = d_k AGE_FADE^-a_k (OBSERVED_BONUS if observed)
        weight_k = share_k^DOMINANCE / sum_j share_j^DOMINANCE
    """
    n, h, w = depth.shape
    for i in range(h):
        for j in range(w):
            nearest = np.inf
            for k in range(n):
                if 0 < depth[k, i, j] < nearest:
                    nearest = depth[k, i, j]
            if nearest == np.inf:
                continue
            best, winner = 0.0, -1
            for k in range(n):
                share = 0.0
                if 0 < depth[k, i, j] <= nearest * (1 + SURFACE_TOLERANCE):
                    share = max(weight[k, i, j], 1e-6) * AGE_FADE ** -min(age[k, i, j], 8.0)
                    if provenance[k, i, j] == _OBSERVED:
                        share *= OBSERVED_BONUS
                weight[k, i, j] = share
                if share > best:
                    best, winner = share, k
            total = 0.0
            for k in range(n):
                share = (weight[k, i, j] / best) ** DOMINANCE
                # Sources below 2 % of the best are not sampled at all.
                share = share if share > 0.02 else 0.0
                weight[k, i, j] = share
                total += share
            surface = 0.0
            for k in range(n):
                weight[k, i, j] /= total
                surface += weight[k, i, j] * depth[k, i, j]
            out_depth[i, j] = surface
            out_provenance[i, j] = provenance[winner, i, j]
            out_age[i, j] = age[winner, i, j] + 1
            out_winner[i, j] = winner


def _seam_band(known: Mask, use: Mask, has_beyond: Mask) -> Mask:
    """(H, W) bool: pixels beside the seam where memory and the continuation both exist."""
    reach = 2 * max(3, round(SEAM_BAND * known.shape[0])) + 1
    near = cv2.dilate(use.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    return known & has_beyond & near


def _seam_offset(difference: F32, band: Mask, known: Mask) -> F32:
    """(H, W, 3) smooth correction measured by ``difference`` on ``band``, fading away from it."""
    if not band.any():
        return np.zeros_like(difference)
    offset = push_pull(difference, band)
    offset = np.clip(offset, -MAX_SEAM_OFFSET, MAX_SEAM_OFFSET)
    away = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, 3)
    return offset * np.exp(-away / (SEAM_FADE * known.shape[0]))[..., None]
