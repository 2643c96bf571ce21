"""Step requests: everything that a step depends on, stored with it, and enough to make it again."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from tests.session.test_session import assert_same_memory
from tests.support.fakes import CONFIG, box_backend, box_photo, forming_backend, open_box
from vmem.cameras import CameraError, Cameras
from vmem.session import ConfigError, Session
from vmem.types import AssociationConfig, Query, StepRequest, ViewId


def replayed(session: Session) -> Session:
    """The walk to the head made anew from its requests, which went through text."""
    again = open_box()
    for node in session.history.head.path()[1:]:
        assert node.record.request is not None
        again.step(StepRequest.from_json(json.loads(json.dumps(node.record.request.to_json()))))
    return again


def test_a_walk_is_replayed_bit_for_bit_from_its_requests():
    session = open_box()
    session.move("w")
    targets = session.targets_to(session.camera.c2w)
    session.step(targets, query=Query(2, "votes", pinned=(0,), suppression=0.1, density=0.5))
    session.config = replace(
        CONFIG, strategy="pose", context_views=3, association=AssociationConfig(points_per_frame=99)
    )
    session.move("a")
    again = replayed(session)
    assert_same_memory(session.memory, again.memory)
    for a, b in zip(session.memory.retrievals[1:], again.memory.retrievals[1:], strict=True):
        assert a is not None
        assert b is not None
        assert (a.query, a.order, a.reasons) == (b.query, b.order, b.reasons)
        np.testing.assert_array_equal(a.votes, b.votes)


def test_a_request_holds_what_was_configured_when_it_was_made(session):
    request = session.request(session.targets_to(session.camera.c2w), label="later")
    session.config = replace(CONFIG, strategy="temporal")
    step = session.step(request)
    assert step.record.request is request
    assert step.retrieval.strategy == request.query.strategy == CONFIG.strategy
    assert step.node.label == "later"


def test_json_keeps_every_field():
    session = open_box()
    request = session.request(
        session.targets_to(session.camera.c2w), query=Query(3, "votes", banned=()), label="a b"
    )
    again = StepRequest.from_json(json.loads(json.dumps(request.to_json())))
    np.testing.assert_array_equal(again.targets.c2w, request.targets.c2w)
    np.testing.assert_array_equal(again.targets.K, request.targets.K)
    assert again.targets.hw == request.targets.hw
    for name in ("query", "seed", "sampler", "association", "label"):
        assert getattr(again, name) == getattr(request, name)


def test_a_sampler_belongs_to_the_step():
    session = Session.open(box_photo(), backend=forming_backend(), config=CONFIG)
    generator = session.backend.generator
    session.move("w")
    targets = session.targets_to(session.camera.c2w)
    step = session.step(targets, sampler="fast")
    assert step.record.request is not None
    assert step.record.request.sampler == "fast"
    session.config = replace(CONFIG, sampler="balanced")
    session.move("w")
    assert generator.used == ["reference", "fast", "balanced"]  # pyright: ignore
    with pytest.raises(ConfigError, match="has no sampler 'slow': it has reference, balanced"):
        session.step(targets, sampler="slow")
    with pytest.raises(ConfigError, match="it has none"):
        Session.open(box_photo(), backend=box_backend()).request(targets, sampler="fast")


def test_views_have_ids_that_stay(session):
    session.move("w")
    first = session.memory.views[1]
    assert first.id == ViewId(1, 0)
    session.undo()
    session.move("a")
    other = session.memory.views[1]
    assert other.id == ViewId(2, 0)
    session.switch(1)
    assert session.memory.views[1].id == first.id
    assert len({view.id for view in session.memory.views}) == len(session.memory.views)


def test_walk_and_follow_give_their_steps(session):
    steps = list(session.walk("w a*2"))
    assert [step.index for step in steps] == [1, 2, 3]
    assert steps[0].frames.shape == (CONFIG.target_views, *session.camera.hw, 3)
    assert steps[0].frames.dtype == np.uint8
    home = session.memory.views[0].camera
    (back,) = session.follow([home])
    np.testing.assert_allclose(session.camera.c2w, home.c2w, atol=1e-12)
    assert back.retrieval.order


def test_one_line_says_what_things_are(session):
    assert repr(session).startswith("<Session box, at its start: <MemorySnapshot: 1 views, ")
    step = session.move("W")
    assert "step 1 of 1" in repr(session)
    assert repr(step).startswith("<Step 1 'w': ")
    assert repr(step.retrieval).startswith("<Retrieval by coverage, k=4: 0 of 1 views>")
    assert repr(session.memory.views[1]).startswith("<View 1.0 of step 1: ")
    assert repr(step.node) == "<Node 1 'w' after 0: 0 children>"
    assert repr(session.history) == "<History: 2 nodes, at 1 'w'>"
    assert repr(step.record).startswith("<StepRecord: 4 views, ")
    assert repr(session.memory.surfels) == f"<Surfels: {len(session.memory.surfels):,} disks>"
    assert repr(step.retrieval.buffers[0]).startswith("<SurfelBuffers: ")
    parts = (step.node, step.record, step.retrieval.buffers[0], session.history, session.camera)
    for thing in (session, step, session.memory, step.retrieval, session.memory.views[0], *parts):
        assert "\n" not in repr(thing)
        assert len(repr(thing)) < 200


def test_a_step_is_copied_without_the_tree(session):
    first, second = session.walk("w d")
    for copied in (copy.deepcopy(second), pickle.loads(pickle.dumps(second))):
        assert (copied.node.id, copied.node.label, copied.node.parent) == (2, "d", None)
        np.testing.assert_array_equal(copied.frames, second.frames)
    assert second.node.parent is first.node


@pytest.mark.usefixtures("unchecked_shapes")
def test_one_camera_will_do(session):
    camera = session.camera
    assert session.retrieve(camera).order == session.retrieve(Cameras.stack([camera])).order
    assert len(session.step(camera).record.views) == 1
    assert len(session.step([camera, camera]).record.views) == 2
    with pytest.raises(CameraError, match="got 3"):
        session.step(3)
