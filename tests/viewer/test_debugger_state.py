"""The debugger without a scene or a page: a memory in, state and changes out."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

import pytest
from numpy.testing import assert_array_equal

from viewer.debugger.debugger import STEP_TIME, Change, Debugger
from viewer.debugger.explained import listed
from viewer.settings import Settings
from viewer.walk.pins import Pins
from vmem.cameras import MOVES, apply_move
from vmem.memory import MemorySnapshot
from vmem.retrieval import STRATEGIES
from vmem.retrieval.evidence import Evidence
from vmem.types import Query


class State:
    """A debugger with what it needs."""

    def __init__(self) -> None:
        self.settings, self.pins = Settings(), Pins()
        self.messages: list[str] = []
        self.posted: SimpleQueue[tuple[Callable[..., None], tuple[Any, ...]]] = SimpleQueue()
        self.debugger = Debugger(self.settings, self.pins, self.query, self.notify, self.post)

    def post(self, call: Callable[..., None], *arguments: Any) -> None:
        self.posted.put((call, arguments))

    def runs_posted(self) -> None:
        """Run the next call that is posted, once it is."""
        call, arguments = self.posted.get(timeout=30)
        call(*arguments)

    def query(self, memory: MemorySnapshot, *, targets: int | None = None) -> Query:
        pinned, banned = self.pins.pinned(memory), self.pins.banned(memory)
        return Query(self.settings.context_views, self.settings.strategy, pinned, banned)

    def notify(self, title: str, body: str, color: object = None) -> None:
        self.messages.append(title)

    def settles(self, now: float = 0.0) -> Change:
        """Answer, and what has changed by then."""
        self.debugger.settle(now)
        return self.debugger.take_changes()


@pytest.fixture
def state(walk: MemorySnapshot) -> State:
    """A debugger that explains the ghost at the end of a walk."""
    state = State()
    state.debugger.show_memory(walk, walk.views[-1].camera)
    assert state.settles() == Change.SUBJECT | Change.ANSWER
    return state


def test_it_needs_neither_viser_nor_a_scene() -> None:
    code = (
        "import sys, viewer.debugger.debugger\n"
        "print(sorted(name for name in sys.modules if name == 'viser' or '.scene.' in name))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_before_there_is_a_memory_nothing_is_answered() -> None:
    state = State()
    debugger = state.debugger
    for call in (debugger.earlier, debugger.later, debugger.next_row, debugger.play_steps):
        call()
    debugger.point(0)
    debugger.open_cell((0.5, 0.5))
    state.settles()
    assert (debugger.explained, debugger.step, debugger.pointed) == (None, None, None)
    assert not debugger.playing


def test_the_ghost_is_explained_until_a_step_is(state: State, walk: MemorySnapshot) -> None:
    debugger = state.debugger
    assert debugger.retrieval is not None
    assert_array_equal(debugger.retrieval.targets.c2w[-1], walk.views[-1].camera.c2w)
    debugger.earlier()
    assert debugger.due
    assert state.settles() == Change.SUBJECT | Change.ANSWER
    assert debugger.retrieval is walk.retrievals[-1]
    assert state.settles() == Change(0)
    debugger.later()
    state.settles()
    assert debugger.step is None


def test_a_moved_ghost_is_explained_again(state: State, walk: MemorySnapshot) -> None:
    debugger = state.debugger
    debugger.explain(2)
    state.settles()
    ghost = walk.views[-1].camera
    for word in "dd":
        ghost = ghost.moved_to(apply_move(ghost.c2w, MOVES[word]))
        debugger.follow_ghost(ghost)
    assert state.settles() == Change.SUBJECT | Change.ANSWER
    assert debugger.step is None
    assert debugger.retrieval is not None
    assert_array_equal(debugger.retrieval.targets.c2w[-1], ghost.c2w)


def test_a_shorter_memory_takes_step_view_and_surfel_away(
    state: State, walk: MemorySnapshot
) -> None:
    debugger = state.debugger
    debugger.explain(len(walk.steps) - 1)
    debugger.point(len(walk.views) - 1)
    debugger.ask_surfel(len(walk.surfels) - 1)
    state.settles()
    before = walk.at_step(3)
    debugger.show_memory(before, before.views[-1].camera)
    changed = state.settles()
    assert changed == Change.SUBJECT | Change.ANSWER | Change.POINTED | Change.SURFEL
    assert (debugger.step, debugger.pointed, debugger.asked) == (None, None, None)
    assert debugger.explained is not None
    assert debugger.explained.fits(before)


def test_pointing_again_at_the_same_view_changes_nothing(state: State) -> None:
    state.debugger.point(3)
    assert state.settles() == Change.POINTED
    state.debugger.point(3)
    state.debugger.point(10_000)
    assert state.settles() == Change(0)


def test_rows_are_gone_through_in_the_order_of_the_table(state: State) -> None:
    debugger = state.debugger
    assert debugger.retrieval is not None
    rows = listed(debugger.retrieval, "8")
    assert debugger.rows == rows
    debugger.previous_row()
    assert debugger.pointed == rows[-1]
    debugger.next_row()
    assert debugger.pointed == rows[0]
    assert state.settles() == Change.POINTED | Change.TABLE | Change.ROW


def test_a_banned_view_is_tried_out_on_the_memory_that_the_step_had(
    state: State, walk: MemorySnapshot
) -> None:
    debugger = state.debugger
    debugger.explain(4)
    state.settles()
    recorded = walk.retrievals[4]
    assert recorded is not None
    debugger.point(recorded.order[0])
    debugger.ban()
    assert Change.ANSWER in state.settles()
    assert debugger.explained is not None
    assert debugger.explained.what_if
    answer = debugger.explained.retrieval
    assert recorded.order[0] not in answer.order
    assert len(answer.votes) == len(recorded.votes)
    debugger.as_it_was()
    state.settles()
    assert debugger.retrieval is recorded


def test_without_a_view_there_is_nothing_to_pin(state: State) -> None:
    state.debugger.pin()
    assert state.messages == ["No view to pin"]


def test_what_cannot_be_asked_is_said_and_the_last_answer_stays(state: State) -> None:
    before = state.debugger.explained
    state.debugger.set_query("strategy", "no such strategy")
    assert Change.ANSWER not in state.settles()
    state.runs_posted()
    assert Change.ANSWER not in state.settles()
    assert state.messages == ["This cannot be asked"]
    assert state.debugger.explained is before


def test_steps_are_played_at_their_pace(state: State, walk: MemorySnapshot) -> None:
    debugger = state.debugger
    debugger.play_steps()
    now = debugger.settle(0.0)
    assert now is not None
    seen = [debugger.step]
    while debugger.playing:
        now += STEP_TIME
        debugger.settle(now)
        seen += [debugger.step] * debugger.playing
    assert seen == list(range(1, len(walk.steps)))
    assert Change.PLAYING in debugger.take_changes()


def test_a_cell_of_the_timeline_is_a_step_and_a_view(state: State, walk: MemorySnapshot) -> None:
    debugger = state.debugger
    assert debugger.cell_under((0.0, 0.0)) == (0, 0)
    assert debugger.cell_under((0.999, 0.999)) == (len(walk.steps) - 1, len(walk.views) - 1)
    debugger.point_at_cell((0.0, 0.0))
    assert (state.settles(), debugger.cell) == (Change.CELL, (0, 0))
    debugger.open_cell((0.999, 0.999))
    assert (debugger.step, debugger.pointed) == (len(walk.steps) - 1, len(walk.views) - 1)


def test_how_it_is_shown_goes_round(state: State) -> None:
    debugger, scene = state.debugger, state.settings.scene
    debugger.next_heat()
    assert (scene.heat, debugger.take_changes()) == ("weight", Change.HEAT)
    debugger.next_layer()
    debugger.wipe_left()
    debugger.wipe_right()
    debugger.wipe_right()
    assert (scene.layer, scene.wipe, debugger.take_changes()) == ("index", 1.0, Change.TARGET)
    debugger.set_rows("all")
    assert debugger.take_changes() == Change.TABLE
    assert len(debugger.rows) == len(debugger.memory.views)


def test_an_answer_does_not_fit_a_memory_that_lacks_its_views(state: State) -> None:
    explained = state.debugger.explained
    assert explained is not None
    assert explained.fits(explained.memory)
    assert not explained.fits(explained.memory.at_step(1))
    assert replace(explained, ms=1.0).fits(explained.memory)


# --- slow strategies ---------------------------------------------------------------------------


class Slow:
    """A strategy that answers when it may; it chooses the view 0."""

    def __init__(self) -> None:
        self.begun: SimpleQueue[Evidence] = SimpleQueue()
        self.may = threading.Semaphore(0)
        self.error: Exception | None = None

    def __call__(self, evidence: Evidence, k: int) -> list[int]:
        self.begun.put(evidence)
        assert self.may.acquire(timeout=30)
        if self.error is not None:
            raise self.error
        return [0]


@pytest.fixture
def slow(state: State, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    """A slow strategy, which the debugger's settings choose."""
    slow = Slow()
    monkeypatch.setitem(STRATEGIES, "slow", slow)
    state.settings.strategy = "slow"
    yield slow
    slow.may.release(10)


