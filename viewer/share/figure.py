"""One explanation as a picture for a paper: what was asked, what was used, what is invented.

matplotlib without pyplot: no state is shared, so that any thread may draw. The page is as wide as a
text of two columns; its letters are legible at that width.
"""

from __future__ import annotations

import numpy as np

from viewer.paint.map import draw_plan
from viewer.paint.palette import INVENTED, owner_colors
from viewer.paint.resize import thumbnail
from viewer.paint.target_layers import LayerPicture, paint_layer
from viewer.settings import Layer
from viewer.share.page_layout import (
    BODY,
    DPI,
    EDGE,
    GUTTER,
    LINE,
    TITLE_HEIGHT,
    WIDTH,
    Card,
    Page,
    Picture,
)
from viewer.share.recording import frames_of, heading
from vmem.arrays import U8
from vmem.memory import MemorySnapshot
from vmem.retrieval.attribution import owners, picture_shares, visible_surfels
from vmem.retrieval.explain.summary import plain_reason
from vmem.types import Query, Retrieval

LEFT_SHARE = 0.66
MOST_CHOSEN, MOST_REJECTED = 8, 4
THUMBNAIL_PIXELS = 320
MOST_OWNERS = 4


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

    memory: the retrieval's own or a longer one · step: whose retrieval it is, None for the ghost's
    · frame (H, W, 3) u8: what was generated for the target; without it the step's own, or for the
    ghost memory's picture · target: which of the targets is shown. ValueError for a step that
    ``memory`` does not have.
    """
    made = frames_of(memory, step)
    if frame is None and made:
        frame = made[target].rgb
    target %= len(retrieval.targets)
    rejected = best_rejected(retrieval, MOST_REJECTED)
    colors = owner_colors(len(memory.views))
    page = Page(dpi)
    page.heading(title or heading(step), f"{_asked(retrieval.query)}; {_sizes(retrieval)}")
    page.pictures(_pictures(memory, retrieval, target, frame))

    top, width = page.y, LEFT_SHARE * (WIDTH - 2 * EDGE)
    chosen = retrieval.order[:MOST_CHOSEN]
    used = f"Views used, {len(chosen)} of {len(retrieval.order)} shown"
    if len(chosen) == len(retrieval.order):
        used = "Views used, with their share of the votes and of the surface that they saw"
    cards = [
        _card(memory, retrieval, view, f"{rank}: view {view}", colors[view])
        for rank, view in enumerate(chosen, 1)
    ]
    page.cards("e", used, cards, width)
    if rejected:
        cards = [_card(memory, retrieval, view, f"view {view}") for view in rejected]
        page.cards("f", "Left out, though most voted for", cards, width)

    left = EDGE + width + 2 * GUTTER
    right = WIDTH - EDGE - left
    page.title("g", "From above", left, top)
    words = (
        "Black wedge: the target. Filled wedges: views used, by rank, in their colours of c. "
        "White dots: left out. Grey: other views, and walls in memory."
    )
    lines = page.wrapped(words, right)
    height = max(1.0, page.y - top - TITLE_HEIGHT - LINE * len(lines) - 0.1)
    axes = page.axes(left, top + TITLE_HEIGHT, right, height)
    draw_plan(axes, memory, retrieval, rejected, target=target, size=BODY)
    page.lines(left, top + TITLE_HEIGHT + height + 0.04, lines)
    if retrieval.note:
        page.note(f"Note: {retrieval.note}")
    return page.png()


def best_rejected(retrieval: Retrieval, n: int) -> list[int]:
    """The ``n`` views with the most votes that were not chosen though they have some."""
    by_votes = np.argsort(-retrieval.votes, kind="stable").tolist()
    taken = set(retrieval.order)
    return [view for view in by_votes if view not in taken and retrieval.votes[view] > 0][:n]


def _card(
    memory: MemorySnapshot, retrieval: Retrieval, view: int, name: str, color: U8 | None = None
) -> Card:
    """A view with its numbers and the reason of its being used or left out."""
    stored = memory.views[view]
    origin = "the photo" if stored.step == 0 else f"step {stored.step}"
    votes, seen = retrieval.share[view], retrieval.coverage[view]
    why = retrieval.reasons[view] if retrieval.chosen[view] else plain_reason(retrieval, view)
    words = f"votes {_percent(votes)}, saw {_percent(seen)}\n{why}"
    return Card(thumbnail(stored.rgb, THUMBNAIL_PIXELS), f"{name} ({origin})", words, color)


def _pictures(
    memory: MemorySnapshot, retrieval: Retrieval, target: int, frame: U8 | None
) -> list[Picture]:
    """The four of the first row."""

    def layer(name: Layer) -> LayerPicture:
        return paint_layer(name, memory, retrieval, target, memory.surfels.color)

    shares = picture_shares(memory, retrieval)
    weight, owner, holes = layer("weight"), layer("index"), layer("holes")
    if frame is None:
        first = Picture("What memory holds", layer("scene").image, "seen from the ghost's place")
        fourth = "What would be invented"
    else:
        first = Picture("Generated frame", frame, f"{frame.shape[1]} x {frame.shape[0]} pixels")
        fourth = "What had to be invented"
    parts = [
        (INVENTED, f"nothing stored: {_percent(shares.nothing)}"),
        (INVENTED // 2 + 96, f"stored, not in views used: {_percent(shares.known)}"),
        (np.full(3, 128, np.uint8), f"seen by views used: {_percent(shares.covered)}"),
    ]
    n = len(retrieval.targets)
    return [
        first,
        Picture("Weight of the votes", weight.image, weight.legend, weight.bar),
        Picture("Who saw it first", owner.image, "", None, _owner_swatches(memory, retrieval)),
        Picture(fourth, holes.image, f"shares of the pixels of {_targets(n)}", None, parts),
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
    digits = 0 if share >= 0.0995 or share == 0 else 1
    return f"{100 * share:.{digits}f} %"


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
