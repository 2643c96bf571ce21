"""One explanation as a figure for a paper: what was asked, what was used, what is invented.

matplotlib is used without pyplot, which shares state: so any thread may draw. The figure is as wide
as a text of two columns, and its letters are legible at that width.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from viewer.paint.map import draw_plan
from viewer.paint.palette import INVENTED, owner_colors
from viewer.paint.resize import thumbnail
from viewer.paint.target_layers import paint_layer
from viewer.share import page_layout as layout
from viewer.share.page_layout import Picture
from viewer.share.recording import frames_of, heading
from vmem.arrays import U8
from vmem.memory import MemorySnapshot
from vmem.retrieval.attribution import owners, picture_shares, visible_surfels
from vmem.types import Retrieval
from vmem.types.wording import percent

WIDTH = 7.2
"""Inches: a text of two columns."""
EDGE, GAP = 0.08, 0.1
"""Inches around the page, and between its rows."""
LEFT_SHARE = 0.66
"""Share of the width that the views take; the map has the rest."""
MOST_CHOSEN, MOST_REJECTED = 8, 4
"""How many views used and views left out are shown."""
THUMBNAIL_PIXELS = 320
MOST_OWNERS = 4
"""How many views are named that first saw what is visible."""
LEAST_MAP = 1.0
"""Inches that the map is high at least."""
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
    dpi: int = layout.DPI,
) -> bytes:
    """A PNG that explains ``retrieval`` for its last target.

    memory: the retrieval's own or a longer one. step: whose retrieval it is, None for that of the
    ghost. frame (H, W, 3): what was generated for the target; by default the step's own, or for the
    ghost what memory holds. Raises ValueError for a step that ``memory`` does not have.
    """
    made = frames_of(memory, step)
    if frame is None and made:
        frame = made[-1].rgb
    width, gap = WIDTH - 2 * EDGE, round(GAP * dpi)
    left, right = LEFT_SHARE * width, (1 - LEFT_SHARE) * width - 2 * layout.GUTTER
    rejected = best_rejected(retrieval, MOST_REJECTED)
    left_out = _cards(memory, retrieval, rejected, "f", "Left out, though most voted for")
    rows = [
        layout.row(cards[start : start + layout.ROW], left, dpi)
        for cards in (_used(memory, retrieval), left_out)
        for start in range(0, len(cards), layout.ROW)
    ]
    views = layout.joined(rows or [layout.paragraph("No view was used.", left, dpi)], 0, gap)
    words = layout.paragraph(MAP_WORDS, right, dpi)
    height = max((len(views) - len(words)) / dpi - GAP / 2, LEAST_MAP)
    plan = _map(memory, retrieval, rejected, right, height, dpi)
    plan = layout.joined([plan, words], 0, gap // 2)
    ink = {"color": layout.INK}
    page = [
        layout.paragraph(heading(step), width, dpi, size=layout.TITLE + 1.5, weight="bold", **ink),
        layout.paragraph(_asked(retrieval), width, dpi),
        layout.row(_pictures(memory, retrieval, frame), width, dpi),
        layout.joined([views, plan], 1, round(2 * layout.GUTTER * dpi)),
    ]
    if retrieval.note:
        page.append(layout.paragraph(f"Note: {retrieval.note}", width, dpi, **ink))
    pixels, edge = layout.joined(page, 0, gap), round(EDGE * dpi)
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


def _used(memory: MemorySnapshot, retrieval: Retrieval) -> list[Picture]:
    """The views used, by rank, in frames of their colours."""
    shown, n = retrieval.order[:MOST_CHOSEN], len(retrieval.order)
    title = f"Views used, {len(shown)} of {n} shown"
    if len(shown) == n:
        title = "Views used, with their share of the votes and of the surface that they saw"
    colors = owner_colors(len(memory.views))
    cards = _cards(memory, retrieval, shown, "e", title)
    return [
        replace(card, head=f"{rank}: {card.head}", frame=colors[view])
        for rank, (view, card) in enumerate(zip(shown, cards, strict=True), 1)
    ]


def _cards(
    memory: MemorySnapshot, retrieval: Retrieval, views: Sequence[int], letter: str, title: str
) -> list[Picture]:
    """Views with their numbers and the reason why each was used or left out."""
    cards = []
    for view in views:
        stored = memory.views[view]
        origin = "the photo" if stored.step == 0 else f"step {stored.step}"
        why = retrieval.plain_reason(view)
        votes, seen = _percent(retrieval.share[view]), _percent(retrieval.coverage[view])
        image = thumbnail(stored.rgb, THUMBNAIL_PIXELS)
        words = f"votes {votes}, saw {seen}\n{why}"
        cards.append(Picture(image, words, letter, title, head=f"view {view} ({origin})"))
        letter = title = ""  # only above the first
    return cards


def _map(
    memory: MemorySnapshot,
    retrieval: Retrieval,
    rejected: Sequence[int],
    width: float,
    height: float,
    dpi: int,
) -> U8:
    """The walk from above with its title, ``width`` x ``height`` inches."""
    figure = Figure(figsize=(width, height), dpi=dpi)
    across, down = layout.FRAME / width, layout.FRAME / height
    axes = figure.add_axes((across, down, 1 - 2 * across, 1 - down - layout.TITLE_HEIGHT / height))
    layout.write_title(axes, "g", "From above")
    draw_plan(axes, memory, retrieval, rejected, size=layout.BODY)
    return layout.drawn(figure)


def _pictures(memory: MemorySnapshot, retrieval: Retrieval, frame: U8 | None) -> list[Picture]:
    """The four of the first row."""
    weight, owner, holes, scene = (
        paint_layer(name, memory, retrieval, -1, memory.surfels.color)
        for name in ("weight", "index", "holes", "scene")
    )
    if frame is None:
        shown, words = scene.image, "seen from the ghost's place"
        what, invented = "What memory holds", "What would be invented"
    else:
        shown, words = frame, f"{frame.shape[1]} x {frame.shape[0]} pixels"
        what, invented = "Generated frame", "What had to be invented"
    shares = picture_shares(memory, retrieval)
    parts = [
        (INVENTED, f"nothing stored: {_percent(shares.nothing)}"),
        (INVENTED // 2 + 96, f"stored, not in views used: {_percent(shares.known)}"),
        (np.full(3, 128, np.uint8), f"seen by views used: {_percent(shares.covered)}"),
    ]
    first_seen = _owner_swatches(memory, retrieval)
    pixels_of = f"shares of the pixels of {_targets(retrieval)}"
    return [
        Picture(shown, words, "a", what),
        Picture(weight.image, weight.legend, "b", "Weight of the votes", bar=weight.bar),
        Picture(owner.image, "", "c", "Who saw it first", swatches=first_seen),
        Picture(holes.image, pixels_of, "d", invented, swatches=parts),
    ]


def _targets(retrieval: Retrieval) -> str:
    n = len(retrieval.targets)
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


def _asked(retrieval: Retrieval) -> str:
    """The query, without what was left to the strategy, and the sizes of what was asked."""
    query, seen = retrieval.query, int((retrieval.surfel_pixels > 0).sum())
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
    return (
        f"{', '.join(parts)}; {len(retrieval.votes)} views and {len(retrieval.surfel_weight):,} "
        f"surfels in memory, {seen:,} surfels seen by {_targets(retrieval)}"
    )
