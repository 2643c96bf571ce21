"""Stretches of a walk: the steps from key down to key up, which undo and redo take as one.

The label of a step says which stretch it belongs to, so that the history alone is enough.
"""

from __future__ import annotations

from vmem.session import History, Node

KIND = "walk"
"""First word of the label of a stretch's steps."""


def next_stretch(history: History) -> str:
    """A label that no step has."""
    # Numbers only rise, so the newest stretch has the highest: most often among the last steps.
    newest = next((n.label for n in reversed(history.nodes) if is_stretch(n.label)), f"{KIND} 0")
    return f"{KIND} {int(newest.split()[1]) + 1}"


def is_stretch(label: str) -> bool:
    """Whether a label is one of `next_stretch`."""
    kind, _, number = label.partition(" ")
    return kind == KIND and number.isdecimal()


def before(head: Node) -> Node | None:
    """Where an undo goes from ``head``: before its stretch; None at the photo."""
    node = head.parent
    while node is not None and node.label == head.label and is_stretch(head.label):
        node = node.parent
    return node


def after(head: Node) -> Node | None:
    """Where a redo goes from ``head``: to the end of the stretch that was left last; None if no
    step was."""
    node = first = head.recent
    if first is None or not is_stretch(first.label):
        return first
    while node is not None and node.recent is not None and node.recent.label == first.label:
        node = node.recent
    return node
