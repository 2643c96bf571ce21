"""CUT3R as a session's geometry: its state in the walk's history, and what it does with nonsense.

The network is tiny and random. Where its answers matter they are replaced by exact depth of the
procedural world, spoilt on purpose, after the network has run.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.support import tiny
from tests.support.fakes import CONFIG, HALF, HW, box_backend, box_depth, box_photo
from vmem.backends import Backend
from vmem.cameras import Camera, Cameras, pixel_rays
from vmem.geometry.alignment.fit_views import LOW
from vmem.geometry.alignment.predicted import Predicted
from vmem.geometry.cut3r.config import NotFiniteStateError
from vmem.geometry.cut3r.estimator import Cut3rEstimator
from vmem.geometry.cut3r.kept_state import KeptState
from vmem.geometry.cut3r.loading import Network
from vmem.geometry.cut3r.network import Cut3r
from vmem.memory import MemorySnapshot
from vmem.progress import Cancelled, CancelToken, OnProgress, Progress
from vmem.session import Session
from vmem.types import MIN_CONFIDENCE, Frames, StateArrays

pytestmark = pytest.mark.usefixtures("one_thread")
NET = tiny.tiny_cut3r()
SIZE = 64
Spoil = Callable[[Predicted, Cameras], Predicted]


class Told(Cut3rEstimator):
    """Runs the network, and then says something else. ``shown`` counts the views it encoded."""

    def __init__(self, spoil: Spoil | None = None, net: Cut3r = NET, stamp: str = "") -> None:
        network = Network(net, torch.device("cpu"), (stamp,))
        super().__init__(size=SIZE, borrow=lambda on_progress, cancel: nullcontext(network))
        self.spoil = spoil
        self.shown: list[int] = []

    def predict(
        self,
        frames: Frames,
        cameras: Cameras,
        memory: MemorySnapshot,
        on_progress: OnProgress,
        cancel: CancelToken,
    ) -> tuple[Predicted, KeptState, list[str]]:
        predicted, kept, remarks = super().predict(frames, cameras, memory, on_progress, cancel)
        self.shown.append(kept.state.views)
        return self.spoil(predicted, cameras) if self.spoil else predicted, kept, remarks


def truth(camera: Camera) -> NDArray[np.float32]:
    """Depth of the box in the session's unit, in which the photo's median depth is 1."""
    c2w = camera.c2w.copy()
    c2w[:3, 3] *= HALF[2]
    return (box_depth(camera.moved_to(c2w)) / HALF[2]).astype(np.float32)


def exact(predicted: Predicted, cameras: Cameras) -> Predicted:
    """The box in another unit, at the network's resolution."""
    small = cameras.resized(predicted.confidence.shape[1:3])
    depth = 2.7 * np.stack([truth(camera) for camera in small])
    rays = np.stack([pixel_rays(camera) for camera in small])
    sure = np.full(depth.shape, 9, np.float32)
    return replace(
        predicted,
        points_self=(rays * depth[..., None]).astype(np.float32),
        confidence=sure,
        points_world=None,
    )


def backend(geometry: Cut3rEstimator) -> Backend:
    return replace(box_backend(), geometry=geometry, aligned_depth=True)


def opened(geometry: Cut3rEstimator) -> Session:
    return Session.open(box_photo(), backend=backend(geometry), config=CONFIG)


def kept(memory: MemorySnapshot) -> KeptState:
    arrays = memory.views[-1].geometry_state
    assert arrays is not None
    return restored(arrays)


def restored(arrays: StateArrays) -> KeptState:
    state = KeptState.from_arrays(arrays)
    assert state is not None
    return state


def same_state(one: KeptState, other: KeptState) -> bool:
    return (
        one.seen == other.seen
        and torch.equal(one.state.tokens, other.state.tokens)
        and torch.equal(one.state.memory, other.state.memory)
    )


def same_maps(one: MemorySnapshot, other: MemorySnapshot) -> bool:
    return len(one.views) == len(other.views) and all(
        np.array_equal(a.depth, b.depth) and np.array_equal(a.confidence, b.confidence)
        for a, b in zip(one.views, other.views, strict=True)
    )


# --- the state in a walk's history ---


def test_only_new_frames_pass_through_the_network(monkeypatch):
    session = opened(geometry := Told(exact))
    encoded = []
    encode = NET.encode
    monkeypatch.setattr(
        NET, "encode", lambda images: (encoded.append(len(images)), encode(images))[1]
    )
    for n, word in enumerate("wwa", start=1):
        encoded.clear()
        result = session.move(word)
        assert sum(encoded) == 4
        assert kept(session.memory).seen == 1 + 4 * n
        assert result.record.note.startswith("alignment: view 0 by ")
    assert geometry.shown == [1, 5, 9, 13]
    states = [view.geometry_state is not None for view in session.memory.views]
    assert states == [True] + [False, False, False, True] * 3


