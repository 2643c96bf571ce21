"""The retrieval debugger of one browser: what is explained, pointed at, asked and tried out.

It holds the state and says what has changed; it draws nothing and knows no page and no scene. What
is explained is either the ghost (live: what the next frames would draw on) or a past step (what it
drew on, or would with another query).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Flag, auto
from typing import Any, Protocol, TypeVar

from viewer.debugger.beside import Beside
from viewer.debugger.explained import Explained, listed
from viewer.paint.surfel_colors import MODES
from viewer.paint.target_layers import LAYERS
from viewer.paint.timeline_matrix import cell_at
from viewer.settings import Heat, Layer, QuerySetting, RowCount, Settings
from viewer.walk.pins import Pins
from vmem.cameras import Camera, Cameras
from vmem.memory import MemorySnapshot
from vmem.retrieval import ask
from vmem.types import Query, Retrieval, RetrievalError

STEP_TIME = 0.8
"""Seconds for which each step is explained when the steps are played."""
QUICK = frozenset({"votes", "coverage", "temporal", "pose", "fov"})
"""Strategies that answer within a frame. ``reference`` takes seconds, those of others may."""
WIPE_STEP = 0.1
"""Share of the frame's width that a key wipes."""

T = TypeVar("T")


class Change(Flag):
    """What has to be shown again."""

    SUBJECT = auto()
    """Another step, or the ghost, is explained."""
    ANSWER = auto()
    """Another retrieval is explained."""
    POINTED = auto()
    """Another view, or none, is pointed at."""
    SURFEL = auto()
    """Another surfel, or none, is asked about."""
    CELL = auto()
    """Another cell of the timeline, or none, is pointed at."""
    HEAT = auto()
    """Another way to colour surfels was chosen."""
    TARGET = auto()
    """Another layer of the target, or another wipe, was chosen."""
    TABLE = auto()
    """Other rows are to be listed."""
    ROW = auto()
    """The row pointed at is to be scrolled to."""
    PLAYING = auto()
    """Playing the steps has begun or ended."""
    COMPUTING = auto()
    """A slow answer has begun to be computed, or no longer is."""


class QueryFor(Protocol):
    """What is asked of a memory."""

    def __call__(self, memory: MemorySnapshot, *, targets: int | None = None) -> Query:
        """The present query; targets: how many there are, None for as many as a step has."""
        ...


class Notify(Protocol):
    """Shows the user a message."""

    def __call__(self, title: str, body: str, color: Any = None) -> None: ...


