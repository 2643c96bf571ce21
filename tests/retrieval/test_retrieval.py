"""Retrieval: votes against loops over pixels and links, and an answer for every question."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes import CONFIG, HW, BoxGeometry, open_box
from vmem.cameras import (
    MOVES,
    Camera,
    CameraError,
    Cameras,
    apply_move,
    default_K,
    path_targets,
    pose_distance,
)
from vmem.memory import MemorySnapshot
from vmem.raster import rasterize
from vmem.retrieval import STRATEGIES, retrieve
from vmem.retrieval.answer import QUERY_SIDE, RetrievalError, query_size
from vmem.retrieval.evidence import NOTHING_VISIBLE
from vmem.session import SessionConfig
from vmem.types import DEFAULT_STRATEGY, PointMaps, ReasonKind, Retrieval

BY_SURFELS = ("votes", "coverage")


def targets_at(words: str, n: int = 2, hw: tuple[int, int] = HW) -> Cameras:
    """``n`` targets that lead from the origin to where the words lead."""
    c2w = np.eye(4)
    for word in words:
        c2w = apply_move(c2w, MOVES[word], amount=3)
    return path_targets(Camera(np.eye(4), default_K(hw), hw), c2w, n)


def far_outside() -> Cameras:
    """Targets beyond a wall, looking away from the box."""
    turned = apply_move(np.eye(4), MOVES["w"], amount=500)
    return path_targets(Camera(turned, default_K(HW), HW), turned, 2)


def assert_well_formed(found: Retrieval, memory: MemorySnapshot, k: int) -> None:
    n_views, n_surfels = len(memory.views), len(memory.surfels)
    for name in ("votes", "share", "coverage", "pose_distance", "rank", "chosen"):
        assert getattr(found, name).shape == (n_views,)
    assert found.surfel_weight.shape == (n_surfels,)
    assert len(found.buffers) == len(found.targets)

    usable = n_views
    if found.strategy in BY_SURFELS and (found.votes > 0).any():
        usable = int((found.votes > 0).sum())
    assert len(found.order) == min(k, usable)
    assert set(found.order) == set(np.flatnonzero(found.chosen).tolist())
    assert len(set(found.order)) == len(found.order)

    assert sorted(found.rank) == list(range(n_views))
    assert len(found.reasons) == n_views
    for view, reason in enumerate(found.reasons):
        assert str(reason)
        assert reason.is_chosen == bool(found.chosen[view])

    assert found.share.sum() == pytest.approx(1 if found.votes.any() else 0, abs=1e-5)
    assert found.coverage.min() >= 0
    assert found.coverage.max() <= 1 + 1e-6
    again = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert again["chosen"] == list(found.order)
    assert [row["view"] for row in again["views"]] == list(range(n_views))
    assert again["views"][0]["votes"] == pytest.approx(float(found.votes[0]))


@given(
    strategy=st.sampled_from(sorted(STRATEGIES)),
    words=st.text("wsadqerftg", max_size=5),
    k=st.integers(1, 40),
)
def test_every_question_has_a_well_formed_answer(walk, strategy, words, k):
    found = retrieve(walk, targets_at(words), k, strategy)
    assert (found.strategy, found.k) == (strategy, k)
    assert_well_formed(found, walk, k)


def test_ranks_follow_what_each_strategy_sorts_by(walk):
    found = {name: retrieve(walk, targets_at("d"), 5, name) for name in STRATEGIES}
    newest_first = np.arange(len(walk.views))[::-1]
    np.testing.assert_array_equal(found["temporal"].rank, newest_first)
    by_rank = {name: np.argsort(retrieval.rank) for name, retrieval in found.items()}
    assert (np.diff(found["pose"].pose_distance[by_rank["pose"]]) >= 0).all()
    assert (np.diff(found["votes"].votes[by_rank["votes"]]) <= 0).all()
    assert tuple(by_rank["coverage"][:5]) == found["coverage"].order


@pytest.mark.parametrize("words", ["", "wa", "ddr"])
def test_votes_and_coverage_equal_loops_over_pixels_and_links(walk, words):
    targets = targets_at(words)
    weight = np.zeros(len(walk.surfels))
    pixels = np.zeros(len(walk.surfels))
    for target in targets.resized(query_size(targets.hw)):
        drawn = rasterize(walk.surfels, target)
        for row, column in np.ndindex(drawn.index.shape):
            surfel = drawn.index[row, column]
            if surfel >= 0:
                weight[surfel] += drawn.cosine[row, column] / (1 + drawn.depth[row, column])
                pixels[surfel] += 1
    votes = np.zeros(len(walk.views))
    covered = np.zeros(len(walk.views))
    for surfel, view in zip(walk.link_surfel, walk.link_view, strict=True):
        votes[view] += weight[surfel]
        covered[view] += pixels[surfel]

    found = retrieve(walk, targets)
    np.testing.assert_allclose(found.surfel_weight, weight, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.votes, votes, rtol=1e-4)
    np.testing.assert_allclose(found.share, votes / votes.sum(), rtol=1e-4)
    np.testing.assert_allclose(found.coverage, covered / pixels.sum(), rtol=1e-4)
    expected = [
        min(float(pose_distance(view.camera.c2w, target.c2w)) for target in targets)
        for view in walk.views
    ]
    np.testing.assert_allclose(found.pose_distance, expected, atol=1e-5)


def test_a_view_covers_itself(walk):
    """What the photo's own camera sees, the photo saw."""
    camera = walk.views[0].camera
    found = retrieve(walk, Cameras.stack([camera]))
    assert found.coverage[0] > 0.97
    assert found.pose_distance[0] == pytest.approx(0, abs=1e-4)
    assert found.votes[0] == found.votes.max()


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_nothing_visible_falls_back_to_the_nearest_poses(walk, strategy):
    found = retrieve(walk, far_outside(), 3, strategy)
    assert_well_formed(found, walk, 3)
    assert not found.votes.any()
    assert all((buffer.index == -1).all() for buffer in found.buffers)
    if strategy in BY_SURFELS:
        assert found.note == NOTHING_VISIBLE
        nearest = np.argsort(found.pose_distance, kind="stable")[:3]
        np.testing.assert_allclose(
            found.pose_distance[list(found.order)], found.pose_distance[nearest]
        )
        assert all(found.reasons[view].kind is ReasonKind.CHOSEN_NEAREST for view in found.order)


