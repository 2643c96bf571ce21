"""The retrieval debugger of one browser: what is being explained, and what the user tries out.

Everything runs on the client's own thread. What is explained is either the ghost (live: what the
next frames would draw on) or a past step (what they did draw on, or would with another query).
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from viewer.debugger.shown import Explained
from viewer.page.pointing import PointerEvent
from viewer.paint.surfel_colors import MODES
from viewer.paint.target_layers import LAYERS
from viewer.scene.picking import pick_surfel, pointer_ray
from viewer.settings import Settings
from viewer.walk.jobs import asking_strategies, packing
from vmem.cameras import MOVES, Cameras, apply_move, path_targets
from vmem.evaluation.true_overlap import TrueOverlap
from vmem.memory import MemorySnapshot
from vmem.retrieval import ask
from vmem.types import Retrieval, RetrievalError

if TYPE_CHECKING:
    from viewer.browser.client import Client

STEP_TIME = 0.8
"""Seconds that each step's explanation stays when they are played."""
WIPE_STEP = 0.1


class Inspector:
    """State and actions of the debugger; the Client calls ``settle`` when nothing is waiting."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.explained: Explained | None = None
        self.step: int | None = None
        """The past step that is explained; None for the ghost."""
        self.pointed: int | None = None
        """The view that is pointed at: its frustum, line and surfels are lit."""
        self.asked: int | None = None
        """The surfel that was asked about."""
        self._what_if = False
        self._due = self._subject_due = False
        self._playing = False
        self._next_step = 0.0
        self._then: tuple[MemorySnapshot, int, MemorySnapshot] | None = None
        self._truth: tuple[object, TrueOverlap] | None = None

    @property
    def retrieval(self) -> Retrieval | None:
        """The retrieval that is explained."""
        return None if self.explained is None else self.explained.retrieval

    @property
    def due(self) -> bool:
        """Whether an answer is still to come."""
        return self._due

    # --- what is explained -----------------------------------------------------------------

    def follow_ghost(self) -> None:
        """The ghost has moved: explain what it sees now."""
        if self._playing:
            self.play_steps()
        if self.step is not None:
            self.step, self._what_if = None, False
            self._client.display.show_subject(None)
        self._due = True

    def keep_within(self, steps: int) -> None:
        """Memory is about to have so many steps: one that is gone is no longer explained."""
        if self.step is not None and self.step >= steps:
            self.step = None

    def memory_changed(self) -> None:
        """Memory is another, and shown: answer anew."""
        self._due, self._what_if = True, False
        self._client.display.show_subject(self.step)
        if self.asked is not None:
            self.asked = None
            self._client.display.show_surfel(None)

    def explain(self, step: int | None) -> None:
        """Explain a past step, or with None the ghost; a step that is not there is ignored."""
        memory = self._memory
        if step is not None and not 0 < step < len(memory.steps):
            return
        self.step, self._what_if, self._due = step, False, True
        self._subject_due = True  # in settle: a key that is held down must not pile up steps
        if step is None and self._client.display.standing and self._client.ghost is not None:
            self._client.display.step_back(self._client.ghost.camera)

    def earlier(self) -> None:
        """The step before the one explained; from the ghost, the newest."""
        last = len(self._memory.steps) - 1
        self.explain(last if self.step is None else max(1, self.step - 1))

    def later(self) -> None:
        """The step after the one explained; after the newest, the ghost."""
        if self.step is not None:
            self.explain(self.step + 1 if self.step + 1 < len(self._memory.steps) else None)

    def live(self) -> None:
        """Back to the ghost."""
        self.explain(None)

    def as_it_was(self) -> None:
        """The step's own retrieval again, after a what-if."""
        self._what_if, self._due = False, True

    def play_steps(self) -> None:
        """Explain one step after the other, from the first one; or stop that."""
        self._playing = not self._playing and len(self._memory.steps) > 1
        self._next_step = 0.0
        if self._playing:
            self.explain(1)
            self._next_step = time.perf_counter() + STEP_TIME
        self._client.display.memory.show_playing(self._playing)

    @property
    def playing(self) -> bool:
        """Whether the steps' explanations are being played."""
        return self._playing

    # --- rows of the table -----------------------------------------------------------------

    def pointer(self, event: PointerEvent) -> None:
        """What the pointer does over the panel's tables."""
        leaving = event.kind == "leave"
        if event.name in ("row", "pin", "ban", "stand"):
            view = int(event.argument)
            if event.kind == "click":
                actions = {"pin": self.pin, "ban": self.ban}
                actions.get(event.name, self.stand)(view)
            elif event.name != "stand":
                self.point(None if leaving else view)
        elif event.name == "matrix":
            cell = self._client.display.memory.cell_at(event.at)
            if event.kind == "click":
                self.explain(cell[0])
                self.point(cell[1])
            else:
                self._client.display.memory.show_cell(self._memory, None if leaving else cell)

    def point(self, view: int | None) -> None:
        """Light a view, its line and the surfels that only it explains; with None no view."""
        if view is not None and not 0 <= view < len(self._memory.views):
            return
        if view != self.pointed:
            self.pointed = view
            self._client.display.show_pointed(view)

    def next_row(self) -> None:
        """Point at the next row of the table."""
        self._point_along(1)

    def previous_row(self) -> None:
        """Point at the row before."""
        self._point_along(-1)

    def _point_along(self, direction: int) -> None:
        rows = self._client.display.memory.rows
        if not rows:
            return
        if self.pointed in rows:
            at = rows.index(self.pointed) + direction
        else:
            at = 0 if direction > 0 else len(rows) - 1
        self.point(rows[at % len(rows)])
        self._client.display.memory.come_forward(self.pointed)
        self._client.display.table_due()

    def stand(self, view: int) -> None:
        """Look through a view; the ghost, and what is explained, stay."""
        views = self._memory.views
        if view < len(views):
            self._client.display.look_through(views[view])
            self._client.display.walk.show_place(f"looking through view {view}; Esc to step back")

    # --- what if ---------------------------------------------------------------------------

    def pin(self, view: int | None = None) -> None:
        """Have a view (by default the one pointed at) always chosen, or let it go."""
        self._wish("pin", view)

    def ban(self, view: int | None = None) -> None:
        """Have a view (by default the one pointed at) never chosen, or let it come back."""
        self._wish("ban", view)

    def _wish(self, what: str, view: int | None) -> None:
        view = self.pointed if view is None else view
        if view is None or view >= len(self._memory.views):
            self._client.display.notes.notify(
                f"No view to {what}", "Point at a row of the table first (J and K go through it)."
            )
            return
        wishes = self._client.workspace.wishes
        (wishes.toggle_pin if what == "pin" else wishes.toggle_ban)(view, self._memory)
        self.query_changed()

    def set_query(self, name: str, value: Any) -> None:
        """Set ``strategy``, ``context_views``, ``suppression``, ``weighting`` or ``density``."""
        setattr(self._client.workspace.settings, name, value)
        self.query_changed()

    def set_use_next(self, use: bool) -> None:
        """Whether steps are made with what is tried out."""
        self._client.workspace.settings.use_next = use

    def forget_wishes(self) -> None:
        """No pins, no bans, the strategies' own rules."""
        workspace = self._client.workspace
        workspace.wishes.clear()
        fresh = Settings()
        for name in ("suppression", "weighting", "density"):
            setattr(workspace.settings, name, getattr(fresh, name))
        self.query_changed()

    def query_changed(self) -> None:
        """Answer anew: for the ghost what it sees, for a step what it would have been."""
        self._what_if = self.step is not None
        self._due = True

    # --- how it is shown -------------------------------------------------------------------

    def set_heat(self, mode: str) -> None:
        """Colour the surfels by ``mode``."""
        if mode != self._client.workspace.settings.scene.heat:
            self._client.workspace.settings.scene.heat = mode
            self._client.display.recolor()

    def next_heat(self) -> None:
        """The next colouring."""
        self.set_heat(_after(tuple(MODES), self._client.workspace.settings.scene.heat))

    def set_layer(self, layer: str) -> None:
        """What the target's eye shows."""
        self._client.workspace.settings.scene.layer = layer
        self._client.display.show_target()

    def next_layer(self) -> None:
        """The next layer of the target's eye."""
        self.set_layer(_after(tuple(LAYERS), self._client.workspace.settings.scene.layer))

    def set_wipe(self, share: float) -> None:
        """How much of the frame stands before the layer."""
        self._client.workspace.settings.scene.wipe = min(1.0, max(0.0, round(share, 3)))
        self._client.display.show_target()

    def wipe_left(self) -> None:
        """Wipe more of the frame away."""
        self.set_wipe(self._client.workspace.settings.scene.wipe - WIPE_STEP)

    def wipe_right(self) -> None:
        """Bring more of the frame back."""
        self.set_wipe(self._client.workspace.settings.scene.wipe + WIPE_STEP)

    def set_rows(self, rows: str) -> None:
        """How many views the table lists."""
        self._client.workspace.settings.rows = rows
        self._client.display.table_due()

    # --- a surfel --------------------------------------------------------------------------

    def ask_surfel(self, origin: np.ndarray, direction: np.ndarray) -> None:
        """Who saw the surfel that a ray (3,), (3,) meets?"""
        self.asked = pick_surfel(self._memory.surfels, origin, direction)
        if self.asked is not None:
            self._client.display.show_surfel(self.asked)

    def ask_under_pointer(self) -> None:
        """The same, of the surfel under the pointer; in the middle if it is elsewhere."""
        eye, pointer = self._client.handle.camera, self._client.pointer
        self.ask_surfel(*pointer_ray(eye, pointer or (0.5, 0.5)))
        if self.asked is None:
            self._client.display.notes.notify("No surfel there", "Point at one in the scene.")

    # --- jobs ------------------------------------------------------------------------------

    def compare_strategies(self) -> None:
        """Ask every strategy about the same target."""
        explained, session = self.explained, self._client.workspace.session
        if explained is None or session is None:
            return
        memory = self._memory_of(explained.step)
        query = self._client.workspace.query(memory)
        job = asking_strategies(memory, explained.retrieval.targets, query, self._true_overlap())
        self._client.workspace.worker.submit("strategies", job)

    def make_both(self, first: str, second: str) -> None:
        """Make the same step with two strategies: the explained one, or from here to the ghost."""
        workspace = self._client.workspace
        session, ghost = workspace.session, self._client.ghost
        if session is None or ghost is None or workspace.worker.busy:
            self._client.display.notes.notify(
                "Not now", "Wait until the running step is done, or Esc."
            )
            return
        if first == second:
            self._client.display.notes.notify("Twice the same", "Choose two different strategies.")
            return
        path = session.history.head.path()
        if self.step is not None and self.explained is not None:
            start, targets = path[self.step - 1], self.explained.retrieval.targets
        else:
            start = path[-1]
            goal = ghost.camera.c2w
            if not ghost.away:
                goal = apply_move(goal, MOVES["w"], step_size=ghost.step_size)
            targets = path_targets(session.camera, goal, session.config.target_views)
        query = workspace.query(self._memory_of(self.step), targets=len(targets))
        queries = replace(query, strategy=first), replace(query, strategy=second)
        workspace.walk_both(start.id, targets, queries)

    def export(self) -> None:
        """Pack what is explained as figure, JSON and recording, and offer it for download."""
        explained = self.explained
        if explained is not None:
            heat = self._client.workspace.settings.scene.heat
            job = packing(explained.memory, explained.retrieval, explained.step, heat)
            self._client.workspace.worker.submit("explanation", job)

    # --- answering -------------------------------------------------------------------------

    def settle(self, now: float) -> float | None:
        """Answer what is due; latest wins. Returns the seconds after which there is more to do."""
        if self._playing and now >= self._next_step > 0:
            self._next_step = now + STEP_TIME
            if self.step is None or self.step + 1 >= len(self._memory.steps):
                self.play_steps()
            else:
                self.explain(self.step + 1)
        if self._subject_due:
            self._subject_due = False
            self._client.display.show_subject(self.step)
        if self._due:
            self._due = False
            self._answer()
        return max(0.0, self._next_step - now) if self._playing else None

    def _answer(self) -> None:
        client, memory = self._client, self._memory
        if client.ghost is None or not memory.views:
            return
        if self.pointed is not None and self.pointed >= len(memory.views):
            self.point(None)
        began = time.perf_counter()
        recorded = None if self.step is None else memory.retrievals[self.step]
        if recorded is not None and not self._what_if:
            self.explained = Explained(memory, recorded, self.step)
        else:
            of = self._memory_of(self.step)
            targets = recorded.targets if recorded else Cameras.stack([client.ghost.camera])
            try:
                # The ghost is one target, but a step there will have several.
                n = len(targets) if recorded else None
                retrieval = ask(of, targets, client.workspace.query(of, targets=n))
            except RetrievalError as error:
                client.display.notes.notify("This cannot be asked", str(error), "red")
                return
            ms = 1e3 * (time.perf_counter() - began)
            self.explained = Explained(memory, retrieval, self.step, self._what_if, ms)
        client.display.show_explained(self.explained)

    @property
    def _memory(self) -> MemorySnapshot:
        return self._client.display.scene.memory

    def _memory_of(self, step: int | None) -> MemorySnapshot:
        """The memory that was asked for a step: all before it."""
        memory = self._memory
        if step is None:
            return memory
        if self._then is None or self._then[0] is not memory or self._then[1] != step:
            self._then = (memory, step, memory.at_step(step - 1))
        return self._then[2]

    def _true_overlap(self):
        """What strategies' choices are truly worth, where the world is known exactly."""
        session = self._client.workspace.session
        # Any: of all generators only that of the procedural world knows one.
        generator: Any = session.backend.generator if session else None
        world = getattr(generator, "world", None)
        if world is None:
            return None
        if self._truth is None or self._truth[0] is not world:
            self._truth = (world, TrueOverlap(world))
        return self._truth[1].of


def _after(names: tuple[str, ...], name: str) -> str:
    return names[(names.index(name) + 1) % len(names)]
