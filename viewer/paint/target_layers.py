"""What a target sees of memory, layer by layer, and a wipe between that and its frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from viewer.paint.palette import (
    BACKGROUND,
    CIVIDIS,
    INFERNO,
    INVENTED,
    VIRIDIS,
    WHITE,
    bar,
    colormap,
    grey,
    owner_palette,
)
from viewer.paint.surfel_colors import COVERED, paint_view, percent
from viewer.settings import Layer
from vmem.arrays import U8
from vmem.memory import MemorySnapshot
from vmem.raster import SurfelBuffers
from vmem.retrieval.attribution import looks, owners
from vmem.types import WEIGHTINGS, Retrieval


@dataclass(frozen=True, eq=False)
class LayerPicture:
    """A layer of what a target sees."""

    image: U8
    """(h, w, 3) at query size."""
    legend: str
    """What the colours mean, with units."""
    bar: U8 | None = None
    """(1, 256, 3) from the legend's first figure to its second; None where they are no scale."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """What the painters of layers are given."""

    memory: MemorySnapshot
    retrieval: Retrieval
    buffers: SurfelBuffers
    """What the target sees."""
    scene_color: U8
    """(S, 3) colours of the surfels in the scene."""


def _scene(seen: _Seen) -> LayerPicture:
    image = paint_view(seen.buffers, seen.scene_color)
    return LayerPicture(image, "surfels as chosen under Colour, darker at a slant")


def _index(seen: _Seen) -> LayerPicture:
    palette = owner_palette(len(seen.memory.views))
    image = np.take(palette, owners(seen.memory)[seen.buffers.index], axis=0)
    image[seen.buffers.index < 0] = BACKGROUND
    return LayerPicture(image, "one colour for each view: the first that saw the surfel")


def _scaled(seen: _Seen, value: NDArray[np.floating], which: int, low: float = 0.0) -> U8:
    """Values in [0, 1] (h, w) as colours from ``low`` of a map on, background where none is."""
    image = colormap(low + (1 - low) * value.clip(0, 1), which)
    image[seen.buffers.index < 0] = BACKGROUND
    return image


def _depth(seen: _Seen) -> LayerPicture:
    depth = seen.buffers.depth
    drawn = depth[seen.buffers.index >= 0]
    near, far = (0.0, 1.0) if not len(drawn) else np.quantile(drawn, (0.01, 0.99)).tolist()
    image = _scaled(seen, (far - depth) / max(far - near, 1e-6), CIVIDIS)
    legend = f"depth along the view: {far:.2f} to {near:.2f} scene units · black: nothing stored"
    return LayerPicture(image, legend, bar(CIVIDIS))


def _cosine(seen: _Seen) -> LayerPicture:
    legend = "cosine of the slant: 0, grazing, to 1, straight on · black: nothing stored"
    return LayerPicture(_scaled(seen, seen.buffers.cosine, VIRIDIS), legend, bar(VIRIDIS))


def _weight(seen: _Seen) -> LayerPicture:
    query = seen.retrieval.query
    by_slant, by_depth = WEIGHTINGS[query.vote]
    vote = seen.buffers.cosine if by_slant else (seen.buffers.index >= 0).astype(np.float32)
    vote = vote / (1 + seen.buffers.depth) if by_depth else vote
    drawn = vote[seen.buffers.index >= 0]
    top = float(np.quantile(drawn, 0.99)) if len(drawn) else 0.0
    image = _scaled(seen, vote / np.float32(max(top, 1e-12)), INFERNO, 0.12)
    legend = (
        f"vote of a pixel, {query.vote}, z: depth in scene units: 0 to {top:.2f} · "
        "black: nothing stored"
    )
    return LayerPicture(image, legend, bar(INFERNO))


def _holes(seen: _Seen) -> LayerPicture:
    index = seen.buffers.index
    drawn = index >= 0
    surfel, at = np.unique(index[drawn], return_inverse=True)
    color = grey(seen.memory.surfels.color[surfel], COVERED)
    unknown = looks(seen.memory, seen.retrieval, surfel.astype(np.int32)) == 0
    color[unknown] = (color[unknown].astype(np.uint16) + INVENTED) // 2
    image = np.empty((*index.shape, 3), np.uint8)
    image[~drawn] = INVENTED
    image[drawn] = color[at]
    nothing = float((~drawn).mean())
    known = float(unknown[at].sum()) / max(1, index.size)
    legend = (
        f"orange: nothing stored, {percent(nothing)} of the picture · pale orange: stored, but "
        f"seen by none of the chosen views, {percent(known)} · grey: a chosen view saw it, "
        f"{percent(max(0.0, 1 - nothing - known))}"
    )
    return LayerPicture(image, legend)


LAYERS: dict[Layer, Callable[[_Seen], LayerPicture]] = {
    "scene": _scene,
    "index": _index,
    "depth": _depth,
    "cosine": _cosine,
    "weight": _weight,
    "holes": _holes,
}
"""Layers by name, in the order in which they are offered."""


def paint_layer(
    layer: Layer, memory: MemorySnapshot, retrieval: Retrieval, target: int, scene_color: U8
) -> LayerPicture:
    """A layer of LAYERS for one target of ``retrieval``.

    memory: the one that was asked, or what has become of it · scene_color (S, 3) u8 colours of its
    surfels, for "scene". Raises ValueError for colours of fewer surfels than are drawn or for a
    retrieval of a longer memory, IndexError if there is no such target.
    """
    n = len(memory.surfels)
    if len(retrieval.surfel_weight) > n or len(retrieval.votes) > len(memory.views):
        raise ValueError(f"this memory of {n} surfels is not the one that was asked: retrieve anew")
    return LAYERS[layer](_Seen(memory, retrieval, retrieval.buffers[target], scene_color))


def wipe(frame: U8, picture: U8, share: float) -> U8:
    """(H, W, 3) u8: ``frame`` (H, W, 3) on the left, as far as ``share`` in [0, 1] of its width,
    and ``picture`` (h, w, 3), enlarged without smoothing, on the right; a thin line between them.

    With 0 all is picture, with 1 all is frame; there is no line then.
    """
    h, w = frame.shape[:2]
    rows, columns = (
        (2 * np.arange(n) + 1) * of // (2 * n) for n, of in zip((h, w), picture.shape, strict=False)
    )
    out = picture.take(columns, axis=1).take(rows, axis=0)
    share = min(max(share, 0.0), 1.0)
    seam = round(share * w)
    out[:, :seam] = frame[:, :seam]
    if 0 < share < 1:
        width = max(1, w // 200)
        left = min(max(0, seam - width // 2), w - width)
        out[:, left : left + width] = WHITE
    return out
