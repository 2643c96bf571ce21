"""One explanation as a figure for a paper: what was asked, what was used, what is invented.

matplotlib is used without pyplot, which shares state: so any thread may draw. The figure is as wide
as a text of two columns, and its letters are legible at that width.
"""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from viewer.paint.map import draw_plan
from viewer.paint.palette import INVENTED, owner_colors
from viewer.paint.target_layers import LayerPicture, paint_layer
from viewer.scene.frustums import thumbnail
from viewer.share.page_layout import (
    BODY,
    DPI,
    FRAME,
    GUTTER,
    INK,
    ROW,
    TITLE,
    TITLE_HEIGHT,
    Picture,
    drawn,
    joined,
    paragraph,
    row,
    sheet,
    write,
    write_title,
)
from viewer.share.recording import frames_of, heading
from vmem.arrays import U8
from vmem.memory import MemorySnapshot
from vmem.retrieval.attribution import owners, picture_shares, visible_surfels
from vmem.retrieval.explain.summary import plain_reason
from vmem.retrieval.explain.wording import percent
from vmem.types import Query, Retrieval

WIDTH = 7.2
"""Inches: a text of two columns."""
EDGE, GAP = 0.08, 0.1
"""Inches around the page, and between its rows."""
LEFT_SHARE = 0.66
"""Share of the width that the views take; the map has the rest."""
MOST_CHOSEN, MOST_REJECTED = 8, 4
"""How many views used and views left out are shown."""
THUMBNAIL_PIXELS = 320
LEAST_MAP = 1.5
"""Inches that the map and its words are high at least."""
MOST_OWNERS = 4
"""How many views are named that first saw what is visible."""
MAP_WORDS = (
    "Black wedge: the target. Filled wedges: views used, by rank, in their colours of c. "
    "White dots: left out. Grey: other views, and walls in memory."
)


def explanation_figure(
    memory: MemorySnapshot,
    retrieval: Retrieval,
    step: int | None,
    frame: U8 | None = None,
    *,
    title: str | None = None,
    target: int = -1,
    dpi: int = DPI,
) -> bytes:
    """A PNG that explains ``retrieval``.

    memory: the retrieval's own or a longer one. step: whose retrieval it is, None for that of the
    ghost. frame (H, W, 3): what was generated for the target; by default the step's own, or for the
    ghost what memory holds. target: which of the targets is shown. Raises ValueError for a step
    that ``memory`` does not have.
    """
    made = frames_of(memory, step)
    if frame is None and made:
        frame = made[target].rgb
    target %= len(retrieval.targets)
    rejected = best_rejected(retrieval, MOST_REJECTED)
    width = WIDTH - 2 * EDGE
    asked = f"{_asked(retrieval.query)}; {_sizes(retrieval)}"
    page = [
        paragraph(title or heading(step), width, dpi, size=TITLE + 1.5, color=INK, weight="bold"),
        paragraph(asked, width, dpi),
        row(_pictures(memory, retrieval, target, frame), width, dpi),
    ]
    gap = round(GAP * dpi)
    views = joined(_views(memory, retrieval, rejected, LEFT_SHARE * width, dpi), 0, gap)
    size = (1 - LEFT_SHARE) * width - 2 * GUTTER, max(views.shape[0] / dpi, LEAST_MAP)
    plan = _map(memory, retrieval, rejected, target, size, dpi)
    page.append(joined([views, plan], 1, round(2 * GUTTER * dpi)))
    if retrieval.note:
        page.append(paragraph(f"Note: {retrieval.note}", width, dpi, color=INK))
    pixels = joined(page, 0, gap)
    edge = round(EDGE * dpi)
    sides = (edge, round(WIDTH * dpi) - edge - pixels.shape[1])
    pixels = np.pad(pixels, ((edge, edge), sides, (0, 0)), constant_values=255)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", dpi=(dpi, dpi))
    return out.getvalue()


def best_rejected(retrieval: Retrieval, n: int) -> list[int]:
    """The ``n`` views with the most votes that were not chosen though they have some."""
    by_votes = np.argsort(-retrieval.votes, kind="stable").tolist()
    taken = set(retrieval.order)
    return [view for view in by_votes if view not in taken and retrieval.votes[view] > 0][:n]


def _views(
    memory: MemorySnapshot, retrieval: Retrieval, rejected: list[int], width: float, dpi: int
) -> list[U8]:
    """Rows with the views used and, if there are any, the best ones left out."""
    chosen, colors = retrieval.order[:MOST_CHOSEN], owner_colors(len(memory.views))
    used = f"Views used, {len(chosen)} of {len(retrieval.order)} shown"
    if len(chosen) == len(retrieval.order):
        used = "Views used, with their share of the votes and of the surface that they saw"
    cards = [
        _card(memory, retrieval, view, f"{rank}: view {view}", colors[view])
        for rank, view in enumerate(chosen, 1)
    ]
    parts = _rows("e", used, cards, width, dpi)
    if rejected:
        cards = [_card(memory, retrieval, view, f"view {view}") for view in rejected]
        parts += _rows("f", "Left out, though most voted for", cards, width, dpi)
    return parts


