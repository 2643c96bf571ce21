"""Colours for surfels: image, vote weight, support, what is uncovered, owner, provenance, age,
normal, depth; and what the view under the pointer explains. Each with a legend.

A retrieval may be of a memory that was shorter: surfels that it did not know are dark. Nothing
here looks at more of the links than those of visible surfels, so that colours can follow a pointer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numba import njit
from numpy.typing import NDArray

from viewer.paint.palette import (
    BACKGROUND,
    CIVIDIS,
    INFERNO,
    INVENTED,
    POINTED,
    REMEMBERED,
    VIRIDIS,
    bar,
    colormap,
    grey,
    owner_palette,
)
from viewer.paint.surfel_provenance import surfel_provenance
from viewer.settings import Heat
from vmem.arrays import F32, I32, U8
from vmem.kernels.parallel import read_only, run_sliced, thread_count
from vmem.memory import MemorySnapshot
from vmem.raster import SurfelBuffers
from vmem.raster.blocks import BLOCK, visible_blocks
from vmem.raster.visibility import NEAREST, visible_votes
from vmem.retrieval.attribution import looks, looks_beside, owners, visible_surfels
from vmem.types import PUBLISHED, WEIGHTINGS, Provenance, Retrieval
from vmem.types.wording import percent

UNSEEN = 0.28
"""Brightness left to surfels that play no part, so that the room stays readable."""

COVERED = 0.75
"""Brightness of surfels that a chosen view saw, where the others are what matters."""

SHARED = 0.4
"""How far surfels that other chosen views saw too take on the colour of the view pointed at."""

SURFELS_A_THREAD = 262_144
"""To dim fewer than this, a second thread costs more than it saves."""

PIXELS_A_THREAD = 65_536
"""Below this a second thread costs more than it saves."""

FAR_SAMPLES = 32_768
"""About how many surfels are sampled to find out how far they are."""

NOTHING = np.zeros(0, np.int32)
"""Surfels where none has a value."""


@dataclass(frozen=True, eq=False)
class Painted:
    """Colours of all surfels, and what they mean."""

    color: U8
    """(S, 3) for every surfel."""
    legend: str
    """What the colours mean, with units."""
    bar: U8 | None = None
    """(1, 256, 3) from low to high; None where the colours are no scale."""
    ends: tuple[str, str] = ("", "")
    """What the low and the high end of the bar mean, with units."""
    valued: NDArray[np.integer] | None = None
    """(m,) the surfels that have a value; the others are dimmed. None: all have one."""


def _image(memory: MemorySnapshot, retrieval: Retrieval | None) -> Painted:
    return Painted(memory.surfels.color, "surfels in the colours of the frames that made them")


def _dimmed(memory: MemorySnapshot) -> U8:
    """All surfels in dark grey, so that the room stays readable behind what is highlighted.

    The caller may write to it. Live colours ask for the same memory again and again: it is copied,
    at a fifth of the time that it takes to make.
    """
    made = _DIMMED.get(memory)
    if made is None:
        made = _DIMMED[memory] = _all_dimmed(memory.surfels.color)
    return made.copy()


_DIMMED: WeakKeyDictionary[MemorySnapshot, U8] = WeakKeyDictionary()
"""What _dimmed makes, while its memory is in use."""


def _all_dimmed(color: U8) -> U8:
    (given,) = read_only(color)
    color = np.empty(given.shape, np.uint8)
    (levels,) = read_only((np.arange(3 * 255 + 1) / 3 * UNSEEN).astype(np.uint8))

    def part(_: int, start: int, stop: int) -> None:
        _grey_rows(given[start:stop], levels, color[start:stop])

    run_sliced(part, len(color), min(thread_count(), len(color) // SURFELS_A_THREAD))
    return color


@njit(cache=True, nogil=True)
def _grey_rows(given, levels, color):
    for i in range(given.shape[0]):
        total = np.int32(given[i, 0]) + np.int32(given[i, 1]) + np.int32(given[i, 2])
        for channel in range(3):
            color[i, channel] = levels[total]


def _known(memory: MemorySnapshot, retrieval: Retrieval | None) -> Retrieval | None:
    """The retrieval, unless it is of another, longer memory: that colours nothing."""
    if retrieval is None or len(retrieval.surfel_weight) > len(memory.surfels):
        return None
    return retrieval if len(retrieval.votes) <= len(memory.views) else None


def _seen(memory: MemorySnapshot, retrieval: Retrieval) -> tuple[I32, F32]:
    """Surfels that a target sees, (m,) i32 ascending, and the vote of a pixel of each, (m,) f32.

    Looks at the surfels of visible blocks only, and so costs what the targets see.
    """
    if retrieval.query.density < 1:
        # Disks that stand for others are wider than their blocks say.
        seen = visible_surfels(retrieval)
        weight, pixels = retrieval.surfel_weight[seen], retrieval.surfel_pixels[seen]
        return seen, np.divide(weight, pixels, dtype=np.float32)
    # In the browser a disk may lie on top that the drawing found beneath its neighbours.
    known = memory.surfels[: len(retrieval.surfel_weight)]
    by = WEIGHTINGS[retrieval.query.vote]
    beneath = np.zeros(len(known), np.float32)
    looked_at = np.zeros(len(memory.blocks), bool)
    for target, buffers in zip(retrieval.targets, retrieval.buffers, strict=True):
        blocks = visible_blocks(memory.blocks, target, NEAREST)
        looked_at[blocks] = True
        visible_votes(known, buffers, target, *by, blocks=blocks, out=beneath)
    blocks = np.flatnonzero(looked_at).astype(np.int32)
    seen, votes = np.empty(len(blocks) * BLOCK, np.int32), np.empty(len(blocks) * BLOCK, np.float32)
    given = read_only(blocks, beneath, retrieval.surfel_weight, retrieval.surfel_pixels)
    m = _gather(seen, votes, BLOCK, *given)
    return seen[:m], votes[:m]


@njit(cache=True, nogil=True)
def _gather(seen, votes, size, blocks, beneath, weight, pixels):
    m, n = 0, beneath.shape[0]
    for block in blocks:
        for s in range(block * size, min(n, (block + 1) * size)):
            vote = weight[s] / pixels[s] if pixels[s] > 0 else beneath[s]
            if vote > 0:
                seen[m], votes[m] = s, vote
                m += 1
    return m


def _weight(memory: MemorySnapshot, retrieval: Retrieval | None) -> Painted:
    color, top, vote, seen = _dimmed(memory), 0.0, PUBLISHED, NOTHING
    if known := _known(memory, retrieval):
        (seen, votes), vote = _seen(memory, known), known.query.vote
        if len(seen):
            top = float(np.quantile(votes, 0.99))
            color[seen] = colormap(0.12 + 0.88 * (votes / max(top, 1e-12)).clip(0, 1))
    legend = (
        f"vote of a pixel, {vote}, z: depth in scene units: 0 to {top:.2f} · "
        "dark grey: not seen from here"
    )
    ends = "0", f"{top:.2f} votes a pixel"
    return Painted(color, legend, bar(INFERNO), ends, seen)


def _support(memory: MemorySnapshot, retrieval: Retrieval | None) -> Painted:
    color, k, seen = _dimmed(memory), 1, NOTHING
    if known := _known(memory, retrieval):
        seen, _ = _seen(memory, known)
        views = looks(memory, known, seen)
        k = max(1, len(known.order))
        color[seen] = colormap(0.15 + 0.85 * views / k, VIRIDIS)
        color[seen[views == 0]] = INVENTED
    legend = (
        f"chosen views that saw the surfel: 1 to {k} · orange: none of them · "
        "dark grey: not seen from here"
    )
    return Painted(color, legend, bar(VIRIDIS), ("1", f"{k} views a surfel"), seen)


def _uncovered(memory: MemorySnapshot, retrieval: Retrieval | None) -> Painted:
    color, share, seen = _dimmed(memory), 0.0, NOTHING
    if known := _known(memory, retrieval):
        seen, _ = _seen(memory, known)
        color[seen] = grey(memory.surfels.color[seen], COVERED)
        unexplained = seen[looks(memory, known, seen) == 0]
        color[unexplained] = INVENTED
        share = _picture_share(known, unexplained)
    legend = (
        f"orange: seen from here, but by none of the chosen views ({percent(share)} of the "
        "picture) · grey: a chosen view saw it · dark grey: not seen from here"
    )
    return Painted(color, legend, valued=seen)


def _owner(memory: MemorySnapshot, retrieval: Retrieval | None) -> Painted:
    palette = owner_palette(len(memory.views))
    color = np.take(palette, owners(memory), axis=0)
    return Painted(color, "one colour for each view: the first that saw the surfel")


def _age(memory: MemorySnapshot, retrieval: Retrieval | None) -> Painted:
    n, last = len(memory.surfels), max(1, len(memory.steps) - 1)
    ends = np.array([0, *(end.n_surfels for end in memory.steps), n], np.int64).clip(0, n)
    step = colormap(np.arange(len(ends) - 1) / last, VIRIDIS)
    color = np.repeat(step, np.diff(ends), axis=0)
    legend = f"step that made the surfel: 0 to {last}"
    return Painted(color, legend, bar(VIRIDIS), ("step 0", f"step {last}"))


def _provenance(memory: MemorySnapshot, retrieval: Retrieval | None) -> Painted:
    color, kind = _dimmed(memory), surfel_provenance(memory)
    for which, tint in PROVENANCE_TINT.items():
        color[kind == which] = tint
    valued = np.flatnonzero(kind < Provenance.OBSERVED)
    legend = (
        "orange: invented by the frame that made the surfel · blue: taken from what an earlier "
        "frame had invented · dark grey: the photo's own light, or not known"
    )
    return Painted(color, legend, valued=valued)


def _normal(memory: MemorySnapshot, retrieval: Retrieval | None) -> Painted:
    color = ((memory.surfels.normal * np.array([1, -1, -1], np.float32) + 1) * 127.5).astype(
        np.uint8
    )
    return Painted(color, "unit normal in the world, -1 to 1: red right, green up, blue back")


def _depth(memory: MemorySnapshot, retrieval: Retrieval | None) -> Painted:
    origin = np.zeros(3) if retrieval is None else retrieval.targets[-1].position
    position = memory.surfels.position
    square = np.zeros(len(position), np.float32)
    for axis in range(3):
        away = position[:, axis] - np.float32(origin[axis])
        square += away * away
    known = _known(memory, retrieval)
    # The scale ends where the target's room does: memory may hold many more.
    some = square[:0] if known is None else square[visible_surfels(known)]
    if not len(some):
        some = square[:: max(1, len(square) // FAR_SAMPLES)]
    far = float(np.quantile(some, 0.95)) ** 0.5 if len(some) else 1.0
    color = colormap(1 - np.sqrt(square) / np.float32(max(far, 1e-6)), CIVIDIS)
    valued = None
    if known is not None:
        n = len(known.surfel_weight)
        color[n:] = grey(memory.surfels.color[n:], UNSEEN)
        valued = np.arange(n)
    legend = f"distance from the target: {far:.3g} to 0 scene units"
    return Painted(color, legend, bar(CIVIDIS), (f"{far:.3g}", "0 scene units"), valued)


MODES: dict[Heat, Callable[[MemorySnapshot, Retrieval | None], Painted]] = {
    "image": _image,
    "weight": _weight,
    "support": _support,
    "uncovered": _uncovered,
    "owner": _owner,
    "provenance": _provenance,
    "age": _age,
    "normal": _normal,
    "depth": _depth,
}
"""Colourings by name, in the order in which H steps through them."""

LIVE_MODES: frozenset[Heat] = frozenset({"weight", "support", "uncovered", "depth"})
"""Colourings that depend on the target."""


def paint_surfels(mode: Heat, memory: MemorySnapshot, retrieval: Retrieval | None) -> Painted:
    """Colours of all surfels in a mode of MODES; ``retrieval`` may be of a shorter memory."""
    return MODES[mode](memory, retrieval)


def paint_pointed(memory: MemorySnapshot, retrieval: Retrieval, view: int) -> Painted:
    """Colour what ``view`` explains of the targets: bright where no other selected view saw it,
    faint where one did. The legend gives numbers of surfels and shares of the picture.

    A retrieval of a longer memory colours nothing, nor does a view that does not exist.
    """
    color, known = _dimmed(memory), _known(memory, retrieval)
    if known is None or not 0 <= view < len(memory.views):
        return Painted(color, f"view {view} is not of this memory", valued=NOTHING)
    seen, _ = _seen(memory, known)
    saw, others = looks_beside(memory, known, seen, view)
    alone, shared = seen[saw & (others == 0)], seen[saw & (others > 0)]
    color[alone] = POINTED
    own = grey(memory.surfels.color[shared], COVERED)
    color[shared] = ((1 - SHARED) * own + SHARED * POINTED).astype(np.uint8)
    chosen = view in known.order
    legend = (
        f"bright blue: {_amount(known, alone)} that of the chosen views only view {view} saw"
        if chosen
        else f"bright blue: {_amount(known, alone)} that view {view} would add to the chosen ones"
    )
    faint = f"faint blue: {_amount(known, shared)} that {'another' if chosen else 'a'} chosen view"
    legend = f"{legend} · {faint} saw as well · dark grey: the rest"
    return Painted(color, legend, valued=np.concatenate([alone, shared]))


def _amount(retrieval: Retrieval, surfels: NDArray[np.int32]) -> str:
    """How many of ``surfels`` (m,) cover a pixel, and how much of the picture they cover."""
    n = int(np.count_nonzero(retrieval.surfel_pixels[surfels]))
    share = percent(_picture_share(retrieval, surfels))
    return f"{n} surfel{'s' * (n != 1)}, {share} of the picture,"


def _picture_share(retrieval: Retrieval, surfels: NDArray[np.int32]) -> float:
    """Share of the targets' pictures that ``surfels`` (m,) cover."""
    total = max(1, sum(buffers.index.size for buffers in retrieval.buffers))
    return float(retrieval.surfel_pixels[surfels].sum(dtype=np.float64)) / total


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
    Provenance.REOBSERVED: REMEMBERED,
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
