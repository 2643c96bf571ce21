"""The tree of steps as HTML: the newest above, branches beside the way on which the head is."""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence

from viewer.page.keys import MOVE_NAMES
from viewer.page.pointing import mark
from viewer.page.thumbnails import Pictures
from viewer.walk.stretches import is_stretch
from viewer.walk.tree_rows import Row

PICTURE = 26
"""Height of the thumbnails, in pixels."""
LONGEST_LABEL = 40
DEEPEST = 6
"""Branchings off the present way up to which lines are indented further."""
FOLD_ALL = "all"
"""In place of a key: nothing is to be unfolded any more."""


def tree_html(
    rows: Sequence[Row],
    compared: Collection[int],
    pictures: Pictures | None,
    *,
    unfolded: bool = False,
) -> str:
    """The lines of `tree_rows`, the last first.

    compared: ids of the steps that are chosen to be compared · pictures: None for none ·
    unfolded: whether to offer to fold everything again.
    """
    again = f"<div class='vmem-muted' {mark(f'fold:{FOLD_ALL}')}>fold all again</div>"
    lines = "".join(_line(row, compared, pictures) for row in reversed(rows))
    return f"<div class='vmem-panel vmem-tree'>{again * unfolded}{lines}</div>"


def step_title(label: str) -> str:
    """What the list calls a step of a label, as plain text."""
    title = "walked" if is_stretch(label) else MOVE_NAMES.get(label, label)
    return title if len(title) <= LONGEST_LABEL else title[: LONGEST_LABEL - 1] + "…"


def _line(row: Row, compared: Collection[int], pictures: Pictures | None) -> str:
    classes = "vmem-step" + " on" * row.on_path + " head" * row.is_head + f" {row.kind}"
    lanes = "<u></u>" * min(row.depth, DEEPEST)
    if row.is_start:
        lanes += "<u class='from'></u>"
    folded = row.kind == "folded"
    target = f"fold:{row.key}" if folded else f"step:{row.last.id}"
    title = "unfold" if folded else f"go to step {row.last.id}"
    current = " aria-current='step'" * row.is_head
    return (
        f"<div class='{classes}'{current}>{lanes}<s></s>"
        f"<span {mark(target)} title='{title}'>{_picture(row, pictures)}{_words(row)}</span>"
        f"{_hidden(row)}{'' if folded else _tools(row, compared)}</div>"
    )


def _picture(row: Row, pictures: Pictures | None) -> str:
    if pictures is None or row.kind == "folded" or not (row.on_path or row.is_end):
        return ""
    node = row.last
    return pictures.tag(f"step-{node.id}", node.views[-1], PICTURE, label=f"step {node.id}") + " "


def _words(row: Row) -> str:
    if row.kind == "folded":
        return f"… {row.steps:,} steps"
    walked = f"walked, {row.steps:,} steps"
    words = walked if row.kind == "stretch" else html.escape(step_title(row.last.label))
    name = html.escape(row.last.name[:LONGEST_LABEL])
    return f"<b>{name}</b> {words}" if name else words


def _hidden(row: Row) -> str:
    if not row.hidden:
        return ""
    words = f"{row.hidden:,} more branch{'es' * (row.hidden > 1)}"
    if row.kind != "step":
        return f"<em>{words}</em>"
    return f"<em {mark(f'fold:{row.last.id}.b')} title='list them'>{words}</em>"


def _tools(row: Row, compared: Collection[int]) -> str:
    number = row.last.id
    unfold = ""
    if row.kind == "stretch":
        unfold = f"<span class='vmem-toggle' {mark(f'fold:{row.key}')} title='its steps'>▾</span>"
    on = " on" * (number in compared)
    return (
        f"<small>{number}</small>{unfold}<span class='vmem-toggle{on}' {mark(f'versus:{number}')} "
        "title='compare with another step, or with the present one'>⇄</span>"
    )
