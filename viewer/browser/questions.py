"""Questions that take long enough to be jobs: they are submitted to the walk's worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from viewer.commands import CANCEL
from viewer.debugger.debugger import Debugger
from viewer.walk.ghost import Ghost
from viewer.walk.jobs import TrueOverlap, asking_strategies, packing
from viewer.walk.workspace import Workspace
from vmem.cameras import MOVES, apply_move, path_targets
from vmem.evaluation.true_overlap import TrueOverlap as WorldOverlap


class Questions:
    """Asks about what the debugger explains. Called on the browser's thread."""

    def __init__(
        self, workspace: Workspace, debugger: Debugger, notify: Callable[[str, str], None]
    ) -> None:
        self._workspace = workspace
        self._debugger = debugger
        self._notify = notify
        self._truth: tuple[object, WorldOverlap] | None = None

    def compare_strategies(self) -> None:
        """Ask every strategy about the target that is explained."""
        explained = self._debugger.explained
        if explained is None or self._workspace.session is None:
            return
        memory = self._debugger.memory_before(explained.step)
        query = self._workspace.query(memory)
        job = asking_strategies(memory, explained.retrieval.targets, query, self._true_overlap())
        self._workspace.worker.submit("strategies", job)

    def make_both(self, ghost: Ghost | None, first: str, second: str) -> None:
        """Make one step with two strategies: the explained one again, or the one to the ghost."""
        session = self._workspace.session
        if session is None or ghost is None or self._workspace.worker.busy:
            self._notify("Not now", f"Wait until the running step is done, or {CANCEL.key}.")
            return
        if first == second:
            self._notify("Twice the same", "Choose two different strategies.")
            return
        path = session.history.head.path()
        step, explained = self._debugger.step, self._debugger.explained
        if step is not None and explained is not None:
            start, targets = path[step - 1], explained.retrieval.targets
        else:
            start = path[-1]
            goal = ghost.camera.c2w
            if not ghost.away:
                goal = apply_move(goal, MOVES["w"], step_size=ghost.step_size)
            targets = path_targets(session.camera, goal, session.config.target_views)
        memory = self._debugger.memory_before(step)
        query = self._workspace.query(memory, targets=len(targets))
        queries = replace(query, strategy=first), replace(query, strategy=second)
        self._workspace.walk_both(start.id, targets, queries)

    def export(self) -> None:
        """Pack what is explained as figure, JSON and recording."""
        explained = self._debugger.explained
        if explained is not None:
            heat = self._workspace.settings.scene.heat
            job = packing(explained.memory, explained.retrieval, explained.step, heat)
            self._workspace.worker.submit("explanation", job)

    def _true_overlap(self) -> TrueOverlap | None:
        """What selections are truly worth, where the world is known exactly."""
        session = self._workspace.session
        world = session.backend.truth if session else None
        if world is None:
            return None
        if self._truth is None or self._truth[0] is not world:
            self._truth = (world, WorldOverlap(world))
        return self._truth[1].of