class Debugger:
    """State of the debugger. One thread calls it, and ``settle`` when nothing is waiting."""

    def __init__(
        self,
        settings: Settings,
        pins: Pins,
        query: QueryFor,
        notify: Notify,
        post: Callable[..., None],
    ) -> None:
        """``query(memory)`` is what is asked, ``notify(title, body)`` shows a message,
        ``post(call, *arguments)`` runs a call on the thread that calls this."""
        self._settings = settings
        self._pins = pins
        self._query = query
        self._notify = notify
        self.memory = MemorySnapshot.empty()
        """The memory that is shown."""
        self.ghost: Camera | None = None
        """Where the next frames would go; None before there is a walk."""
        self.explained: Explained | None = None
        """What is explained; of the memory before, until the next ``settle``."""
        self.step: int | None = None
        """The past step that is explained; None for the ghost."""
        self.pointed: int | None = None
        """The view that is pointed at."""
        self.asked: int | None = None
        """The surfel that is asked about."""
        self.cell: tuple[int, int] | None = None
        """(step, view) of the timeline's cell that is pointed at."""
        self.playing = False
        """Whether the steps are explained one after the other."""
        self.due = False
        """Whether an answer is still to come."""
        self.computing: str | None = None
        """The slow strategy whose answer is being computed; until then the one before stays."""
        self._beside = Beside(post)
        self._what_if = False
        self._next_step = 0.0
        self._changed = Change(0)
        self._before: tuple[MemorySnapshot, int, MemorySnapshot] | None = None

    @property
    def retrieval(self) -> Retrieval | None:
        """The retrieval that is explained."""
        return None if self.explained is None else self.explained.retrieval

    @property
    def rows(self) -> tuple[int, ...]:
        """Views that the table lists, from its top."""
        return () if self.retrieval is None else listed(self.retrieval, self._settings.rows)

    def take_changes(self) -> Change:
        """What has changed since the last call."""
        changed, self._changed = self._changed, Change(0)
        return changed

    # --- what is explained -----------------------------------------------------------------

    def show_memory(self, memory: MemorySnapshot, ghost: Camera) -> None:
        """Another memory is shown: answer again. A step that it does not have is left."""
        self.memory, self.ghost = memory, ghost
        if self.step is not None and self.step >= len(memory.steps):
            self.step = None
        self.due, self._what_if = True, False
        self._changed |= Change.SUBJECT
        if self.asked is not None:
            self.asked = None
            self._changed |= Change.SURFEL

    def follow_ghost(self, ghost: Camera) -> None:
        """The ghost has moved: explain what it sees now."""
        self.ghost, self.due = ghost, True
        if self.playing:
            self.play_steps()
        if self.step is not None:
            self.step, self._what_if = None, False
            self._changed |= Change.SUBJECT

    def explain(self, step: int | None) -> None:
        """Explain a past step, or with None the ghost; a step that does not exist is ignored."""
        if step is not None and not 0 < step < len(self.memory.steps):
            return
        self.step, self._what_if, self.due = step, False, True
        self._changed |= Change.SUBJECT

    def earlier(self) -> None:
        """Explain the step before the one explained; from the ghost, the newest."""
        last = len(self.memory.steps) - 1
        self.explain(last if self.step is None else max(1, self.step - 1))

    def later(self) -> None:
        """Explain the step after the one explained; after the newest, the ghost."""
        if self.step is not None:
            self.explain(self.step + 1 if self.step + 1 < len(self.memory.steps) else None)

    def as_it_was(self) -> None:
        """Explain a step's own retrieval again, after a what-if."""
        self._what_if, self.due = False, True

    def play_steps(self) -> None:
        """Explain one step after the other, from the first one; or stop that."""
        self.playing = not self.playing and len(self.memory.steps) > 1
        if self.playing:
            self.explain(1)
            self._next_step = time.perf_counter() + STEP_TIME
        self._changed |= Change.PLAYING

    # --- what is pointed at ----------------------------------------------------------------

    def point(self, view: int | None) -> None:
        """Point at a view, or at none; a view that does not exist is ignored."""
        if view is not None and not 0 <= view < len(self.memory.views):
            return
        if view != self.pointed:
            self.pointed = view
            self._changed |= Change.POINTED

    def next_row(self) -> None:
        """Point at the next row of the table."""
        self._point_along(1)

    def previous_row(self) -> None:
        """Point at the row before."""
        self._point_along(-1)

    def _point_along(self, direction: int) -> None:
        rows = self.rows
        if not rows:
            return
        if self.pointed in rows:
            at = rows.index(self.pointed) + direction
        else:
            at = 0 if direction > 0 else len(rows) - 1
        self.point(rows[at % len(rows)])
        self._changed |= Change.TABLE | Change.ROW

    def cell_under(self, at: tuple[float, float]) -> tuple[int, int]:
        """(step, view) of the timeline's cell at (x, y) in [0, 1] of its picture."""
        return cell_at((max(1, len(self.memory.steps)), max(1, len(self.memory.views))), *at)

    def point_at_cell(self, at: tuple[float, float] | None) -> None:
        """Point at a place of the timeline, (x, y) in [0, 1] of its picture, or at none."""
        self.cell = None if at is None else self.cell_under(at)
        self._changed |= Change.CELL

    def open_cell(self, at: tuple[float, float]) -> None:
        """Explain the step and point at the view of a place of the timeline."""
        step, view = self.cell_under(at)
        self.explain(step)
        self.point(view)

    def ask_surfel(self, surfel: int) -> None:
        """Ask which views saw a surfel."""
        self.asked = surfel
        self._changed |= Change.SURFEL

    # --- what if ---------------------------------------------------------------------------

    def pin(self, view: int | None = None) -> None:
        """Have a view (by default the one pointed at) always selected, or let it go."""
        self._toggle("pin", view)

    def ban(self, view: int | None = None) -> None:
        """Have a view (by default the one pointed at) never selected, or let it come back."""
        self._toggle("ban", view)

    def _toggle(self, what: str, view: int | None) -> None:
        view = self.pointed if view is None else view
        if view is None or view >= len(self.memory.views):
            self._notify(
                f"No view to {what}", "Point at a row of the table first (J and K go through it)."
            )
            return
        toggle = self._pins.toggle_pin if what == "pin" else self._pins.toggle_ban
        toggle(view, self.memory)
        self.query_changed()

    def set_query(self, name: QuerySetting, value: Any) -> None:
        """Set one of the settings that a query is made of."""
        setattr(self._settings, name, value)
        self.query_changed()

    def clear_what_ifs(self) -> None:
        """Drop pins and bans; suppression, weighting and density are the strategies' own again."""
        self._pins.clear()
        fresh = Settings()
        for name in ("suppression", "weighting", "density"):
            setattr(self._settings, name, getattr(fresh, name))
        self.query_changed()

    def query_changed(self) -> None:
        """Answer again: for the ghost what it sees, for a step what it would have been."""
        self._what_if = self.step is not None
        self.due = True

    # --- how it is shown -------------------------------------------------------------------

    def set_heat(self, heat: Heat) -> None:
        """Choose how surfels are coloured."""
        if heat != self._settings.scene.heat:
            self._settings.scene.heat = heat
            self._changed |= Change.HEAT

    def next_heat(self) -> None:
        """Colour surfels in the next way."""
        self.set_heat(_after(tuple(MODES), self._settings.scene.heat))

    def set_layer(self, layer: Layer) -> None:
        """Choose what is shown of what the target sees."""
        self._settings.scene.layer = layer
        self._changed |= Change.TARGET

    def next_layer(self) -> None:
        """Show the next layer of what the target sees."""
        self.set_layer(_after(tuple(LAYERS), self._settings.scene.layer))

    def set_wipe(self, share: float) -> None:
        """Set the share of the frame's width that the layer does not cover."""
        self._settings.scene.wipe = min(1.0, max(0.0, round(share, 3)))
        self._changed |= Change.TARGET

    def wipe_left(self) -> None:
        """Show less of the frame."""
        self.set_wipe(self._settings.scene.wipe - WIPE_STEP)

    def wipe_right(self) -> None:
        """Show more of the frame."""
        self.set_wipe(self._settings.scene.wipe + WIPE_STEP)

    def set_rows(self, rows: RowCount) -> None:
        """Choose how many views the table lists."""
        self._settings.rows = rows
        self._changed |= Change.TABLE

    # --- answering -------------------------------------------------------------------------

    def settle(self, now: float) -> float | None:
        """Answer what is due; the latest wins. Returns the seconds until there is more to do.

        ``now`` is time.perf_counter().
        """
        if self.playing and now >= self._next_step:
            self._next_step = now + STEP_TIME
            if self.step is None or self.step + 1 >= len(self.memory.steps):
                self.play_steps()
            else:
                self.explain(self.step + 1)
        if self.due:
            self.due = False
            self._answer()
        return max(0.0, self._next_step - now) if self.playing else None

    def _answer(self) -> None:
        memory = self.memory
        self._beside.drop()
        self._show_computing(None)
        if self.ghost is None or not memory.views:
            return
        if self.pointed is not None and self.pointed >= len(memory.views):
            self.point(None)
        recorded = None if self.step is None else memory.retrievals[self.step]
        if recorded is not None and not self._what_if:
            self._take(Explained(memory, recorded, self.step))
            return
        asked, step, what_if = self.memory_before(self.step), self.step, self._what_if
        targets = recorded.targets if recorded else Cameras.stack([self.ghost])
        try:
            # The ghost is one target, but a step there will have several.
            query = self._query(asked, targets=len(targets) if recorded else None)
        except RetrievalError as error:
            self._take(error)
            return

        def answer() -> Explained | RetrievalError:
            began = time.perf_counter()
            try:
                retrieval = ask(asked, targets, query)
            except RetrievalError as error:
                return error
            return Explained(memory, retrieval, step, what_if, 1e3 * (time.perf_counter() - began))

        if query.strategy in QUICK:
            self._take(answer())
        else:
            self._show_computing(query.strategy)
            self._beside.ask(answer, self._take_late)

    def _take(self, answer: Explained | RetrievalError) -> None:
        if isinstance(answer, RetrievalError):
            self._notify("This cannot be asked", str(answer), "red")
            return
        self.explained = answer
        self._changed |= Change.ANSWER

    def _take_late(self, answer: Explained | Exception) -> None:
        """Take what was computed beside, unless something else is to be answered by now."""
        if self.due:
            return
        self._show_computing(None)
        if isinstance(answer, Exception) and not isinstance(answer, RetrievalError):
            raise answer
        self._take(answer)

    def _show_computing(self, strategy: str | None) -> None:
        if strategy != self.computing:
            self.computing = strategy
            self._changed |= Change.COMPUTING

    def memory_before(self, step: int | None) -> MemorySnapshot:
        """The memory that is asked for a step: all before it; for the ghost all there is."""
        memory = self.memory
        if step is None:
            return memory
        if self._before is None or self._before[0] is not memory or self._before[1] != step:
            self._before = (memory, step, memory.at_step(step - 1))
        return self._before[2]


def _after(names: tuple[T, ...], name: T) -> T:
    return names[(names.index(name) + 1) % len(names)]
