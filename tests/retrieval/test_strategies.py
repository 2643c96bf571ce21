"""Strategies against slow oracles, on made-up evidence: all of them, and ``votes``."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.support.evidence import counts, evidences, gap, selected, voted
from vmem.retrieval import STRATEGIES, Evidence, SelectionConfig
from vmem.retrieval.evidence import NOTHING_VISIBLE
from vmem.types import ReasonKind


def usable(evidence: Evidence) -> int:
    """How many views a strategy that looks at surfels can choose from."""
    voted = int((evidence.votes > 0).sum())
    return voted or len(evidence)


@given(evidences, counts, st.sampled_from(sorted(set(STRATEGIES) - {"reference"})))
def test_every_selection_is_complete(evidence, k, name):
    selection = selected(name, evidence, k)
    by_surfels = name in ("votes", "coverage")
    assert len(selection.order) == min(k, usable(evidence) if by_surfels else len(evidence))
    assert len(set(selection.order)) == len(selection.order)
    assert sorted(selection.ranking) == list(range(len(evidence)))
    assert len(selection.reasons) == len(evidence)
    chosen = {view for view, reason in enumerate(selection.reasons) if reason.is_chosen}
    assert chosen == set(selection.order)
    assert all(str(reason) for reason in selection.reasons)
    nothing = by_surfels and not evidence.votes.any()
    assert selection.note == (NOTHING_VISIBLE if nothing else "")


@given(evidences, counts)
def test_temporal_takes_the_newest(evidence, k):
    order = selected("temporal", evidence, k).order
    newest_first = list(range(len(evidence)))[::-1]
    assert list(order) == newest_first[:k]


@given(evidences, counts)
def test_pose_takes_the_nearest_and_the_older_of_equals(evidence, k):
    order = selected("pose", evidence, k).order
    by_distance = sorted(range(len(evidence)), key=lambda view: (evidence.distance[view], view))
    assert list(order) == by_distance[:k]


@given(evidences, counts)
def test_nothing_visible_takes_the_nearest(evidence, k):
    if evidence.votes.any():
        return
    nearest = selected("pose", evidence, k)
    for name in ("votes", "coverage"):
        assert selected(name, evidence, k).order == nearest.order


# --- votes -----------------------------------------------------------------------------------


def votes_oracle(evidence: Evidence, k: int, config: SelectionConfig) -> list[int]:
    """Best voted first, none nearer than the threshold to another, which is lowered at need; of
    near-duplicates with nearly equal votes the oldest."""
    candidates = sorted(range(len(evidence)), key=lambda view: (-evidence.votes[view], view))
    candidates = [view for view in candidates if evidence.votes[view] > 0]
    order: list[int] = []
    threshold = config.suppression

    def apart(view: int) -> bool:
        return all(gap(evidence, view, other) >= threshold for other in order)

    while len(order) < min(k, len(candidates)):
        for view in candidates:
            if view in order or not apart(view) or len(order) == k:
                continue
            equals = [
                older
                for older in range(view)
                if older not in order
                and apart(older)
                and gap(evidence, older, view) < threshold
                and evidence.votes[older] >= (1 - config.near_tie) * evidence.votes[view]
            ]
            order.append(min([*equals, view]))
        threshold = threshold / 2 if threshold > 1e-3 else -1.0
    return order


@given(evidences, counts, st.sampled_from([0.0, 0.05, 0.3, 5.0]), st.sampled_from([0, 0.05, 0.5]))
def test_votes_suppresses_near_duplicates(evidence, k, suppression, near_tie):
    config = SelectionConfig(suppression=suppression, near_tie=near_tie)
    selection = selected("votes", replace(evidence, config=config), k)
    if not evidence.votes.any():
        return
    assert list(selection.order) == votes_oracle(evidence, k, config)
    by_votes = sorted(range(len(evidence)), key=lambda view: (-evidence.votes[view], view))
    assert list(selection.ranking) == by_votes
    for view, reason in enumerate(selection.reasons):
        if evidence.votes[view] == 0:
            assert reason.kind is ReasonKind.NO_VISIBLE_SURFEL
        elif reason.kind is ReasonKind.SUPPRESSED:
            by = reason.view
            assert by in selection.order
            assert reason.distance == gap(evidence, view, by)
            assert gap(evidence, view, by) < suppression + 1e-9
        elif not reason.is_chosen:
            assert reason.kind is ReasonKind.BEYOND_K
            assert all(gap(evidence, view, one) > suppression - 1e-9 for one in selection.order)


def test_the_oldest_of_near_duplicates_with_nearly_equal_votes_is_chosen():
    evidence = voted((9.0, 9.3, 9.4, 5.0), (0.0, 0.1, 0.2, 0.3))
    selection = selected("votes", evidence, 1)
    assert selection.order == (0,)
    assert str(selection.reasons[2]) == "suppressed: 0.02 rad from view 0"
    assert selected("votes", voted((8.0, 9.3, 9.4), (0, 0.1, 0.2)), 1).order == (1,)
    assert selected("votes", voted((9.3, 9.4), (0, 9)), 1).order == (1,)


def test_votes_reasons_by_example():
    """Four views: two almost alike, one apart, one blind; two may be chosen."""
    evidence = voted((9, 8, 3, 0), (0.0, 0.2, 5.0, 9.0))

    def reasons(k: int) -> tuple[str, ...]:
        return tuple(map(str, selected("votes", evidence, k).reasons))

    suppressed = "suppressed: 0.02 rad from view 0"
    assert reasons(1) == ("chosen", suppressed, "beyond K", "no visible surfel")
    assert reasons(2) == ("chosen", suppressed, "chosen", "no visible surfel")
    # The near-duplicate still serves where nothing else does.
    assert selected("votes", evidence, 3).order == (0, 2, 1)
    assert reasons(4) == ("chosen", "chosen", "chosen", "no visible surfel")
