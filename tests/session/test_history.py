"""The tree of steps."""

from __future__ import annotations

import numpy as np
import pytest

from vmem.session import History, HistoryError
from vmem.session.history import common_depth
from vmem.types import StepRecord, Surfels

NONE = np.zeros(0, np.int32)


def step() -> StepRecord:
    return StepRecord((), Surfels.empty(), NONE, NONE, None)


def grown() -> History:
    """Two branches: photo - a - b - c, and photo - a - d."""
    history = History(step(), "photo")
    history.add(step(), "a")
    history.add(step(), "b")
    history.add(step(), "c")
    history.move_to(history.node(1))
    history.add(step(), "d")
    return history


def labels(history: History, id: int) -> list[str]:
    return [node.label for node in history.node(id).path()]


def test_a_new_history_is_its_root():
    history = History(step(), "photo")
    assert history.head is history.node(0)
    assert history.head.parent is None
    assert history.head.recent is None
    assert labels(history, 0) == ["photo"]


def test_steps_go_under_the_head():
    history = grown()
    assert [node.id for node in history.nodes] == [0, 1, 2, 3, 4]
    assert labels(history, 3) == ["photo", "a", "b", "c"]
    assert labels(history, 4) == ["photo", "a", "d"]
    assert history.head is history.node(4)
    assert [child.label for child in history.node(1).children] == ["b", "d"]
    for node in history.nodes:
        for child in node.children:
            assert child.parent is node


def test_records_stay_with_their_nodes():
    first, second = step(), step()
    history = History(first, "photo")
    assert history.add(second, "a").record is second
    assert history.node(0).record is first


def test_redo_leads_along_the_way_last_taken():
    history = grown()
    a, b, c, d = (history.node(i) for i in range(1, 5))
    assert a.recent is d
    history.move_to(c)
    assert (a.recent, b.recent) == (b, c)
    history.move_to(history.node(0))
    # Going up forgets nothing: the way back down is the one last taken.
    assert history.node(0).recent is a
    assert (a.recent, b.recent) == (b, c)
    history.move_to(d)
    assert (a.recent, b.recent) == (d, c)


@pytest.mark.parametrize("id", [-1, 5, 99])
def test_there_is_no_such_step(id):
    with pytest.raises(HistoryError, match=f"no step {id}: ids go from 0 to 4"):
        grown().node(id)


def test_common_depth():
    history = grown()
    paths = [node.path() for node in history.nodes]
    assert common_depth(paths[3], paths[4]) == 2
    assert common_depth(paths[3], paths[2]) == 3
    assert common_depth(paths[4], paths[4]) == 3
    assert common_depth(paths[0], paths[3]) == 1


def test_long_walks_have_a_path():
    """Longer than Python's recursion limit."""
    history = History(step(), "photo")
    for _ in range(1500):
        history.add(step(), "w")
    assert [node.id for node in history.head.path()] == list(range(1501))
