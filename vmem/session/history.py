"""The tree of steps: undo walks up, a step after an undo starts a branch, nothing is forgotten."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from vmem.errors import VMemError
from vmem.types import StepRecord


class HistoryError(VMemError, ValueError):
    """A place in the history that does not exist."""


@dataclass(eq=False, repr=False)
class Node:
    """One step of the tree. ``recent`` is the child that redo returns to."""

    id: int
    parent: Node | None
    record: StepRecord
    label: str
    children: list[Node] = field(default_factory=list)
    recent: Node | None = None

    def __repr__(self) -> str:
        after = "" if self.parent is None else f" after {self.parent.id}"
        return f"<Node {self.id} {self.label!r}{after}: {len(self.children)} children>"

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

    def __init__(self, root: StepRecord, label: str) -> None:
        self._nodes = [Node(0, None, root, label)]
        self.head = self._nodes[0]

    def __repr__(self) -> str:
        return f"<History: {len(self._nodes)} nodes, at {self.head.id} {self.head.label!r}>"

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node, by id."""
        return tuple(self._nodes)

    def add(self, record: StepRecord, label: str) -> Node:
        """Put a new step under the head and move the head to it."""
        node = Node(len(self._nodes), self.head, record, label)
        self._nodes.append(node)
        self.head.children.append(node)
        self.move_to(node)
        return node

    def move_to(self, node: Node) -> None:
        """Make ``node`` the head; redo will lead along the way to it."""
        steps = node.path()
        for parent, child in pairwise(steps):
            parent.recent = child
        self.head = node

    def node(self, id: int) -> Node:
        """The node of that id, or HistoryError."""
        if not (isinstance(id, int | np.integer) and 0 <= id < len(self._nodes)):
            raise HistoryError(f"there is no step {id!r}: ids go from 0 to {len(self._nodes) - 1}")
        return self._nodes[id]


def common_depth(a: list[Node], b: list[Node]) -> int:
    """How many nodes two paths from the root share."""
    shared = 0
    for first, second in zip(a, b, strict=False):
        if first.id != second.id:
            break
        shared += 1
    return shared
