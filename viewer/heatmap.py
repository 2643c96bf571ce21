"""Colours for surfels: image, vote weight, owner, age, normal, depth; with their legends.

Maps are perceptually ordered and safe for colour-blind eyes (inferno, viridis, cividis).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vmem.memory import MemorySnapshot
from vmem.raster import SurfelBuffers
from vmem.retrieval import Retrieval
from vmem.views import U8, Provenance

BACKGROUND = np.array([18, 19, 23], np.uint8)
UNSEEN = 0.28
"""Brightness left to surfels that play no part, so that the room stays readable."""

INFERNO, VIRIDIS, CIVIDIS = cv2.COLORMAP_INFERNO, cv2.COLORMAP_VIRIDIS, cv2.COLORMAP_CIVIDIS


@dataclass(frozen=True, eq=False)
class Painted:
    """color (S, 3) u8 for every surfel · legend: what the colours mean, with units · bar
    (1, 256, 3) u8 from low to high, or None where the colours are no scale."""

    color: U8
    legend: str
    bar: U8 | None = None


def colormap(value: NDArray, which: int = INFERNO) -> U8:
    """(..., 3) u8 RGB of values in [0, 1]."""
    flat = np.clip(np.asarray(value) * 255, 0, 255).astype(np.uint8).reshape(-1, 1)
    return cv2.applyColorMap(flat, which)[:, 0, ::-1].reshape(*np.shape(value), 3)


def owner_colors(n: int) -> U8:
    """(n, 3) u8 distinct colours, stable by index: hues a golden angle apart."""
    index = np.arange(n)
    hsv = np.stack(
        [(index * 0.61803398875 % 1.0) * 179, np.full(n, 150), 235 - 45 * (index % 3)], axis=-1
    )
    return cv2.cvtColor(hsv.astype(np.uint8)[None], cv2.COLOR_HSV2RGB)[0]


def _bar(which: int) -> U8:
    return colormap(np.linspace(0, 1, 256), which)[None]


def _image(memory: MemorySnapshot, retrieval: Retrieval | None) -> Painted:
    return Painted(memory.surfels.color, "surfels in the colours of the frames that made them")


def _weight(memory: MemorySnapshot, retrieval: Retrieval | None) -> Painted:
    dim = (memory.surfels.color.mean(axis=1, keepdims=True) * UNSEEN).astype(np.uint8)
    color = np.repeat(dim, 3, axis=1)
    top = 0.0
    if retrieval is not None and len(retrieval.surfel_weight) <= len(color):
        weight = retrieval.surfel_weight
        seen = np.flatnonzero(weight > 0)
        if len(seen):
            top = float(np.quantile(weight[seen], 0.98))
            # Square root: a few near surfels cover most pixels and would drown the others.
            color[seen] = colormap(0.15 + 0.85 * np.sqrt(weight[seen] / top).clip(0, 1))
    legend = f"vote of a surfel, Σ cos/(1+depth) over its pixels: 0 to {top:.2f}; grey: unseen"
    return Painted(color, legend, _bar(INFERNO))


def _owner(memory: MemorySnapshot, retrieval: Retrieval | None) -> Painted:
    first = np.full(len(memory.surfels), len(memory.views), np.int32)
    # Links are appended in order of views, so writing them backwards leaves the first.
    first[memory.link_surfel[::-1]] = memory.link_view[::-1]
    palette = owner_colors(len(memory.views) + 1)
    return Painted(palette[first], "one colour for each view: the first that saw the surfel")


def _age(memory: MemorySnapshot, retrieval: Retrieval | None) -> Painted:
    ends = np.array([end.n_surfels for end in memory.steps])
    step = np.searchsorted(ends, np.arange(len(memory.surfels)), side="right")
    last = max(1, len(ends) - 1)
    return Painted(
        colormap(step / last, VIRIDIS), f"step that made the surfel: 0 to {last}", _bar(VIRIDIS)
    )


def _normal(memory: MemorySnapshot, retrieval: Retrieval | None) -> Painted:
    color = ((memory.surfels.normal * [1, -1, -1] + 1) * 127.5).astype(np.uint8)
    return Painted(color, "normal in the world: red right, green up, blue back")


def _depth(memory: MemorySnapshot, retrieval: Retrieval | None) -> Painted:
    eye = memory.views[0].camera.position if retrieval is None else retrieval.targets[-1].position
    distance = np.linalg.norm(memory.surfels.position - eye.astype(np.float32), axis=1)
    far = float(np.quantile(distance, 0.95)) if len(distance) else 1.0
    color = colormap(1 - (distance / max(far, 1e-6)).clip(0, 1), CIVIDIS)
    return Painted(color, f"distance from the ghost: {far:.1f} to 0 scene units", _bar(CIVIDIS))


MODES: dict[str, Callable[[MemorySnapshot, Retrieval | None], Painted]] = {
    "image": _image,
    "weight": _weight,
    "owner": _owner,
    "age": _age,
    "normal": _normal,
    "depth": _depth,
}
"""Colourings by name, in the order in which H steps through them."""


def paint_surfels(mode: str, memory: MemorySnapshot, retrieval: Retrieval | None) -> Painted:
    """Colours of all surfels in a mode of MODES; ``retrieval`` may be of a shorter memory."""
    return MODES[mode](memory, retrieval)


def paint_view(buffers: SurfelBuffers, color: U8) -> U8:
    """(H, W, 3) u8: what ``buffers`` saw, in surfel colours (S, 3); gently shaded by slant."""
    image = np.empty((*buffers.index.shape, 3), np.uint8)
    image[:] = BACKGROUND
    seen = buffers.index >= 0
    shading = (0.6 + 0.4 * buffers.cosine[seen])[:, None]
    image[seen] = (color[buffers.index[seen]] * shading).astype(np.uint8)
    return image


PROVENANCE_TINT = {
    Provenance.EXTRAPOLATED: (213, 94, 0),
    Provenance.REOBSERVED: (0, 114, 178),
}


def paint_provenance(rgb: U8, provenance: U8 | None) -> U8:
    """The frame (H, W, 3) with invented pixels tinted orange and remembered inventions blue."""
    if provenance is None:
        return rgb
    out = rgb.copy()
    for kind, tint in PROVENANCE_TINT.items():
        mask = provenance == kind
        out[mask] = (0.5 * rgb[mask] + 0.5 * np.array(tint)).astype(np.uint8)
    return out
