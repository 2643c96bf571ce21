"""The lines of the tree of steps: all of it is there, and they are few."""

from __future__ import annotations

import random
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viewer.walk.tree_rows import MOST_BRANCHES, MOST_ROWS, Row, tree_rows
from vmem.session import History, Node

NOTHING = cast(Any, object())
"""In place of what a step added: rows do not look at it."""


def history_of(parents: list[int], labels: list[str], head: int, named: set[int]) -> History:
    """A history whose node i + 1 follows node ``parents[i] % (i + 1)``."""
    history = History(NOTHING, "photo")
    for i, (parent, label) in enumerate(zip(parents, labels, strict=True)):
        history.graft(i + 1, history.node(parent % (i + 1)), NOTHING, label)
    for i in named:
        history.node(i % (len(parents) + 1)).name = "a place"
    history.move_to(history.node(head % (len(parents) + 1)))
    return history


def straight(n: int, label: str = "w") -> History:
    return history_of(list(range(n)), [label] * n, n, set())


def random_history(n: int, forks: float, seed: int) -> History:
    rng = random.Random(seed)
    parents = [rng.randrange(i + 1) if rng.random() < forks else i for i in range(n)]
    labels = [rng.choice(("w", "d", f"walk {i // 9}", f"walk {i // 9}")) for i in range(n)]
    named = {rng.randrange(n) for _ in range(n // 20)}
    return history_of(parents, labels, rng.randrange(n), named)


def nodes_in(row: Row) -> list[Node]:
    """The steps of a row, from the last to the first."""
    found, node = [row.last], row.last
    while node is not row.nodes[0]:
        assert node.parent is not None
        node = node.parent
        found.append(node)
    return found


def size_below(node: Node) -> int:
    found, waiting = 0, [node]
    while waiting:
        node = waiting.pop()
        found += 1
        waiting += node.children
    return found


@given(
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from(["w", "d", "walk 1", "walk 2"]))),
    st.integers(0, 60),
    st.sets(st.integers(0, 60), max_size=4),
    st.lists(st.integers(0, 60), max_size=3),
)
@settings(max_examples=80, deadline=None)
def test_every_step_is_in_one_row_or_in_a_branch_that_is_counted(
    steps: list[tuple[int, str]], head: int, named: set[int], unfolded: list[int]
) -> None:
    parents, labels = [parent for parent, _ in steps], [label for _, label in steps]
    history = history_of(parents, labels, head, named)
    keys = [f"{number}.{level}" for number, level in zip(unfolded, "01b", strict=False)]
    rows = tree_rows(history, keys)
    there = [node for row in rows for node in nodes_in(row)]
    assert len({node.id for node in there}) == len(there) == sum(row.steps for row in rows)
    ids = {node.id for node in there}
    missing = [n for n in history.nodes if n.id not in ids and n.parent and n.parent.id in ids]
    assert len(missing) == sum(row.hidden for row in rows)
    assert len(there) + sum(map(size_below, missing)) == len(history.nodes)
    place = {node.id: at for at, row in enumerate(rows) for node in nodes_in(row)}
    assert all(place[n.parent.id] <= place[n.id] for n in there if n.parent)
    (head_row,) = [row for row in rows if row.is_head]
    assert head_row.kind == "step"
    path = {node.id for node in history.head.path()}
    assert all(row.on_path == (row.last.id in path) for row in rows)
    assert all(row.depth == 0 for row in rows if row.on_path)
    listed = {row.last.id for row in rows if row.kind == "step"}
    assert {node.id for node in there if node.name} <= listed


@pytest.mark.parametrize(("forks", "seed"), [(0.0, 0), (0.01, 1), (0.1, 2), (0.9, 3)])
def test_a_long_walk_has_few_rows_whatever_is_unfolded(forks: float, seed: int) -> None:
    history = random_history(2000, forks, seed)
    rng = random.Random(seed)
    keys: list[str] = []
    for _ in range(12):
        rows = tree_rows(history, keys)
        assert len(rows) <= MOST_ROWS
        assert sum(row.is_start for row in rows) <= MOST_BRANCHES
        assert sum(row.is_head for row in rows) == 1
        foldable = [row.key for row in rows if row.key]
        foldable += [f"{row.last.id}.b" for row in rows if row.hidden and row.kind == "step"]
        if foldable:
            keys.append(rng.choice(foldable))
    short = tree_rows(straight(2000))
    assert [row.steps for row in short] == [1, 1993, *[1] * 7]


@pytest.mark.parametrize("label", ["w", "walk 1"])
def test_a_step_is_found_by_unfolding_what_holds_it(label: str) -> None:
    history = straight(2000, label)
    history.move_to(history.node(1990))
    keys: list[str] = []
    for clicks in range(9):
        rows = tree_rows(history, keys)
        (row,) = [row for row in rows if row.nodes[0].id <= 777 <= row.last.id]
        if row.kind == "step":
            assert clicks <= 5
            break
        keys.append(row.key)
    else:
        pytest.fail("it was never listed")


def test_a_stretch_is_one_row_that_unfolds_and_its_neighbours_are_others() -> None:
    labels = ["w", "walk 1", "walk 1", "walk 1", "walk 2", "walk 2", "d"]
    history = history_of(list(range(7)), labels, 7, set())
    rows = tree_rows(history)
    assert [(row.kind, row.steps) for row in rows] == [
        ("step", 1), ("step", 1), ("stretch", 3), ("stretch", 2), ("step", 1)
    ]  # fmt: skip
    rows = tree_rows(history, [rows[2].key])
    assert [row.steps for row in rows] == [1, 1, 1, 1, 1, 2, 1]


def test_a_branch_that_is_not_listed_is_listed_when_it_is_asked_for() -> None:
    n = 3 * MOST_BRANCHES
    history = history_of([0] * n, ["w"] * n, n, set())
    rows = tree_rows(history)
    assert rows[0].hidden == n - 1 - MOST_BRANCHES
    parents = [0] * 4 + list(range(4, 30)) + [30] * n
    history = history_of(parents, ["w"] * len(parents), len(parents), set())
    (fork,) = [row for row in tree_rows(history) if row.hidden and row.last.id == 0]
    assert fork.hidden == 3
    (fork,) = [row for row in tree_rows(history, ["0.b"]) if row.last.id == 0]
    assert fork.hidden == 0
