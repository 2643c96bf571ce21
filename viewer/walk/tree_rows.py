"""The tree of steps as lines of a list: how many they are at most does not depend on the walk.

The way from the photo through the head is one line of descent, and every branch another. Of each,
what is far from the head, from forks and from names is folded; so are all but the newest branches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from viewer.walk.stretches import is_stretch
from vmem.session import History, Node

NEAR = 6
"""Lines on either side of the head that are not folded."""
FEWEST = 3
"""Lines that are worth folding."""
PARTS = 12
"""Lines into which something folded unfolds."""
MOST_BRANCHES = 16
"""Branches that are listed."""
MOST_NAMED = 24
"""Named steps, the newest, that are not folded."""
MOST_UNFOLDED = 6
"""Places that are unfolded at once."""
MOST_ROWS = 320
"""Lines that are never exceeded, whatever the walk."""


@dataclass(frozen=True, eq=False)
class Row:
    """A line of the list: a step, a stretch of walking, or steps that are folded."""

    kind: Literal["step", "stretch", "folded"]
    nodes: tuple[Node, Node]
    """The first and the last of its steps; a click goes to the last."""
    steps: int
    """How many steps they are."""
    depth: int
    """How many branchings off the present way."""
    on_path: bool
    """Whether the head is at or behind its last step."""
    is_head: bool
    key: str
    """By which it is unfolded; "" for a step."""
    hidden: int
    """Branches that leave from its steps and are not listed."""
    is_start: bool
    """Whether a branch begins here."""
    is_end: bool
    """Whether a branch, or the present way, ends here."""

    @property
    def last(self) -> Node:
        """The last of its steps."""
        return self.nodes[1]


def tree_rows(history: History, unfolded: Sequence[str] = ()) -> list[Row]:
    """The lines of a history, each step before those that follow from it; at most MOST_ROWS.

    unfolded: keys of rows whose steps are listed, and of steps ("12.b") whose branches are; of more
    than MOST_UNFOLDED, the last ones count.
    """
    # The head first: a step that is made meanwhile adds a node, and takes none away.
    head = history.head
    tree = _Tree(history.nodes, head, tuple(unfolded)[-MOST_UNFOLDED:])
    return tree.rows()[:MOST_ROWS]


@dataclass(eq=False)
class _Line:
    """A line of descent: from where it leaves another to where it ends."""

    nodes: list[Node]
    parent: _Line | None
    depth: int
    sides: dict[int, list[_Line]] = field(default_factory=dict)
    """Lines that leave it, by the id of the step that they leave from."""


@dataclass(frozen=True)
class _Unit:
    """Consecutive steps of a line that are listed together."""

    kind: Literal["step", "stretch", "folded"]
    nodes: list[Node]
    key: str = ""


class _Tree:
    def __init__(self, nodes: Sequence[Node], head: Node, unfolded: Collection[str]) -> None:
        self._head, self._unfolded = head, unfolded
        self._path = {node.id for node in head.path()}
        self._known = {node.id for node in nodes}
        self._main, lines = self._lines(nodes[0])
        self._shown = self._listed_lines(lines)
        named = [node.id for node in nodes if node.name]
        self._alone = {head.id, *named[-MOST_NAMED:]}
        """Steps that are never folded."""
        self._alone |= {line.nodes[0].parent.id for line in self._shown if line.nodes[0].parent}

    def _children(self, node: Node) -> list[Node]:
        return [child for child in tuple(node.children) if child.id in self._known]

    def _lines(self, root: Node) -> tuple[_Line, list[_Line]]:
        main = _Line([], None, 0)
        lines, waiting = [], deque([(root, main)])
        while waiting:
            node, line = waiting.popleft()
            lines.append(line)
            while True:
                line.nodes.append(node)
                children = self._children(node)
                if not children:
                    break
                following = self._following(node, children)
                for child in children:
                    if child is not following:
                        side = _Line([], line, line.depth + 1)
                        line.sides.setdefault(node.id, []).append(side)
                        waiting.append((child, side))
                node = following
        return main, lines

    def _following(self, node: Node, children: list[Node]) -> Node:
        for child in children:
            if child.id in self._path:
                return child
        return node.recent if node.recent in children else children[-1]

    def _listed_lines(self, lines: Sequence[_Line]) -> set[_Line]:
        """The line of the head, and of the others those unfolded and the newest."""
        branches = [line for line in lines if line.parent is not None]
        newest = sorted(branches, key=lambda line: line.nodes[-1].id, reverse=True)
        asked = {int(key[:-2]) for key in self._unfolded if key.endswith(".b")}
        first = [line for line in newest if line.nodes[0].parent.id in asked]  # pyright: ignore
        shown = {self._main}
        for line in (*first, *newest):
            chain, one = [], line
            while one is not None and one not in shown:
                chain.append(one)
                one = one.parent
            if len(shown) + len(chain) <= MOST_BRANCHES + 1:
                shown.update(chain)
        return shown

    def rows(self) -> list[Row]:
        return list(self._rows_of(self._main))

    def _rows_of(self, line: _Line) -> Iterator[Row]:
        for unit in self._units(line):
            first, last = unit.nodes[0], unit.nodes[-1]
            sides = [side for node in unit.nodes for side in line.sides.get(node.id, ())]
            shown = [side for side in sides if side in self._shown]
            yield Row(
                unit.kind,
                (first, last),
                len(unit.nodes),
                line.depth,
                last.id in self._path,
                last is self._head,
                unit.key,
                len(sides) - len(shown),
                first is line.nodes[0] and line.parent is not None,
                last is line.nodes[-1],
            )
            for side in shown:
                yield from self._rows_of(side)

    def _units(self, line: _Line) -> list[_Unit]:
        """The steps of a line, in stretches and single ones, with what is far away folded."""
        units: list[_Unit] = []
        for node in line.nodes:
            before = units[-1].nodes[-1] if units else None
            joins = (
                before is not None
                and before.label == node.label
                and is_stretch(node.label)
                and not {before.id, node.id} & self._alone
            )
            if joins:
                units[-1].nodes.append(node)
            else:
                units.append(_Unit("step", [node]))
        units = [
            _Unit("stretch", unit.nodes, f"{unit.nodes[0].id}.0") if len(unit.nodes) > 1 else unit
            for unit in units
        ]
        kept = self._kept(units, line)
        folded: list[_Unit] = []
        run: list[_Unit] = []
        for at, unit in enumerate(units):
            if at not in kept:
                run.append(unit)
                continue
            folded += [*self._folded(run), *self._unfolded_stretch(unit)]
            run = []
        return folded + self._folded(run)

    def _kept(self, units: Sequence[_Unit], line: _Line) -> set[int]:
        """Which units of a line are not folded: its ends, those of _alone, those near the head."""
        kept = {0, len(units) - 1}
        for at, unit in enumerate(units):
            if unit.nodes[-1] is self._head:
                kept |= set(range(at - NEAR, at + NEAR + 1))
            elif unit.nodes[0].id in self._alone:
                kept.add(at)
        return kept

    def _folded(self, run: Sequence[_Unit], level: int = 1) -> list[_Unit]:
        """A run as one line, or as it is if it is short or was unfolded."""
        if len(run) < FEWEST:
            return [part for unit in run for part in self._unfolded_stretch(unit)]
        key = f"{run[0].nodes[0].id}.{level}"
        if key not in self._unfolded:
            return [_Unit("folded", [node for unit in run for node in unit.nodes], key)]
        if len(run) <= PARTS:
            return [part for unit in run for part in self._unfolded_stretch(unit)]
        parts = _split(run)
        return [unit for part in parts for unit in self._folded(part, level + 1)]

    def _unfolded_stretch(self, unit: _Unit) -> list[_Unit]:
        if unit.kind != "stretch" or unit.key not in self._unfolded:
            return [unit]
        steps = [_Unit("step", [node]) for node in unit.nodes]
        if len(steps) <= PARTS:
            return steps
        # One level below: a part of a stretch begins with the same step as the stretch.
        return [one for part in _split(steps) for one in self._folded(part, 100)]


def _split(units: Sequence[_Unit]) -> list[Sequence[_Unit]]:
    """Units in at most PARTS parts of about one size."""
    size = -(-len(units) // PARTS)
    return [units[start : start + size] for start in range(0, len(units), size)]
