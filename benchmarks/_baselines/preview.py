"""The preview generator and the check of maps as they were before their speed was worked on.

Only measurements read this; it is not kept in step with the product.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from benchmarks._baselines.preview_kernels import accumulate, warp_depth, weigh
from vmem.arrays import F32, U8
from vmem.cameras import Camera, Cameras, unproject
from vmem.generation import Context
from vmem.generation.preview.fold import fold_directions, photo_index, tile_floor
from vmem.generation.preview.generator import _seam_band, _seam_offset
from vmem.generation.preview.inpaint import Mask, fill_from_background, push_pull
from vmem.generation.preview.outpaint import Beyond, Extension, extend
from vmem.generation.preview.texture import Texture, make_texture
from vmem.generation.preview.warp import Warp, tear_ratio
from vmem.progress import CancelToken, OnProgress, Progress, silent
from vmem.types import Frames, PointMaps, Provenance, View

_WORKERS = min(4, os.cpu_count() or 1)


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


class PreviewBefore:
    """PreviewGenerator as it was."""

    def __init__(self) -> None:
        self._extensions: dict[tuple[int, int], Extension] = {}

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
        """Frames (T, H, W, 3) at the targets, warped from the context views as before issue 13."""
        cancel = cancel or CancelToken()
        if not context.views:
            raise ValueError("the preview generator needs at least one context view, got none")
        cancel.check()
        extension = self._extensions.get((id(context.anchor), seed))
        if extension is None:
            extension = extend(context.anchor, seed)
            self._extensions[id(context.anchor), seed] = extension
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
        beyond_depth = _render_depth(extension, camera)
        cancel.check()
        use = ~merged.known & (beyond_depth > 0)
        band = _seam_band(merged.known, use, beyond_depth > 0)
        beyond = _render_color(extension, camera, beyond_depth, use | band)
        beyond += _seam_offset(rgb - beyond, band, merged.known)
        rgb = np.where(use[..., None], beyond, rgb)
        depth = np.where(use, beyond_depth, depth)
        confidence = confidence + Beyond.at(extension, camera, beyond_depth, use).confidence()
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
    weigh(depth, weight, age, provenance, out_depth, out_provenance, out_age, winner)
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


def _render_depth(extension: Extension, camera: Camera) -> F32:
    """z-depth of the continuation in ``camera``; 0 where it shows none."""
    depth = np.zeros(camera.hw, np.float32)
    for face, face_depth in extension.faces:
        warped = warp_depth(face_depth, face, camera).depth
        nearer = (warped > 0) & ((depth == 0) | (warped < depth))
        depth[nearer] = warped[nearer]
    return depth


def _render_color(
    extension: Extension,
    camera: Camera,
    depth: F32,
    wanted: Mask,
) -> F32:
    """Colour in [0, 255] of the continuation at ``depth`` where ``wanted``, else 0."""
    directions = unproject(depth, camera)[wanted] - extension.position
    folded = fold_directions(extension.fold, directions)
    tile_azimuth, tile_drop, tile_share = tile_floor(extension.fold, directions, folded)
    rgb = np.zeros((*camera.hw, 3), np.float32)
    for azimuth, drop, share in (
        (folded.azimuth, folded.content_drop, 1 - tile_share),
        (tile_azimuth, tile_drop, tile_share),
    ):
        uv = np.zeros((*camera.hw, 2), np.float32)
        uv[wanted] = photo_index(extension.fold, azimuth, drop)[0]
        weight = np.zeros(camera.hw, np.float32)
        weight[wanted] = share
        accumulate(rgb, weight, extension.texture, uv)
    return np.clip(rgb, 0, 255)


def check_maps_before(maps: PointMaps, targets: Cameras, min_confidence: float) -> None:
    """check_maps as it was, without its words."""
    trusted = maps.confidence >= min_confidence
    assert maps.points.shape == (len(targets), *targets.hw, 3)
    assert np.isfinite(maps.points[trusted]).all()
    assert (maps.depth[trusted] > 0).all()