def test_a_slow_answer_is_computed_beside_and_the_one_before_stays(
    state: State, slow: Slow
) -> None:
    debugger, before = state.debugger, state.debugger.explained
    debugger.query_changed()
    assert state.settles() == Change.COMPUTING
    assert debugger.computing == "slow"
    slow.begun.get(timeout=30)
    assert debugger.explained is before
    slow.may.release()
    state.runs_posted()
    assert debugger.computing is None
    assert debugger.retrieval is not None
    assert debugger.retrieval.order == (0,)
    assert state.settles() == Change.COMPUTING | Change.ANSWER


def test_of_several_slow_questions_the_first_and_the_last_are_asked_and_the_last_is_answered(
    state: State, slow: Slow, walk: MemorySnapshot
) -> None:
    debugger, before = state.debugger, state.debugger.explained
    begun = []
    for view in (3, 5, 7):
        debugger.follow_ghost(walk.views[view].camera)
        state.settles()
        begun = begun or [slow.begun.get(timeout=30)]
    slow.may.release()
    state.runs_posted()
    assert debugger.explained is before, "that was the first, which is of no use by now"
    assert debugger.computing == "slow"
    slow.may.release()
    state.runs_posted()
    assert slow.begun.qsize() == 1, "nobody asked for the second"
    assert debugger.retrieval is not None
    assert_array_equal(debugger.retrieval.targets.c2w[-1], walk.views[7].camera.c2w)


def test_what_is_asked_quickly_meanwhile_stands(state: State, slow: Slow) -> None:
    debugger = state.debugger
    debugger.query_changed()
    state.settles()
    slow.begun.get(timeout=30)
    state.settings.strategy = "votes"
    debugger.query_changed()
    assert Change.COMPUTING in state.settles()
    quick = debugger.explained
    slow.may.release()
    state.runs_posted()
    assert debugger.explained is quick
    assert debugger.computing is None


def test_a_slow_answer_is_not_taken_while_something_else_is_due(
    state: State, slow: Slow, walk: MemorySnapshot
) -> None:
    debugger, before = state.debugger, state.debugger.explained
    debugger.query_changed()
    state.settles()
    slow.may.release()
    slow.begun.get(timeout=30)
    debugger.show_memory(walk.at_step(2), walk.views[0].camera)
    state.runs_posted()
    assert debugger.explained is before


def test_a_slow_strategy_that_fails_says_so_once(state: State, slow: Slow) -> None:
    slow.error = ValueError("no")
    state.debugger.query_changed()
    state.settles()
    slow.may.release()
    state.runs_posted()
    assert state.messages == ["This cannot be asked"]
    assert state.debugger.computing is None
