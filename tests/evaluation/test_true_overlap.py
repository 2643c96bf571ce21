"""The share of a target that chosen views truly show: against a loop, and against finer looks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import vmem.evaluation.true_overlap
from vmem.cameras import Cameras, pose_distance, unproject
from vmem.evaluation.true_overlap import TARGET_SIDE, VIEW_SIDE, TrueOverlap
from vmem.evaluation.truth import looks, sees
from vmem.memory import MemorySnapshot
from vmem.retrieval import retrieve
from vmem.session import Session
from vmem.types import Retrieval
from vmem.worlds.backend import World, make_world


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(1)


@pytest.fixture(scope="module")
def memory() -> MemorySnapshot:
    """Four steps through that world, turning to the left."""
    from vmem.backends import create_backend

    session = Session.open(None, backend=create_backend("world", seed=1, size=64), seed=1)
    for word in "waaaa":
        session.move(word)
    return session.memory


def ordered(retrieval: Retrieval, *order: int) -> Retrieval:
    return replace(retrieval, order=order)


def test_it_is_the_share_of_points_that_some_chosen_view_sees(world, memory):
    overlap = TrueOverlap(world)
    for retrieval in memory.retrievals[1:]:
        seen, n = 0, 0
        for target in looks(world, retrieval.targets, TARGET_SIDE):
            points = unproject(target.depth, target.camera)[target.hit].astype(float)
            shown = np.zeros(len(points), bool)
            for view in retrieval.order:
                cameras = Cameras.stack([memory.views[view].camera])
                shown |= sees(looks(world, cameras, VIEW_SIDE)[0], points)
            seen, n = seen + int(shown.sum()), n + len(points)
        assert overlap.of(memory, retrieval) == pytest.approx(seen / n)
        assert 0.5 < seen / n <= 1


def test_more_views_never_show_less(world, memory):
    overlap, last = TrueOverlap(world), memory.retrievals[-1]
    shares = [overlap.of(memory, ordered(last, *range(n))) for n in range(0, len(memory.views), 4)]
    assert shares[0] == 0
    assert shares == sorted(shares)
    own = last.targets[:1]
    at = int(np.argmin(pose_distance(memory.poses, own.c2w)))
    itself = retrieve(memory, own, 1, "pose")
    assert overlap.of(memory, ordered(itself, at)) == 1


def test_coarse_looks_are_fine_enough(world, memory, monkeypatch):
    coarse = [TrueOverlap(world).of(memory, one) for one in memory.retrievals[1:]]
    monkeypatch.setattr(vmem.evaluation.true_overlap, "TARGET_SIDE", 4 * TARGET_SIDE)
    monkeypatch.setattr(vmem.evaluation.true_overlap, "VIEW_SIDE", 2 * VIEW_SIDE)
    fine = [TrueOverlap(world).of(memory, one) for one in memory.retrievals[1:]]
    np.testing.assert_allclose(coarse, fine, atol=0.02)


def test_no_camera_is_drawn_twice(world, memory, monkeypatch):
    drawn = []

    def counted(*given):
        drawn.append(given)
        return looks(*given)

    monkeypatch.setattr(vmem.evaluation.true_overlap, "looks", counted)
    overlap = TrueOverlap(world)
    targets = memory.retrievals[-1].targets
    answers = [retrieve(memory, targets, 4, strategy) for strategy in ("votes", "pose", "coverage")]
    shares = [overlap.of(memory, answer) for answer in answers]
    asked = {view for answer in answers for view in answer.order}
    once = len(drawn)
    assert once == len(asked) + len(targets)
    assert [overlap.of(memory, answer) for answer in answers] == shares
    assert len(drawn) == once