class BlindGeometry(BoxGeometry):
    """Trusts nothing that it sees."""

    def estimate(self, frames, cameras, memory, **listening):
        maps = super().estimate(frames, cameras, memory, **listening)
        return PointMaps(maps.points, maps.depth, np.zeros_like(maps.depth))


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_a_memory_without_surfels_still_answers(backend, strategy):
    session = open_box(backend=replace(backend, geometry=BlindGeometry()))
    session.config = replace(CONFIG, strategy=strategy)
    session.move("w")
    memory = session.memory
    assert len(memory.surfels) == len(memory.link_surfel) == 0
    found = retrieve(memory, targets_at("w"), 4, strategy)
    assert_well_formed(found, memory, 4)


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_fewer_views_than_k_are_all_chosen(session, strategy):
    memory = session.memory
    found = retrieve(memory, targets_at("w"), 4, strategy)
    assert_well_formed(found, memory, 4)
    assert found.order == (0,)


def test_what_cannot_be_asked_is_refused(walk):
    targets = targets_at("w")
    with pytest.raises(RetrievalError, match="unknown strategy 'best': use one of votes"):
        retrieve(walk, targets, 4, "best")
    for k in (0, -1):
        with pytest.raises(RetrievalError, match=f"at least 1, got {k}"):
            retrieve(walk, targets, k)
    with pytest.raises(RetrievalError, match="no views yet"):
        retrieve(MemorySnapshot.empty(), targets)
    with pytest.raises(CameraError):
        retrieve(walk, replace(targets, c2w=targets.c2w * np.nan))


def test_the_default_strategy_is_the_same_everywhere(walk):
    targets = targets_at("d")
    session = open_box()
    assert session.config.strategy == SessionConfig().strategy == DEFAULT_STRATEGY
    answers = (retrieve(walk, targets), retrieve(walk, targets), session.retrieve(targets))
    assert {answer.strategy for answer in answers} == {DEFAULT_STRATEGY}


def test_the_same_question_has_the_same_answer(walk):
    first, second = (retrieve(walk, targets_at("da"), 4) for _ in range(2))
    assert json.dumps(first.to_json()) == json.dumps(second.to_json())


@pytest.mark.parametrize("hw", [(1, 1), (48, 48), (288, 288), (300, 4000), (4000, 3)])
def test_query_size_keeps_the_aspect_and_its_bound(hw):
    h, w = query_size(hw)
    assert min(h, w) >= 1
    assert max(h, w) == min(max(hw), QUERY_SIDE)
    if min(h, w) > 1:
        assert h / w == pytest.approx(hw[0] / hw[1], rel=0.1)
