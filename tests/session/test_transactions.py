"""Steps are all or nothing: whatever stops one, memory and history stay as they were."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from tests.support.fakes import HW, BoxGenerator, BoxGeometry, box_backend, open_box
from vmem.backends import Backend
from vmem.cameras import CameraError
from vmem.memory import MemorySnapshot
from vmem.progress import Cancelled, CancelToken, Progress
from vmem.session import HistoryError, Session, SessionBusy, StepError
from vmem.types import Frames, PointMaps


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
        return State(session.memory, history.head, history.nodes, recent)

    def assert_kept(self, session: Session) -> None:
        assert session.memory is self.snapshot
        assert session.history.head is self.head
        assert session.history.nodes == self.nodes
        assert tuple(node.recent for node in session.history.nodes) == self.recent
        assert not self.head.children


# --- parts that break, stops at any point -----------------------------------------------------


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

    def estimate(self, frames, cameras, memory, **listening):
        return self.breaks(super().estimate(frames, cameras, memory, **listening))


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
    "none": (lambda f: None, StepError),
    "an array": (lambda f: f.rgb, StepError),
    "a list": (lambda f: Frames([1]), StepError),  # pyright: ignore[reportArgumentType]
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
    "none": (lambda m: None, StepError),
    "an array": (lambda m: m.depth, StepError),
    "no depth": (lambda m: replace(m, depth=None), StepError),
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
@pytest.mark.usefixtures("unchecked_shapes")
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
    assert len(session.memory.steps) == 3


def test_a_photo_placed_nowhere_opens_no_session():
    class Placeless(BoxGeometry):
        def place(self, photo: object) -> Any:
            return None

    with pytest.raises(StepError, match=r"place\(\) returned None, expected a Camera"):
        open_box(backend=replace(box_backend(), geometry=Placeless()))


@pytest.mark.parametrize("name", ["raises", "too few", "NaN", "none"])
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
    for bad in (good.resized((8, 8)), good.resized((HW[0], HW[1] + 1))):
        with pytest.raises(CameraError, match="this walk's frames are"):
            session.step(bad)
    before.assert_kept(session)


def test_switching_to_no_step_changes_nothing(session):
    session.move("w")
    before = State.of(session)
    with pytest.raises(HistoryError):
        session.switch(7)
    before.assert_kept(session)


# --- one change at a time --------------------------------------------------------------------


def test_a_second_change_is_refused_while_one_is_made():
    inside, go_on = threading.Event(), threading.Event()

    def pause(i: int, cancel: CancelToken) -> None:
        inside.set()
        assert go_on.wait(30)

    session = open_box(backend=box_backend(pause))
    before = session.memory
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
        assert session.memory is before
        assert session.retrieve(session.targets_to(session.camera.c2w)).order == (0,)
    finally:
        go_on.set()
        worker.join()
    assert len(session.memory.steps) == 2
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