def test_a_step_made_again_after_undo_is_the_same_bit_for_bit():
    session = opened(Told(exact))
    session.move("w")
    session.move("a")
    first = session.memory
    session.undo()
    session.redo()
    assert same_maps(session.memory, first)
    assert same_state(kept(session.memory), kept(first))
    session.undo()
    session.undo()
    session.move("w")
    session.move("a")
    assert same_maps(session.memory, first)
    assert same_state(kept(session.memory), kept(first))


def test_a_branch_has_not_seen_what_was_undone():
    session = opened(Told(exact))
    session.move("w")
    session.move("a")
    seen = kept(session.memory)
    session.undo()
    session.move("d")
    straight = opened(Told(exact))
    straight.move("w")
    straight.move("d")
    assert same_maps(session.memory, straight.memory)
    assert same_state(kept(session.memory), kept(straight.memory))
    assert not same_state(kept(session.memory), seen)


def without_states(memory: MemorySnapshot, first: int = 0) -> MemorySnapshot:
    """As a memory that was read from a file, or that another estimator has begun."""
    views = [
        replace(view, geometry_state=None) if i >= first else view
        for i, view in enumerate(memory.views)
    ]
    return replace(memory, views=tuple(views))


@pytest.fixture(scope="module")
def walked() -> tuple[MemorySnapshot, Frames, Cameras]:
    """A memory of nine views, and the frames and cameras of a step after it."""
    session = opened(Told(exact))
    session.move("w")
    session.move("a")
    memory = session.memory
    frames = Frames(np.stack([view.rgb for view in memory.views[:4]]))
    return memory, frames, session.targets_to(session.camera.c2w)


@pytest.mark.parametrize(("first", "again"), [(0, 9), (8, 4), (9, 0)])
def test_a_missing_state_is_worked_out_from_the_stored_views(walked, first, again):
    memory, frames, targets = walked
    whole = Told().estimate(frames, targets, memory)
    steps: list[Progress] = []
    maps = Told().estimate(frames, targets, without_states(memory, first), on_progress=steps.append)
    assert np.array_equal(maps.depth, whole.depth)
    assert maps.state is not None
    assert whole.state is not None
    assert same_state(restored(maps.state), restored(whole.state))
    assert (f"{again} stored views" in maps.note) == bool(again)
    done = [(p.done, p.total) for p in steps if p.stage == "geometry"]
    assert done == [(i, again + 4) for i in range(again + 5)]


def test_a_state_of_another_network_is_not_gone_on_from(walked):
    memory, frames, targets = walked
    other = Told(net=tiny.tiny_cut3r(1), stamp="other")
    maps = other.estimate(frames, targets, memory)
    assert "9 stored views" in maps.note


def test_a_cancelled_step_leaves_no_trace():
    session = opened(Told(exact))
    session.move("w")
    before = session.memory
    for at in (0, 2, 4):
        cancel = CancelToken()

        def stop(progress: Progress, at: int = at, cancel: CancelToken = cancel) -> None:
            if progress.stage == "geometry" and progress.total > 1 and progress.done == at:
                cancel.cancel()

        with pytest.raises(Cancelled):
            session.move("w", on_progress=stop, cancel=cancel)
        assert session.memory is before
    session.move("w")
    assert kept(session.memory).seen == 9


def test_frames_that_are_not_square_are_seen_in_whole_sixteenths():
    session = Session.open(box_photo((60, 48)), backend=backend(Told(exact)), config=CONFIG)
    session.move("a")
    assert session.memory.views[-1].depth.shape == (60, 48)


# --- a walk with answers worth having ---


def test_good_answers_recover_the_box():
    session = opened(Told(exact))
    for word in "wad":
        note = session.move(word).record.note
        assert note.count("by views") == 4
    memory = session.memory
    for view in memory.views:
        assert np.median(np.abs(view.depth / truth(view.camera) - 1)) < 0.01
        assert np.median(view.confidence) > 0.5


# --- bad input ---


def nan(predicted: Predicted, cameras: Cameras) -> Predicted:
    return replace(predicted, points_self=np.full_like(predicted.points_self, np.nan))


def unsure(predicted: Predicted, cameras: Cameras) -> Predicted:
    good = exact(predicted, cameras)
    return replace(good, confidence=np.ones_like(good.confidence))


def unknown_confidence(predicted: Predicted, cameras: Cameras) -> Predicted:
    good = exact(predicted, cameras)
    return replace(good, confidence=np.full_like(good.confidence, np.nan))


