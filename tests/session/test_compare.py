"""The same step twice from the same state: two branches, or the walk as it was."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.fakes import CONFIG, box_backend, box_photo, open_box
from vmem.cameras import MOVES, apply_move
from vmem.progress import Cancelled, CancelToken
from vmem.session import Session
from vmem.session.compare import compared, step_both
from vmem.types import Query

QUERIES = (Query(2, "coverage"), Query(2, "temporal"))


def walked() -> Session:
    session = open_box()
    for word in "wwd":
        session.move(word)
    return session


def test_both_branches_begin_where_asked_and_the_walk_stands_on_the_first() -> None:
    session = walked()
    before = [view.rgb for view in session.memory.views]
    targets = session.targets_to(apply_move(session.camera.c2w, MOVES["s"]))
    first, second = step_both(session, 1, targets, QUERIES)
    assert session.history.head is first.node
    assert first.node.parent is second.node.parent is session.history.node(1)
    assert [node.label for node in (first.node, second.node)] == ["coverage", "temporal"]
    for made, query in zip((first, second), QUERIES, strict=True):
        assert made.record.retrieval is not None
        assert made.record.retrieval.query == query
        np.testing.assert_array_equal(made.record.retrieval.targets.c2w, targets.c2w)
        # Both saw the memory of step 1, not each other.
        assert len(made.record.retrieval.votes) == 5
    session.switch(3)
    for view, rgb in zip(session.memory.views, before, strict=True):
        assert view.rgb is rgb, "what was walked before is still there"


@pytest.mark.parametrize("stop_at", [1, 2])
def test_a_cancel_brings_the_walk_back(stop_at: int) -> None:
    calls = []

    def on_frame(i: int, cancel: CancelToken) -> None:
        calls.append(i)
        if armed and calls.count(0) - calls_before == stop_at:
            cancel.cancel()

    armed, calls_before = False, 0
    session = Session.open(box_photo(), backend=box_backend(on_frame), config=CONFIG)
    session.move("w")
    session.move("d")
    before = session.memory
    armed, calls_before = True, calls.count(0)
    with pytest.raises(Cancelled):
        step_both(session, 1, session.targets_to(np.eye(4)), QUERIES)
    assert session.history.head.id == 2
    after = session.memory
    np.testing.assert_array_equal(after.surfels.position, before.surfels.position)
    np.testing.assert_array_equal(after.link_view, before.link_view)
    assert all(a is b for a, b in zip(after.views, before.views, strict=True))


# --- two steps of the history -----------------------------------------------------------------


def test_branches_part_at_their_last_common_step_and_differ_in_what_was_asked() -> None:
    session = walked()  # 1 w, 2 w, 3 d
    session.switch(1)
    session.move("a")  # 4
    session.move("w")  # 5
    found = compared(session.history.node(3), session.history.node(5))
    assert found.common.id == 1
    assert [node.id for node in found.first] == [2, 3]
    assert [node.id for node in found.second] == [4, 5]
    assert len(found.pairs) == 2 * CONFIG.target_views
    for pair in found.pairs:
        assert pair.first is found.first[pair.number // 4].views[pair.number % 4]
        assert pair.second is found.second[pair.number // 4].views[pair.number % 4]
    difference = found.difference
    assert difference is not None
    assert (difference.number, difference.step, difference.asked) == (0, 2, ("targets",))
    apart = np.abs(found.pairs[0].first.rgb.astype(float) - found.pairs[0].second.rgb)  # pyright: ignore
    assert difference.levels == pytest.approx(apart.mean())
    assert difference.share == np.any(apart > 0, axis=2).mean()


def test_the_first_difference_may_come_late_or_be_that_one_branch_ends() -> None:
    session = walked()
    session.switch(1)
    for word in "wad":
        session.move(word)  # 4 as 2; 5; 6
    found = compared(session.history.node(3), session.history.node(6)).difference
    assert found is not None
    assert (found.number, found.step, found.asked) == (4, 3, ("targets",))
    session.switch(4)
    session.move("d")  # 7 as 3
    same = compared(session.history.node(3), session.history.node(7))
    assert len(same.pairs) == 8
    assert same.difference is None
    longer = compared(session.history.node(2), session.history.node(7)).difference
    assert longer is not None
    assert (longer.number, longer.step, longer.asked, longer.share) == (4, 3, ("steps",), 1)


def test_a_step_compared_with_one_on_its_own_way_has_no_difference() -> None:
    session = walked()
    found = compared(session.history.node(3), session.history.node(1))
    assert (found.common.id, found.second, found.difference) == (1, (), None)
    assert [pair.second for pair in found.pairs] == [None] * 8
    same = compared(session.history.head, session.history.head)
    assert (same.common, same.pairs, same.difference) == (session.history.head, (), None)
