"""Sessions: steps are all or nothing, history is a tree, and equal walks are equal."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from fakes import CONFIG, HW, BoxGenerator, BoxGeometry, box_backend, box_photo, open_box

from vmem.backends import Backend, BackendError
from vmem.cameras import CameraError, Cameras
from vmem.geometry.base import PointMaps
from vmem.history import HistoryError
from vmem.memory import MemorySnapshot
from vmem.progress import Cancelled, CancelToken, Progress
from vmem.session import ConfigError, Session, SessionBusy, SessionConfig, StepError
from vmem.views import Frames, Provenance


@dataclass(frozen=True)
class State:
    """Everything of a session that a failed change must leave alone."""

    snapshot: MemorySnapshot
    head: Any
    nodes: tuple[Any, ...]
    recent: tuple[Any, ...]

    @staticmethod
    def of(session: Session) -> State:
        history = session.history
        recent = tuple(node.recent for node in history.nodes)
        return State(session.snapshot(), history.head, history.nodes, recent)

    def assert_kept(self, session: Session) -> None:
        assert session.snapshot() is self.snapshot
        assert session.history.head is self.head
        assert session.history.nodes == self.nodes
        assert tuple(node.recent for node in session.history.nodes) == self.recent
        assert not self.head.children


def frames_of(session: Session) -> np.ndarray:
    return np.stack([view.rgb for view in session.snapshot().views])


def assert_same_memory(a: MemorySnapshot, b: MemorySnapshot) -> None:
    for name in ("position", "normal", "radius", "color"):
        np.testing.assert_array_equal(getattr(a.surfels, name), getattr(b.surfels, name))
    np.testing.assert_array_equal(a.link_surfel, b.link_surfel)
    np.testing.assert_array_equal(a.link_view, b.link_view)
    assert a.steps == b.steps
    for one, other in zip(a.views, b.views, strict=True):
        np.testing.assert_array_equal(one.rgb, other.rgb)
        np.testing.assert_array_equal(one.camera.c2w, other.camera.c2w)


# --- opening and stepping --------------------------------------------------------------------


def test_the_photo_is_the_first_view(session):
    memory = session.snapshot()
    (view,) = memory.views
    np.testing.assert_array_equal(view.rgb, box_photo())
    assert view.step == 0
    assert view.provenance is not None
    assert (view.provenance == Provenance.OBSERVED).all()
    assert memory.retrievals == (None,)
    assert len(memory.surfels) == len(memory.link_surfel) > 100
    assert session.history.head.label == "photo"


def test_a_step_adds_its_targets_as_views(session):
    targets = session.targets_to(session.camera.c2w)
    result = session.step(targets, label="here")
    memory = session.snapshot()
    assert len(memory.views) == 1 + CONFIG.target_views
    for view, target in zip(memory.views[1:], targets, strict=True):
        np.testing.assert_array_equal(view.camera.c2w, target.c2w)
        assert view.step == 1
    assert result.node is session.history.head
    assert result.node.label == "here"
    assert result.record.views == memory.views[1:]
    assert memory.retrievals[1] is result.record.retrieval
    assert set(result.seconds) >= {"retrieve", "generate", "estimate", "associate", "commit"}
    assert min(result.seconds.values()) >= 0


def test_the_generator_gets_what_was_retrieved(session):
    contexts = []

    class Listener(BoxGenerator):
        def generate(self, context, targets, **rest):
            contexts.append(context)
            return super().generate(context, targets, **rest)

    session.backend = replace(session.backend, generator=Listener())
    for step in (1, 2, 3):
        before = session.snapshot()
        record = session.move("a").record
        assert record.retrieval is not None
        expected = tuple(before.views[view] for view in record.retrieval.order)
        assert contexts[-1].views == expected
        assert contexts[-1].anchor is before.views[0]
        assert contexts[-1].step == step
    assert len(contexts[-1].views) == CONFIG.context_views


def test_stages_are_reported_in_order(session):
    reports: list[Progress] = []
    session.move("w", on_progress=reports.append)
    stages = list(dict.fromkeys(report.stage for report in reports))
    assert stages == ["retrieve", "generate", "geometry", "memory"]
    frames = [report.done for report in reports if report.stage == "generate"]
    assert frames == [1, 2, 3, 4]
    assert all(report.total == 4 for report in reports if report.stage == "generate")


def test_moves_come_back_to_where_they_began(session):
    for word in "wsaqed":
        session.move(word)
    np.testing.assert_allclose(session.camera.c2w, np.eye(4), atol=1e-9)


def test_loops_close():
    """After a turn of 60 degrees and back, the photo is context for the return to it."""
    session = open_box()
    for word in "a" * 15 + "d" * 15:
        session.move(word)
    memory = session.snapshot()
    assert len(memory.views) == 1 + 30 * 4
    last = memory.retrievals[-1]
    assert last is not None
    assert last.chosen[0], last.reasons[0]
    # The turn out paid for all surfels; the turn back found every one of them again.
    assert len(memory.surfels) <= 1.02 * memory.steps[15].n_surfels


def test_a_backend_without_a_scene_needs_a_photo(backend):
    with pytest.raises(BackendError, match="needs a photo"):
        Session.open(None, backend=backend)


def test_a_backend_with_its_own_scene_takes_no_photo(backend):
    frames = Frames(rgb=box_photo()[None])
    camera = BoxGeometry().place(box_photo())
    own = replace(backend, own_scene=lambda: (frames, camera))
    session = Session.open(None, backend=own, config=CONFIG)
    np.testing.assert_array_equal(session.snapshot().views[0].rgb, box_photo())
    with pytest.raises(BackendError, match="takes no photo"):
        Session.open(box_photo(), backend=own)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": -1}, "seed must be between 0 and 4294967295, got -1"),
        ({"seed": 2**32}, "seed must be"),
        ({"context_views": 0}, "context_views must be between 1 and 64, got 0"),
        ({"context_views": 65}, "context_views must be"),
        ({"target_views": 0}, "target_views must be"),
        ({"target_views": 1000}, "target_views must be"),
        ({"strategy": "luck"}, "unknown strategy 'luck': use one of votes"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        SessionConfig(**settings)


def test_opening_refuses_a_bad_seed(backend):
    with pytest.raises(ConfigError, match="seed"):
        Session.open(box_photo(), backend=backend, seed=-1)


@pytest.mark.parametrize("n", [1, 3, 7])
def test_any_number_of_targets(backend, n):
    config = replace(CONFIG, target_views=n)
    session = Session.open(box_photo(), backend=backend, config=config)
    session.move("w")
    assert len(session.snapshot().views) == 1 + n


# --- all or nothing --------------------------------------------------------------------------


class Defect(Exception):
    """What a broken part raises."""


class BrokenGenerator(BoxGenerator):
    """Returns what ``breaks`` makes of good frames."""

    def __init__(self, breaks):
        super().__init__()
        self.breaks = breaks

    def generate(self, *args, **kwargs):
        return self.breaks(super().generate(*args, **kwargs))


class BrokenGeometry(BoxGeometry):
    """Returns what ``breaks`` makes of good maps."""

    def __init__(self, breaks):
        self.breaks = breaks

    def estimate(self, frames, cameras, memory):
        return self.breaks(super().estimate(frames, cameras, memory))


def fail(good: object) -> Any:
    raise Defect("out of luck")


def with_one(array: np.ndarray, value: float) -> np.ndarray:
    broken = array.copy()
    broken.flat[7] = value
    return broken


FRAMES = {
    "raises": (fail, Defect),
    "too few": (lambda f: Frames(f.rgb[:-1]), StepError),
    "too many": (lambda f: Frames(np.concatenate([f.rgb, f.rgb])), StepError),
    "another size": (lambda f: Frames(f.rgb[:, ::2]), StepError),
    "floats": (lambda f: Frames(f.rgb / 255.0), StepError),
    "no channels": (lambda f: Frames(f.rgb[..., 0]), StepError),
    "provenance of one": (lambda f: Frames(f.rgb, provenance=f.rgb[:1, ..., 0]), Exception),
}
MAPS = {
    "raises": (fail, Defect),
    "too few": (lambda m: PointMaps(m.points[1:], m.depth[1:], m.confidence[1:]), StepError),
    "small points": (lambda m: replace(m, points=m.points[:, ::2, ::2]), StepError),
    "large depth": (lambda m: replace(m, depth=m.depth.repeat(2, axis=1)), StepError),
    "flat points": (lambda m: replace(m, points=m.depth), StepError),
    "NaN": (lambda m: replace(m, points=with_one(m.points, np.nan)), StepError),
    "infinite depth": (
        lambda m: PointMaps(m.points * np.inf, m.depth * np.inf, m.confidence),
        StepError,
    ),
    "behind the camera": (lambda m: replace(m, depth=with_one(m.depth, -1)), StepError),
    "NaN depth": (lambda m: replace(m, depth=with_one(m.depth, np.nan)), StepError),
}


def breaking(backend: Backend, part: str, breaks: Any) -> Backend:
    if part == "generator":
        return replace(backend, generator=BrokenGenerator(breaks))
    return replace(backend, geometry=BrokenGeometry(breaks))


@pytest.mark.parametrize(
    ("part", "breaks", "error"),
    [
        pytest.param(part, breaks, error, id=f"{part}: {name}")
        for part, cases in (("generator", FRAMES), ("geometry", MAPS))
        for name, (breaks, error) in cases.items()
    ],
)
def test_a_broken_part_leaves_everything_as_it_was(session, part, breaks, error):
    session.move("w")
    before = State.of(session)
    good = session.backend
    session.backend = breaking(good, part, breaks)
    with pytest.raises(error):
        session.move("a")
    before.assert_kept(session)
    session.backend = good
    session.move("a")
    assert len(session.snapshot().steps) == 3


@pytest.mark.parametrize("name", ["raises", "too few", "NaN"])
def test_a_broken_geometry_opens_no_session(name):
    breaks, error = MAPS[name]
    with pytest.raises(error):
        open_box(backend=breaking(box_backend(), "geometry", breaks))


@pytest.mark.parametrize("frame", range(4))
def test_cancelled_between_frames(frame):
    def cancel_at(i: int, token: CancelToken) -> None:
        if i == frame:
            token.cancel()

    session = open_box(backend=box_backend(cancel_at))
    before = State.of(session)
    with pytest.raises(Cancelled):
        session.move("w")
    before.assert_kept(session)


@pytest.mark.parametrize("stage", ["retrieve", "generate", "geometry", "memory"])
@pytest.mark.parametrize("how", ["cancels", "raises"])
def test_stopped_while_a_stage_is_reported(session, stage, how):
    token = CancelToken()
    before = State.of(session)

    def stop(progress: Progress) -> None:
        if progress.stage == stage and how == "cancels":
            token.cancel()
        elif progress.stage == stage:
            raise Defect("the listener broke")

    with pytest.raises(Cancelled if how == "cancels" else Defect):
        session.move("w", on_progress=stop, cancel=token)
    before.assert_kept(session)
    session.move("w")


def test_cancelled_before_it_began(session):
    token = CancelToken()
    token.cancel()
    before = State.of(session)
    with pytest.raises(Cancelled):
        session.move("w", cancel=token)
    before.assert_kept(session)


def test_impossible_targets_are_refused(session):
    before = State.of(session)
    good = session.targets_to(session.camera.c2w)
    for bad in (
        replace(good, c2w=good.c2w * 2),
        replace(good, hw=(0, 0)),
        Cameras(np.zeros((0, 4, 4)), np.zeros((0, 3, 3)), HW),
    ):
        with pytest.raises(CameraError):
            session.step(bad)
    before.assert_kept(session)


# --- one change at a time --------------------------------------------------------------------


def test_a_second_change_is_refused_while_one_is_made():
    inside, go_on = threading.Event(), threading.Event()

    def pause(i: int, cancel: CancelToken) -> None:
        inside.set()
        assert go_on.wait(30)

    session = open_box(backend=box_backend(pause))
    before = session.snapshot()
    worker = threading.Thread(target=session.move, args=("w",))
    worker.start()
    try:
        assert inside.wait(30)
        for change in (
            lambda: session.move("a"),
            session.undo,
            session.redo,
            lambda: session.switch(0),
        ):
            with pytest.raises(SessionBusy, match="cancel it, or wait"):
                change()
        # Reading stays free, and shows the last committed state.
        assert session.snapshot() is before
        assert session.retrieve(session.targets_to(session.camera.c2w)).order == (0,)
    finally:
        go_on.set()
        worker.join()
    assert len(session.snapshot().steps) == 2
    session.move("a")


def test_a_session_can_be_cancelled_from_another_thread():
    inside = threading.Event()
    token = CancelToken()

    def wait_for_the_end(i: int, cancel: CancelToken) -> None:
        inside.set()
        for _ in range(3000):
            cancel.check()
            threading.Event().wait(0.01)

    session = open_box(backend=box_backend(wait_for_the_end))
    before = State.of(session)
    outcome: list[BaseException] = []

    def work() -> None:
        try:
            session.move("w", cancel=token)
        except Cancelled as stopped:
            outcome.append(stopped)

    worker = threading.Thread(target=work)
    worker.start()
    assert inside.wait(30)
    token.cancel()
    worker.join()
    assert len(outcome) == 1
    before.assert_kept(session)


# --- undo, redo, branches --------------------------------------------------------------------


def test_undo_and_redo(session):
    snapshots = [session.snapshot()]
    for word in "wad":
        session.move(word)
        snapshots.append(session.snapshot())
    for expected in snapshots[2::-1]:
        assert session.undo()
        assert_same_memory(session.snapshot(), expected)
    assert not session.undo()
    assert_same_memory(session.snapshot(), snapshots[0])
    for expected in snapshots[1:]:
        assert session.redo()
        assert_same_memory(session.snapshot(), expected)
    assert not session.redo()


def test_a_step_after_an_undo_starts_a_branch(session):
    session.move("w")
    session.move("a")
    left = session.snapshot()
    session.undo()
    session.move("d")
    right = session.snapshot()
    assert [node.label for node in session.history.nodes] == ["photo", "w", "a", "d"]
    assert session.history.head.id == 3
    assert not session.redo()

    session.switch(2)
    assert_same_memory(session.snapshot(), left)
    session.switch(3)
    assert_same_memory(session.snapshot(), right)
    session.undo()
    session.redo()
    assert session.history.head.id == 3, "redo returns to the branch that was left"
    session.switch(0)
    assert len(session.snapshot().views) == 1
    session.redo()
    session.redo()
    assert session.history.head.id == 3


def test_switching_to_no_step_changes_nothing(session):
    session.move("w")
    before = State.of(session)
    with pytest.raises(HistoryError):
        session.switch(7)
    before.assert_kept(session)


def test_old_snapshots_survive_undo_and_branches(session):
    session.move("w")
    session.move("w")
    old = session.snapshot()
    position, links = old.surfels.position.copy(), old.link_view.copy()
    session.undo()
    session.move("a")
    session.move("a")
    np.testing.assert_array_equal(old.surfels.position, position)
    np.testing.assert_array_equal(old.link_view, links)


def test_a_step_after_undo_equals_the_step_without_detour(session):
    session.move("w")
    session.move("d")
    session.undo()
    session.move("a")
    straight = open_box()
    straight.move("w")
    straight.move("a")
    assert_same_memory(session.snapshot(), straight.snapshot())


# --- determinism -----------------------------------------------------------------------------


def walked(seed: int) -> Session:
    session = open_box(seed)
    for word in "waed":
        session.move(word)
    return session


def test_equal_seeds_give_equal_walks_and_others_do_not():
    first, again, other = walked(3), walked(3), walked(4)
    assert_same_memory(first.snapshot(), again.snapshot())
    assert not np.array_equal(frames_of(first), frames_of(other))