def noise(predicted: Predicted, cameras: Cameras) -> Predicted:
    rng = np.random.default_rng(0)
    good = exact(predicted, cameras)
    depth = np.exp(2 * rng.normal(size=good.confidence.shape))
    return replace(good, points_self=(good.points_self * depth[..., None]).astype(np.float32))


def check_fallback(session: Session, before: MemorySnapshot) -> None:
    """New views are there, are not trusted, and nothing that memory has was moved."""
    memory = session.memory
    for view in memory.views[len(before.views) :]:
        assert np.isfinite(view.depth).all()
        assert (view.depth > 0).all()
        assert view.confidence.max() <= LOW
    new = memory.surfels[len(before.surfels) :]
    assert np.isfinite(new.position).all()


@pytest.fixture(scope="module")
def begun() -> tuple[Session, Told]:
    """A session of one step with answers worth having; whoever uses it undoes what it does."""
    session = opened(geometry := Told(exact))
    session.move("w")
    return session, geometry


@pytest.mark.parametrize("spoil", [nan, unsure, unknown_confidence, noise])
def test_nonsense_falls_back_to_the_layout_and_says_so(begun, spoil, caplog):
    session, geometry = begun
    before = session.memory
    geometry.spoil = spoil
    with caplog.at_level("INFO", "vmem.session.session"):
        note = session.move("a").record.note
    assert note.count("by fallback: ") == 4
    assert f"step 2 (a): {note}" in caplog.text
    check_fallback(session, before)
    geometry.spoil = exact
    assert "fallback" not in session.move("d").record.note
    assert session.undo()
    assert session.undo()


@pytest.mark.parametrize("spoil", [nan, unsure])
def test_a_photo_of_which_nothing_is_known_still_opens(spoil):
    session = opened(geometry := Told(spoil))
    assert "by fallback" in session.history.head.record.note
    assert 0 < session.memory.views[0].confidence.max() <= LOW
    assert len(session.memory.surfels) > 0
    geometry.spoil = exact
    session.move("w")
    session.move("a")


@pytest.mark.parametrize("level", [0, 128, 255])
def test_constant_frames(level):
    """Whatever a random network says of them."""
    photo = np.full((*HW, 3), level, np.uint8)
    session = Session.open(photo, backend=backend(Told()), config=CONFIG)
    session.move("w")
    memory = session.memory
    assert all(np.isfinite(view.depth).all() for view in memory.views)


def step_to(session: Session, c2w: np.ndarray) -> str:
    targets = Cameras.stack([session.camera.moved_to(c2w)] * 4)
    return session.step(targets).record.note


def test_views_that_see_nothing_known_are_not_trusted():
    """A jump out of everything: nothing tells the scale of what is there."""
    session = opened(Told(exact))
    before = session.memory
    away = session.camera.c2w @ np.diag([-1.0, 1, -1, 1])
    note = step_to(session, away)
    assert note.count("no overlap with memory") == 4
    assert note.count("by fallback") == 4
    memory = session.memory
    assert all(view.confidence.max() < MIN_CONFIDENCE for view in memory.views[1:])
    assert len(memory.surfels) == len(before.surfels)
    session.move("a")


def test_identical_poses_and_pure_rotation_are_fitted_to_memory():
    session = opened(Told(exact))
    assert step_to(session, session.camera.c2w).count("by views") == 4
    session.move("a")
    session.move("a")
    last = session.memory.views[-1]
    assert np.median(np.abs(last.depth / truth(last.camera) - 1)) < 0.01


def test_a_view_that_would_spoil_the_state_is_left_out(monkeypatch):
    session = opened(Told())
    before = kept(session.memory)
    step, calls = NET.step, []

    def failing(state, features, wanted=None):
        calls.append(state.views)
        if len(calls) == 2:
            raise NotFiniteStateError("view 2")
        return step(state, features, wanted)

    monkeypatch.setattr(NET, "step", failing)
    note = session.move("w").record.note
    assert "view 1 would have spoilt the network's state" in note
    assert "view 1 by fallback" in note
    after = kept(session.memory)
    assert (after.seen, after.state.views) == (before.seen + 4, before.state.views + 3)
    monkeypatch.undo()
    assert "shown to the network again" not in session.move("w").record.note


def test_maps_have_no_state_of_estimators_without_one(session):
    session.move("w")
    assert all(view.geometry_state is None for view in session.memory.views)
    assert session.history.head.record.note == ""


def test_the_first_camera_is_the_layouts():
    camera = Told().place(box_photo())
    assert isinstance(camera, Camera)
    assert camera.hw == HW
