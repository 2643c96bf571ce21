"""The tree of steps: undo walks up, a step after an undo starts a branch, nothing is forgotten."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from vmem.errors import VMemError
from vmem.session.content import Content, Whole
from vmem.types import StepRecord, View


class HistoryError(VMemError, ValueError):
    """A place in the history that does not exist."""


@dataclass(eq=False, repr=False)
class Node:
    """One step of the tree."""

    id: int
    parent: Node | None
    content: Content
    """What it added, read when it is asked for."""
    label: str
    """How it was made: a move, a strategy, a stretch."""
    name: str = ""
    """What the user calls the branch that ends here, or ""."""
    children: list[Node] = field(default_factory=list)
    recent: Node | None = None
    """The child that redo returns to."""

    def __repr__(self) -> str:
        after = "" if self.parent is None else f" after {self.parent.id}"
        return f"<Node {self.id} {self.label!r}{after}: {len(self.children)} children>"

    @property
    def record(self) -> StepRecord:
        """All that the step added. Raises StoreError where the walk's file cannot be read."""
        return self.content.record()

    @property
    def outline(self) -> StepRecord:
        """The record without surfels and links, which is quick to have."""
        return self.content.outline

    @property
    def views(self) -> tuple[View, ...]:
        """The views that the step made."""
        return self.content.outline.views

    def path(self) -> list[Node]:
        """Nodes from the root to this one."""
        steps: list[Node] = []
        node: Node | None = self
        while node is not None:
            steps.append(node)
            node = node.parent
        return steps[::-1]


class History:
    """All steps ever made in a session, and the head: the step that is shown."""

    def __init__(self, root: StepRecord | Content, label: str) -> None:
        self.head = Node(0, None, _content(root), label)
        self._nodes = {0: self.head}

    def __repr__(self) -> str:
        return f"<History: {len(self._nodes)} nodes, at {self.head.id} {self.head.label!r}>"

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node, by id: numbers without gaps, unless the walk's file was damaged."""
        return tuple(self._nodes.values())

    @property
    def next_id(self) -> int:
        """The id that the next node will have."""
        return max(self._nodes) + 1

    def add(self, record: StepRecord | Content, label: str, id: int | None = None) -> Node:
        """Put a new step under the head, by default with the next id, and move the head to it."""
        node = self.graft(self.next_id if id is None else id, self.head, record, label)
        self.move_to(node)
        return node

    def graft(self, id: int, parent: Node, record: StepRecord | Content, label: str) -> Node:
        """Put a step under any other; the head stays."""
        node = Node(id, parent, _content(record), label)
        self._nodes[id] = node
        parent.children.append(node)
        return node

    def move_to(self, node: Node) -> None:
        """Make ``node`` the head; redo will lead along the way to it."""
        steps = node.path()
        for parent, child in pairwise(steps):
            parent.recent = child
        self.head = node

    def node(self, id: int) -> Node:
        """The node of that id, or HistoryError."""
        if not isinstance(id, int | np.integer) or id not in self._nodes:
            raise HistoryError(f"there is no step {id!r}: ids go from 0 to {max(self._nodes)}")
        return self._nodes[id]


def _content(record: StepRecord | Content) -> Content:
    return Whole(record) if isinstance(record, StepRecord) else record


def common_depth(a: list[Node], b: list[Node]) -> int:
    """How many nodes two paths from the root share."""
    shared = 0
    for first, second in zip(a, b, strict=False):
        if first.id != second.id:
            break
        shared += 1
    return shared
