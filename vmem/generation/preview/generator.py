"""The preview generator: warps retrieved views and continues the photo, without a model.

For each target the retrieved views are warped through their depth (`warp`) and blended (`blend`);
what they do not cover comes from the mirrored continuation of the photo (`outpaint`), with colours
matched along the seam; remaining holes are filled from the background (`inpaint`). Every pixel
keeps where it comes from and how often it was resampled, and the sharpest source dominates, so that
walking in circles does not blur the scene.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from vmem.arrays import F32, U8
from vmem.cameras import Camera, Cameras
from vmem.generation.base import Context
from vmem.generation.preview.blend import Source, blend
from vmem.generation.preview.extensions import Extensions
from vmem.generation.preview.inpaint import Mask, fill_from_background, push_pull
from vmem.generation.preview.outpaint import Beyond, Extension, render_depth
from vmem.generation.preview.warp import warp_depth
from vmem.progress import CancelToken, OnProgress, Progress, silent
from vmem.types import Frames, Provenance, View

MAX_SEAM_OFFSET = 40.0
"""Largest colour correction at a seam, in 8-bit levels."""
SEAM_BAND = 0.04
"""Width of the band beside a seam on which colours are compared, as share of the image height."""
SEAM_FADE = 0.1
"""Share of the image height over which a seam's colour correction fades."""
_WORKERS = min(4, os.cpu_count() or 1)
"""Threads that make a frame; each writes its own part, so their number changes no result."""


_KEPT_SOURCES = 16
"""Views that are kept ready to be warped, the last used; 0.8 MB each at 288 pixels."""


@dataclass(frozen=True, eq=False)
class _Made:
    """One new frame."""

    rgb: U8
    depth: F32
    provenance: U8
    age: F32
    confidence: F32
    unknown: float
    """Share of it that was filled."""


class PreviewGenerator:
    """Generator (see `vmem.generation.base`) that warps, extends and fills.

    Stateless except for caches of anchors' extensions and of views as sources, which never change a
    result.
    """

    def __init__(self) -> None:
        self._extensions = Extensions()
        self._sources: weakref.WeakKeyDictionary[View, Source] = weakref.WeakKeyDictionary()

    def prepare(self, anchor: View, *, seed: int) -> None:
        """Begin to continue the photo, which the first step would otherwise have to wait for."""
        self._extensions.start(anchor, seed)

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
        extension = self._extensions.get(context.anchor, seed, cancel)
        cancel.check()
        sources = [self._source_of(view, context.anchor) for view in context.views]
        order = [len(targets) - 1, *range(len(targets) - 1)]
        made: dict[int, _Made] = {}
        with ThreadPoolExecutor(_WORKERS) as workers:
            for done, index in enumerate(order, start=1):
                frame = _make_frame(sources, targets[index], extension, workers, cancel)
                if not made and len(order) > 1:
                    sources = [*sources, _as_source(frame, targets[index])]
                made[index] = frame
                on_progress(Progress("generate", done, len(targets)))
                cancel.check()
        frames = [made[index] for index in range(len(targets))]
        return Frames(
            rgb=np.stack([frame.rgb for frame in frames]),
            depth=np.stack([frame.depth for frame in frames]),
            provenance=np.stack([frame.provenance for frame in frames]),
            age=np.stack([frame.age for frame in frames]),
            confidence=np.stack([frame.confidence for frame in frames]),
            unknown=np.array([frame.unknown for frame in frames], np.float32),
        )

    def _source_of(self, view: View, anchor: View) -> Source:
        """A stored view as a source: most are asked for again in the next step."""
        source = self._sources.pop(view, None) or _recall(view, anchor)
        self._sources[view] = source
        for oldest in list(self._sources)[:-_KEPT_SOURCES]:
            self._sources.pop(oldest, None)
        return source


def _recall(view: View, anchor: View) -> Source:
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
    return Source.make(view.rgb, view.camera, view.depth, provenance, age, view.confidence)


def _make_frame(
    sources: Sequence[Source],
    camera: Camera,
    extension: Extension,
    workers: ThreadPoolExecutor,
    cancel: CancelToken,
) -> _Made:
    """One frame from warped sources, the extension and the fill."""
    warps = list(workers.map(lambda s: warp_depth(s.texture.depth, s.camera, camera), sources))
    cancel.check()
    merged = blend(sources, warps, camera.hw, workers, _WORKERS)
    cancel.check()
    rgb, depth, confidence = merged.rgb, merged.depth, merged.confidence
    unknown = 0.0
    if not merged.known.all():
        beyond_depth = render_depth(extension, camera)
        cancel.check()
        use = ~merged.known & (beyond_depth > 0)
        band = _seam_band(merged.known, use, beyond_depth > 0)
        beyond = Beyond.at(extension, camera, beyond_depth, use | band)
        colour = beyond.color()
        colour += _seam_offset(rgb - colour, band, merged.known)
        np.copyto(rgb, colour, where=use[..., None])
        np.copyto(depth, beyond_depth, where=use)
        np.copyto(confidence, beyond.confidence(), where=use)
        known = merged.known | use
        unknown = 1 - float(known.mean())
        rgb, depth = fill_from_background(rgb, depth, known)
        if not known.all():
            # A filled pixel at the edge of the sky may be sky or not: no confidence in it.
            filled = push_pull(confidence[..., None], known)[..., 0]
            np.copyto(confidence, filled > 0.9, where=~known)
    return _Made(
        rgb=np.clip(np.rint(rgb, out=rgb), 0, 255, out=rgb).astype(np.uint8),
        depth=depth.astype(np.float32, copy=False),
        provenance=merged.provenance,
        age=merged.age,
        confidence=np.clip(confidence, 0, 1, out=confidence),
        unknown=unknown,
    )


def _as_source(frame: _Made, camera: Camera) -> Source:
    return Source.make(
        frame.rgb, camera, frame.depth, frame.provenance, frame.age, frame.confidence
    )


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
