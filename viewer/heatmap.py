"""Colours for surfels: image, vote weight, support, owner, age, normal, depth; with legends.

Maps are perceptually ordered and safe for colour-blind eyes (inferno, viridis, cividis).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from vmem.memory import MemorySnapshot
from vmem.parallel import run_sliced, thread_count
from vmem.raster import SurfelBuffers
from vmem.raster.visibility import visible_votes
from vmem.retrieval import Retrieval
from vmem.views import F32, U8, Provenance

BACKGROUND = np.array([18, 19, 23], np.uint8)
UNSEEN = 0.28
"""Brightness left to surfels that play no part, so that the room stays readable."""

PIXELS_A_THREAD = 65_536
"""Below this a second thread costs more than it saves."""

INVENTED = np.array([213, 94, 0], np.uint8)
"""The one loud colour: what nobody knows and the generator makes up."""

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
    if not len(flat):  # OpenCV makes nothing at all of an empty image
        return np.zeros((*np.shape(value), 3), np.uint8)
    colored = cv2.applyColorMap(flat, which)[:, 0, ::-1]
    return np.asarray(colored, np.uint8).reshape(*np.shape(value), 3)


def owner_colors(n: int) -> U8:
    """(n, 3) u8 distinct colours, stable by index: hues a golden angle apart."""
    index = np.arange(n)[:, None]
    hue = index * 0.61803398875 % 1.0
    saturation, value = 0.59, 235 - 45 * (index % 3)
    # HSV to RGB, channel by channel. OpenCV's own differs by a level with the length of the array.
    sector = (6 * hue + [5, 3, 1]) % 6
    chroma = np.minimum(sector, 4 - sector).clip(0, 1)
    return np.asarray(value * (1 - saturation * chroma), np.uint8)


def _bar(which: int) -> U8:
    return colormap(np.linspace(0, 1, 256), which)[None]


def _image(memory: MemorySnapshot, retrieval: Retrieval | None) -> Painted:
    return Painted(memory.surfels.color, "surfels in the colours of the frames that made them")


def _dimmed(memory: MemorySnapshot) -> U8:
    """All surfels in dark grey, so that the room stays readable behind what is lit."""
    grey = (memory.surfels.color.mean(axis=1, keepdims=True) * UNSEEN).astype(np.uint8)
    return np.repeat(grey, 3, axis=1)


def _votes(memory: MemorySnapshot, retrieval: Retrieval | None) -> F32:
    """(S,) f32 vote of a pixel of each surfel that a target sees, 0 for the others.

    All zero for a retrieval of another, longer memory.
    """
    votes = np.zeros(len(memory.surfels), np.float32)
    if retrieval is None or len(retrieval.surfel_weight) > len(votes):
        return votes
    n = len(retrieval.surfel_weight)
    drawn = retrieval.surfel_pixels > 0
    votes[:n][drawn] = retrieval.surfel_weight[drawn] / retrieval.surfel_pixels[drawn]
    # In the browser a disk may lie on top that the drawing found beneath its neighbours.
    for target, buffers in zip(retrieval.targets, retrieval.buffers, strict=True):
        beneath = visible_votes(memory.surfels[:n], buffers, target)
        votes[:n] = np.where(drawn, votes[:n], np.maximum(votes[:n], beneath))
    return votes


def _weight(memory: MemorySnapshot, retrieval: Retrieval | None) -> Painted:
    color, votes = _dimmed(memory), _votes(memory, retrieval)
    seen = votes > 0
    top = float(np.quantile(votes[seen], 0.99)) if seen.any() else 0.0
    color[seen] = colormap(0.12 + 0.88 * (votes[seen] / max(top, 1e-12)).clip(0, 1))
    legend = f"vote of a pixel, cos/(1+depth): 0 to {top:.2f} · dark grey: not seen from here"
    return Painted(color, legend, _bar(INFERNO))


def _support(memory: MemorySnapshot, retrieval: Retrieval | None) -> Painted:
    color, seen = _dimmed(memory), np.flatnonzero(_votes(memory, retrieval) > 0)
    k = 1
    if retrieval is not None and len(seen):
        k = max(1, len(retrieval.order))
        used = np.isin(memory.link_view, retrieval.order)
        views = np.bincount(memory.link_surfel[used], minlength=len(color))[seen]
        color[seen] = colormap(0.15 + 0.85 * views / k, VIRIDIS)
        color[seen[views == 0]] = INVENTED
    legend = (
        f"chosen views that saw the surfel: 1 to {k} · orange: none of them · "
        "dark grey: not seen from here"
    )
    return Painted(color, legend, _bar(VIRIDIS))


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
    eye = np.zeros(3) if retrieval is None else retrieval.targets[-1].position
    distance = np.linalg.norm(memory.surfels.position - eye.astype(np.float32), axis=1)
    far = float(np.quantile(distance, 0.95)) if len(distance) else 1.0
    color = colormap(1 - (distance / max(far, 1e-6)).clip(0, 1), CIVIDIS)
    return Painted(color, f"distance from the ghost: {far:.1f} to 0 scene units", _bar(CIVIDIS))


MODES: dict[str, Callable[[MemorySnapshot, Retrieval | None], Painted]] = {
    "image": _image,
    "weight": _weight,
    "support": _support,
    "owner": _owner,
    "age": _age,
    "normal": _normal,
    "depth": _depth,
}
"""Colourings by name, in the order in which H steps through them."""

LIVE_MODES = frozenset({"weight", "support", "depth"})
"""Colourings that depend on where the ghost stands."""


def paint_surfels(mode: str, memory: MemorySnapshot, retrieval: Retrieval | None) -> Painted:
    """Colours of all surfels in a mode of MODES; ``retrieval`` may be of a shorter memory."""
    return MODES[mode](memory, retrieval)


def paint_view(
    buffers: SurfelBuffers, color: U8, *, shade: float = 0.4, background: U8 = BACKGROUND
) -> U8:
    """(H, W, 3) u8: what ``buffers`` saw, in surfel colours (S, 3) u8.

    Gently shaded by slant; with ``shade`` 0 the colours stay as they are. ValueError for colours of
    fewer surfels than were drawn.
    """
    shown = int(buffers.index.max(initial=-1))
    if color.ndim != 2 or color.shape[1] != 3 or shown >= len(color):
        raise ValueError(f"surfel {shown} was drawn, but colours are {color.shape}")
    h, w = buffers.index.shape
    image = np.empty((h, w, 3), np.uint8)
    color = np.ascontiguousarray(color)

    def paint(part: int, start: int, stop: int) -> None:
        rows = slice(start, stop)
        _paint_rows(
            buffers.index[rows],
            buffers.cosine[rows],
            color,
            background,
            np.float32(shade),
            image[rows],
        )

    run_sliced(paint, h, min(thread_count(), h * w // PIXELS_A_THREAD))
    return image


@njit(cache=True, nogil=True)
def _paint_rows(index, cosine, color, background, shade, image):
    facing = np.float32(1) - shade
    for row in range(index.shape[0]):
        for column in range(index.shape[1]):
            surfel = index[row, column]
            if surfel < 0:
                for channel in range(3):
                    image[row, column, channel] = background[channel]
            else:
                shading = facing + shade * cosine[row, column]
                for channel in range(3):
                    image[row, column, channel] = np.uint8(color[surfel, channel] * shading)


PROVENANCE_TINT = {
    Provenance.EXTRAPOLATED: INVENTED,
    Provenance.REOBSERVED: np.array([0, 114, 178], np.uint8),
}


def paint_provenance(rgb: U8, provenance: U8 | None) -> U8:
    """The frame (H, W, 3) with invented pixels tinted orange and remembered inventions blue."""
    if provenance is None:
        return rgb
    out = rgb.copy()
    for kind, tint in PROVENANCE_TINT.items():
        mask = provenance == kind
        out[mask] = (0.5 * rgb[mask] + 0.5 * tint).astype(np.uint8)
    return out
