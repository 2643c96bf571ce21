"""What may be asked: pins, bans, weightings, densities, and that the answer remembers."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.evidence import evidences, selected
from tests.support.fakes import open_box
from vmem.cameras import CameraError, Cameras
from vmem.memory import MemorySnapshot
from vmem.retrieval import STRATEGIES, Evidence, ask, retrieve
from vmem.retrieval.answer import ALL_BANNED
from vmem.retrieval.thinning import kept_surfels, thinned
from vmem.types import WEIGHTINGS, Query, ReasonKind, Retrieval, RetrievalError

OWN = sorted(set(STRATEGIES) - {"reference"})
"""Strategies that choose from made-up evidence."""


def targets_at(memory: MemorySnapshot, *views: int) -> Cameras:
    return Cameras.stack([memory.views[view].camera for view in views])


@st.composite
def wishes(draw: st.DrawFn) -> tuple[Evidence, int]:
    evidence = draw(evidences)
    views = draw(st.permutations(range(len(evidence))))
    pins = draw(st.integers(0, len(views)))
    bans = draw(st.integers(0, len(views) - pins))
    asked = replace(
        evidence, pinned=tuple(views[:pins]), banned=frozenset(views[pins : pins + bans])
    )
    return asked, draw(st.integers(1, 8))


@given(wishes(), st.sampled_from(OWN))
def test_pinned_views_come_first_and_banned_ones_never(asked: tuple[Evidence, int], name: str):
    evidence, k = asked
    found = selected(name, evidence, k)
    pins = evidence.pinned[:k]
    assert found.order[: len(pins)] == pins
    assert len(found.order) == len(set(found.order)) <= k
    assert not evidence.banned & set(found.order)
    assert sorted(found.ranking) == list(range(len(evidence)))
    for view, reason in enumerate(found.reasons):
        if view in evidence.banned:
            assert reason.kind is ReasonKind.BANNED
        elif view in evidence.pinned:
            assert reason.is_pinned if view in pins else reason.kind is ReasonKind.PINNED_BEYOND_K
        else:
            assert reason.is_chosen == (view in found.order)


@given(wishes(), st.sampled_from(OWN))
def test_banning_is_as_if_the_view_had_not_been_stored(asked: tuple[Evidence, int], name: str):
    evidence, k = asked
    evidence = replace(evidence, pinned=())
    kept = np.flatnonzero(evidence.allowed)
    if not len(kept):
        assert selected(name, evidence, k).order == ()
        return
    number = np.full(len(evidence), -1)
    number[kept] = np.arange(len(kept))
    start, views = evidence.seen_by.start, number[evidence.seen_by.views]
    links = np.repeat(np.arange(len(start) - 1), np.diff(start))[views >= 0]
    without = replace(
        evidence,
        votes=evidence.votes[kept],
        coverage=evidence.coverage[kept],
        distance=evidence.distance[kept],
        poses=evidence.poses[kept],
        K_normalized=evidence.K_normalized[kept],
        seen_by=type(evidence.seen_by).of(
            len(start) - 1,
            len(kept),
            links.astype(np.int32),
            views[views >= 0].astype(np.int32),
        ),
        banned=frozenset(),
    )
    expected = tuple(int(kept[view]) for view in selected(name, without, k).order)
    assert selected(name, evidence, k).order == expected


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_pins_and_bans_hold_in_a_real_memory(walk: MemorySnapshot, strategy: str) -> None:
    targets = targets_at(walk, 20)
    free = ask(walk, targets, Query(3, strategy))
    banned = ask(walk, targets, Query(3, strategy, banned=(free.order[0],)))
    assert free.order[0] not in banned.order
    assert len(banned.order) == 3
    assert not banned.chosen[free.order[0]]
    worst = int(np.argmax(free.rank))
    pinned = ask(walk, targets, Query(3, strategy, pinned=(worst,)))
    assert pinned.order[0] == worst
    assert pinned.chosen[worst]
    nobody = ask(walk, targets, Query(3, strategy, banned=tuple(range(len(walk.views)))))
    assert nobody.order == ()
    assert nobody.note == ALL_BANNED


def slow_votes(memory: MemorySnapshot, answer: Retrieval, by_slant: bool, by_depth: bool):
    votes = np.zeros(len(memory.views))
    (buffers,) = answer.buffers
    for index, cosine, depth in zip(
        buffers.index.flat, buffers.cosine.flat, buffers.depth.flat, strict=True
    ):
        if index >= 0:
            vote = (cosine if by_slant else 1) / (1 + depth if by_depth else 1)
            votes[memory.link_view[memory.link_surfel == index]] += vote
    return votes


@pytest.mark.parametrize("weighting", sorted(WEIGHTINGS))
def test_votes_count_as_the_weighting_says(weighting: str) -> None:
    memory = open_box().memory
    answer = ask(memory, targets_at(memory, 0), Query(2, "votes", weighting=weighting))
    expected = slow_votes(memory, answer, *WEIGHTINGS[weighting])
    np.testing.assert_allclose(answer.votes, expected, rtol=1e-4)


def test_without_wishes_the_strategies_own_rules_hold(walk: MemorySnapshot) -> None:
    targets = targets_at(walk, 8, 20)
    for strategy in STRATEGIES:
        plain, asked = retrieve(walk, targets, 4, strategy), ask(walk, targets, Query(4, strategy))
        published = ask(walk, targets, Query(4, strategy, weighting="cos/(1+z)"))
        np.testing.assert_array_equal(plain.votes, published.votes)
        assert plain.order == asked.order
        assert plain.reasons == asked.reasons
    by_pixels = ask(walk, targets, Query(4, "coverage", weighting="pixels"))
    assert by_pixels.order == retrieve(walk, targets, 4, "coverage").order


def test_suppression_spreads_votes(walk: MemorySnapshot) -> None:
    targets = targets_at(walk, 20)
    near, far = (ask(walk, targets, Query(4, "votes", suppression=s)) for s in (0.0, 0.3))

    def spread(answer: Retrieval) -> float:
        poses = walk.poses[list(answer.order)]
        return float(np.linalg.norm(poses[:, None, :3, 3] - poses[None, :, :3, 3], axis=-1).sum())

    assert near.order == tuple(np.argsort(-near.votes, kind="stable")[:4])
    assert spread(far) > spread(near)


@given(st.integers(0, 3000), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_lower_density_keeps_fewer_of_the_same(n: int, a: float, b: float) -> None:
    low, high = sorted((a, b))
    few, more = kept_surfels(n, low), kept_surfels(n, high)
    assert np.isin(few, more).all()
    assert (np.diff(more) > 0).all()
    assert abs(len(more) - high * n) <= 2 + 0.02 * n
    assert len(kept_surfels(n, 1.0)) == n


def test_fewer_surfels_answer_in_the_numbers_of_all(walk: MemorySnapshot) -> None:
    targets = targets_at(walk, 8, 20)
    whole, half = (ask(walk, targets, Query(density=density)) for density in (1.0, 0.5))
    kept = kept_surfels(len(walk.surfels), 0.5)
    assert half.surfel_weight.shape == whole.surfel_weight.shape
    assert set(np.flatnonzero(half.surfel_pixels)) <= set(kept.tolist())
    for few, all_ in zip(half.buffers, whole.buffers, strict=True):
        assert set(np.unique(few.index)) - {-1} <= set(kept.tolist())
        both = (few.index >= 0) & (all_.index >= 0)
        # The disks have grown: surfaces stay closed, and where they were.
        assert both.sum() > 0.95 * (all_.index >= 0).sum()
        assert np.median(np.abs(few.depth - all_.depth)[both]) < 0.05
    assert np.abs(half.share - whole.share).max() < 0.1
    again = thinned(walk, 0.5)
    assert thinned(walk, 0.5) is again
    assert thinned(walk, 0.25) is not again


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"k": 0}, "at least 1"),
        ({"k": 2.5}, "whole"),
        ({"k": True}, "whole.*got True"),
        ({"k": "4"}, "got '4'"),
        ({"strategy": ["votes"]}, "by its name"),
        ({"strategy": 3}, "by its name"),
        ({"weighting": "loud"}, "unknown weighting"),
        ({"weighting": ["cos"]}, "unknown weighting"),
        ({"density": 0.0}, "above 0"),
        ({"density": float("nan")}, "above 0"),
        ({"density": "a"}, "above 0.*'a'"),
        ({"suppression": -1.0}, "0 or more"),
        ({"suppression": "a"}, "0 or more.*'a'"),
        ({"suppression": float("inf")}, "0 or more"),
        ({"pinned": (1,), "banned": (1,)}, "pinned and banned"),
        ({"pinned": (1, 1)}, "pinned twice"),
        ({"pinned": 3}, "pinned views.* got 3"),
        ({"pinned": None}, "pinned views.* got None"),
        ({"pinned": "ab"}, "pinned views.* got 'ab'"),
        ({"pinned": ("a",)}, "whole numbers"),
        ({"banned": (1.5,)}, "banned views.*whole numbers"),
        ({"banned": [True]}, "whole numbers"),
        ({"banned": {1: 2}}, "banned views"),
    ],
)
def test_what_cannot_be_asked_is_refused(wrong: dict, says: str) -> None:
    with pytest.raises(RetrievalError, match=says):
        Query(**wrong)


def test_views_may_be_named_in_any_series() -> None:
    query = Query(pinned=np.array([2, 1]), banned=[np.int64(3)])  # pyright: ignore
    assert query == Query(pinned=(2, 1), banned=(3,))
    assert json.loads(json.dumps(query.to_json()))["pinned"] == [2, 1]


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"loud": 1}, RetrievalError, "no 'loud': it has k, strategy"),
        ({"query": {"k": 3}}, RetrievalError, "expected a Query, got {'k': 3}"),
        ({"query": {}}, RetrievalError, "expected a Query"),
        ({"config": {}}, RetrievalError, "expected a SelectionConfig"),
        ({"memory": "session"}, RetrievalError, "pass session.memory"),
        ({"targets": 3}, CameraError, "expected cameras.*got 3"),
        ({"targets": [3]}, CameraError, "among them 3"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_ask_says_what_it_was_given(
    walk: MemorySnapshot, wrong: dict, error: type[Exception], says: str
) -> None:
    asked = {"memory": walk, "targets": targets_at(walk, 0)} | wrong
    with pytest.raises(error, match=says):
        ask(**asked)


def test_one_camera_and_a_list_of_cameras_will_do(walk: MemorySnapshot) -> None:
    cameras = [walk.views[view].camera for view in (3, 4)]
    assert ask(walk, cameras).order == ask(walk, Cameras.stack(cameras)).order
    assert ask(walk, cameras[0]).order == ask(walk, cameras[:1]).order


def test_views_that_are_not_there_cannot_be_named(walk: MemorySnapshot) -> None:
    for query in (Query(pinned=(99,)), Query(banned=(-1,)), Query(pinned=(99,), density=0.5)):
        with pytest.raises(RetrievalError, match=f"memory has {len(walk.views)} views"):
            ask(walk, targets_at(walk, 0), query)


def test_a_step_remembers_what_was_asked_for_it() -> None:
    session = open_box()
    session.move("w")
    targets = session.targets_to(session.camera.c2w)
    query = Query(9, "votes", pinned=(3,), banned=(0,), weighting="cos", density=0.5)
    record = session.step(targets, query=query).record
    assert record.retrieval is not None
    assert record.retrieval.query == query
    assert record.retrieval.order[0] == 3
    assert 0 not in record.retrieval.order
    written = json.loads(json.dumps(record.retrieval.to_json()))
    assert written["query"] == json.loads(json.dumps(query.to_json()))
    session.undo()
    session.redo()
    retrieval = session.memory.retrievals[-1]
    assert retrieval is not None
    assert retrieval.query == query


def test_a_step_with_every_view_banned_is_refused_and_changes_nothing() -> None:
    session = open_box()
    before = session.memory
    with pytest.raises(RetrievalError, match="lift a ban"):
        session.step(session.targets_to(session.camera.c2w), query=Query(banned=(0,)))
    assert session.memory is before
    assert session.history.head.id == 0