def _rows(letter: str, title: str, cards: list[Picture], width: float, dpi: int) -> list[U8]:
    """Rows of ROW cards each, the first below a title."""
    if not cards:
        return [paragraph(f"{letter}  {title}", width, dpi, size=TITLE, color=INK)]
    cards = [replace(cards[0], letter=letter, title=title), *cards[1:]]
    return [row(cards[i : i + ROW], width, dpi) for i in range(0, len(cards), ROW)]


def _card(
    memory: MemorySnapshot, retrieval: Retrieval, view: int, name: str, frame: U8 | None = None
) -> Picture:
    """A view with its numbers and the reason why it was used or left out."""
    stored = memory.views[view]
    origin = "the photo" if stored.step == 0 else f"step {stored.step}"
    votes, seen = retrieval.share[view], retrieval.coverage[view]
    why = retrieval.reasons[view] if retrieval.chosen[view] else plain_reason(retrieval, view)
    words = f"votes {_percent(votes)}, saw {_percent(seen)}\n{why}"
    image = thumbnail(stored.rgb, THUMBNAIL_PIXELS)
    return Picture(image, words, head=f"{name} ({origin})", frame=frame)


def _map(
    memory: MemorySnapshot,
    retrieval: Retrieval,
    rejected: list[int],
    target: int,
    size: tuple[float, float],
    dpi: int,
) -> U8:
    """The walk from above on a sheet of ``size`` (width, height) inches."""
    figure = sheet(*size, dpi)
    write_title(figure, "g", "From above")
    words = write(figure, MAP_WORDS, figure, xytext=(72 * FRAME, 0), va="bottom")
    low, left = words.get_window_extent().height / dpi + 0.04, FRAME / size[0]
    axes = figure.add_axes((left, low / size[1], 1 - 2 * left, 1 - (TITLE_HEIGHT + low) / size[1]))
    draw_plan(axes, memory, retrieval, rejected, target=target, size=BODY)
    return drawn(figure)


def _pictures(
    memory: MemorySnapshot, retrieval: Retrieval, target: int, frame: U8 | None
) -> list[Picture]:
    """The four of the first row."""

    def layer(name: str) -> LayerPicture:
        return paint_layer(name, memory, retrieval, target, memory.surfels.color)

    shares = picture_shares(memory, retrieval)
    weight, owner, holes = layer("weight"), layer("index"), layer("holes")
    if frame is None:
        shown, words = layer("scene").image, "seen from the ghost's place"
        what, invented = "What memory holds", "What would be invented"
    else:
        shown, words = frame, f"{frame.shape[1]} x {frame.shape[0]} pixels"
        what, invented = "Generated frame", "What had to be invented"
    parts = [
        (INVENTED, f"nothing stored: {_percent(shares.nothing)}"),
        (INVENTED // 2 + 96, f"stored, not in views used: {_percent(shares.known)}"),
        (np.full(3, 128, np.uint8), f"seen by views used: {_percent(shares.covered)}"),
    ]
    pixels_of = f"shares of the pixels of {_targets(len(retrieval.targets))}"
    return [
        Picture(shown, words, "a", what),
        Picture(weight.image, weight.legend, "b", "Weight of the votes", bar=weight.bar),
        Picture(
            owner.image, "", "c", "Who saw it first", swatches=_owner_swatches(memory, retrieval)
        ),
        Picture(holes.image, pixels_of, "d", invented, swatches=parts),
    ]


def _targets(n: int) -> str:
    return "the target" if n == 1 else f"all {n} targets"


def _owner_swatches(memory: MemorySnapshot, retrieval: Retrieval) -> list[tuple[U8, str]]:
    """Colours of the views that own most of what the targets see, with their shares of it."""
    visible = visible_surfels(retrieval)
    area = np.bincount(
        owners(memory)[visible],
        weights=retrieval.surfel_pixels[visible],
        minlength=len(memory.views) + 1,
    )
    palette, total = owner_colors(len(area)), max(1.0, float(area.sum()))
    most = [view for view in np.argsort(-area, kind="stable")[:MOST_OWNERS] if area[view] > 0]
    swatches = [(palette[v], f"view {v}: {_percent(float(area[v]) / total)}") for v in most]
    rest = 1 - float(area[most].sum()) / total
    if rest > 0.005:
        swatches.append((np.array([255, 255, 255], np.uint8), f"others: {_percent(rest)}"))
    return swatches


def _percent(share: float) -> str:
    return percent(share, 1 if 0 < share < 0.0995 else 0)


def _asked(query: Query) -> str:
    """The query in one line; what was left to the strategy is not named."""
    parts = [f"strategy {query.strategy}", f"K = {query.k}"]
    if query.weighting is not None:
        parts.append(f"weighting {query.weighting}")
    if query.suppression is not None:
        parts.append(f"suppression {query.suppression:g} rad")
    if query.density < 1:
        parts.append(f"{_percent(query.density)} of the surfels")
    for what, views in (("pinned", query.pinned), ("banned", query.banned)):
        if views:
            parts.append(f"{what} {', '.join(map(str, views))}")
    return ", ".join(parts)


def _sizes(retrieval: Retrieval) -> str:
    seen = int((retrieval.surfel_pixels > 0).sum())
    return (
        f"{len(retrieval.votes)} views and {len(retrieval.surfel_weight):,} surfels in memory, "
        f"{seen:,} surfels seen by {_targets(len(retrieval.targets))}"
    )
