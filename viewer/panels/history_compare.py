"""Two steps side by side, as HTML: their frames, and what differs first on the ways to them."""

from __future__ import annotations

import html
from collections.abc import Iterable

from viewer.page.html import data_url
from viewer.page.scripts import answer_mark
from viewer.paint.resize import thumbnail
from viewer.panels.history_tree import step_title
from vmem.session import Node
from vmem.session.compare import Comparison, Difference
from vmem.types import View

SIDE = 176
"""Longer side of each frame, in pixels."""
ANSWER = "comparison of steps"
"""Name of the answer for `reveal`."""
KINDS = {
    "targets": "where they look from",
    "query": "what memory was asked",
    "seed": "the seed",
    "sampler": "the sampler",
    "association": "how views enter memory",
    "steps": "one of them ends here",
    "choice": "which views memory chose",
    "frames": "the frames alone, of the same request and the same chosen views",
}
"""What each kind of difference is called where it is the first: a cause before what follows."""


def comparison_html(a: Node, b: Node, comparison: Comparison) -> str:
    """Frames and words of a comparison of two steps."""
    words = "".join(f"<div>{line}</div>" for line in comparison_lines(a, b, comparison))
    body = _frames(((a.views[-1], _caption(a)), (b.views[-1], _caption(b)))) + words
    difference = comparison.difference
    if difference is not None:
        pair, nodes = comparison.pairs[difference.number], _makers(comparison, difference)
        views = [(v, _caption(n)) for v, n in zip((pair.first, pair.second), nodes, strict=True)]
        if nodes != [a, b]:
            body += "<div class='vmem-muted'>where they differ first</div>" + _frames(views)
    return f"<div class='vmem-panel vmem-versus' {answer_mark(ANSWER)}>{body}</div>"


def comparison_lines(a: Node, b: Node, comparison: Comparison) -> list[str]:
    """What is said of a comparison: HTML of a line each, the most important first."""
    if a is b:
        return ["This is one and the same step."]
    if not comparison.first or not comparison.second:
        early, late = (b, a) if comparison.first else (a, b)
        more = len(comparison.first or comparison.second)
        return [f"Step {late.id} goes on from step {early.id}, by {_plural(more, 'step')}."]
    shared = len(comparison.common.path()) - 1
    lines = [f"The ways part after {_plural(shared, 'shared step')}."]
    difference = comparison.difference
    if difference is None:
        return [*lines, "Yet nothing differs: the same requests gave the same frames."]
    orders = [_order(node) for node in _makers(comparison, difference)]
    chose = None not in orders and orders[0] != orders[1]
    kinds = [*difference.asked, *["choice"] * chose, *["frames"] * (difference.share > 0)]
    lines.append(f"First difference, in step {difference.step}: <b>{KINDS[kinds[0]]}</b>.")
    if chose:
        texts = [", ".join(map(str, order or ())) or "none" for order in orders]
        lines.append(f"Views chosen: {texts[0]} | {texts[1]}")
    if difference.share > 0 and "steps" not in difference.asked:
        lines.append(
            f"The frames differ by {difference.levels:.1f} grey levels on average, in "
            f"{100 * difference.share:.0f} % of the pixels."
        )
    return lines


def _makers(comparison: Comparison, difference: Difference) -> list[Node | None]:
    """The steps that made the first views that differ; None where a way has ended."""
    at = difference.step - len(comparison.common.path())
    ways = (comparison.first, comparison.second)
    return [way[at] if at < len(way) else None for way in ways]


def _order(node: Node | None) -> tuple[int, ...] | None:
    retrieval = None if node is None else node.outline.retrieval
    return None if retrieval is None else tuple(retrieval.order)


def _frames(views: Iterable[tuple[View | None, str]]) -> str:
    pictures = "".join(
        f"<figure><img src='{data_url(thumbnail(view.rgb, SIDE))}' alt='frame of {caption}'>"
        f"<figcaption>{caption}</figcaption></figure>"
        for view, caption in views
        if view is not None
    )
    return f"<div>{pictures}</div>"


def _caption(node: Node | None) -> str:
    return "" if node is None else f"{node.id} {html.escape(node.name or step_title(node.label))}"


def _plural(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"
