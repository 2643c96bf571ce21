"""One person's walk: session, worker and settings. It outlives page reloads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from viewer.first_person.following import step_targets
from viewer.settings import OWN_SUPPRESSION, Settings
from viewer.walk.jobs import BothMade, walk_job
from viewer.walk.pins import Pins
from viewer.walk.preparation import Preparation
from viewer.walk.saving import Saving, file_of, source_of
from viewer.walk.source import Source
from viewer.walk.stretches import after, before
from viewer.walk.worker import Event, Job, Worker
from vmem.arrays import F64, U8
from vmem.backends import Backend, create_backend, resolve
from vmem.cameras import Camera, Cameras, path_targets
from vmem.devices.settings import SAMPLERS
from vmem.errors import VMemError
from vmem.formats.photos import Photo, load_photo
from vmem.memory import MemorySnapshot
from vmem.progress import Cancelled, CancelToken, OnProgress, Progress
from vmem.session import Node, Session, SessionConfig, Step
from vmem.session.compare import step_both
from vmem.store.library import Library
from vmem.types import Query

MAX_WAITING = 12
"""Steps that may wait behind the running one; further key presses are refused, not queued. A whole
flight (viewer.walk.ghost) is queued in any case."""


class Workspace:
    """Session and worker of one person; ``listen`` to it from one browser at a time."""

    def __init__(
        self,
        settings: Settings,
        preparation: Preparation | None = None,
        library: Library | None = None,
    ) -> None:
        """preparation: what opening waits for, up to its stage "ask", and steps, up to "step" ·
        library: where new walks are saved; None to save none."""
        self.settings = settings
        self.saving = Saving(library)
        self._preparation = preparation
        self.session: Session | None = None
        self.pins = Pins()
        self.source: Source | None = None
        self.remarks: tuple[str, ...] = ()
        """What was done to the photo, for its owner."""
        self.travels = 0
        """How often an undo or the like was asked for."""
        self.walker: Camera | None = None
        """Where the page's walker was last, since the session was opened."""
        self.opening: Photo | None = None
        """The photo that is being opened."""
        self._listener: Callable[[Event], object] = _ignored
        self._last_event: Event | None = None
        self._telling = threading.Lock()
        self.worker = Worker(self._tell)

    def adopt(self, session: Session) -> None:
        """Go on with a session that was opened elsewhere, and is closed there, as it is
        configured."""
        self._configure(session)
        self._show(session, None, (), lent=True)

    def _configure(self, session: Session) -> None:
        """Have the settings be those of a session."""
        config = session.config
        self.settings.strategy, self.settings.context_views = config.strategy, config.context_views
        self.settings.seed = config.seed
        if config.sampler in SAMPLERS:
            self.settings.preset = config.sampler

    def _show(
        self,
        session: Session,
        source: Source | None,
        remarks: tuple[str, ...],
        *,
        lent: bool = False,
    ) -> None:
        """Have a walk be the present one."""
        before, self.session = self.session, session
        self.source, self.remarks, self.walker = source, remarks, None
        self.pins.clear()
        self.saving.opened(session, before, lent=lent)

    def listen(self, listener: Callable[[Event], object] | None) -> None:
        """Send events of jobs to ``listener(event)``, on the worker's thread; None: to no one. What
        the job that runs has said last is said again, at once."""
        with self._telling:
            self._listener = listener or _ignored
            if self._last_event is not None and self.worker.busy:
                self._listener(self._last_event)

    def _tell(self, event: Event) -> None:
        with self._telling:
            self._last_event = event if event.kind in ("started", "progress") else None
            self._listener(event)

    def ignore(self, listener: Callable[[Event], object]) -> None:
        """Send ``listener`` no more events; one that has taken its place goes on hearing them."""
        with self._telling:
            if self._listener == listener:
                self._listener: Callable[[Event], object] = _ignored

    def close(self, timeout: float | None = None) -> None:
        """Cancel what runs, end the worker and give the walk's file up. A job that does not end
        within ``timeout`` seconds keeps it: no step is lost by that."""
        self.listen(None)
        self.worker.close(timeout)
        if self.worker.alive:
            return
        self.saving.close_left()
        if self.session is not None:
            self.saving.close(self.session)

    # --- jobs ------------------------------------------------------------------------------

    def open(self, source: Source) -> None:
        """Start a new walk; the present one stays until the new one is ready."""
        wanted = "world" if source.photo is None else self.settings.backend

        def job(on_progress: OnProgress, cancel: CancelToken) -> Session:
            return self._begin(source, wanted, on_progress, cancel)

        self.opening = source.decoded
        self.worker.submit(f"open {source.title}", job)

    def resume(
        self, path: Path, *, look: bool = False, otherwise: Source | None = None, said: str = ""
    ) -> None:
        """Go on with a saved walk; the present one stays until then.

        look: only look at it · otherwise: begin with that where it cannot be opened · said: why it
        is opened, for the news once it is.
        """

        def job(on_progress: OnProgress, cancel: CancelToken) -> Session:
            try:
                return self._resume(path, look, said, on_progress, cancel)
            except Cancelled:
                raise
            except VMemError as error:
                if otherwise is None:
                    raise
                self.saving.news = ("The walk before could not be opened", str(error))
                wanted = "world" if otherwise.photo is None else self.settings.backend
                return self._begin(otherwise, wanted, on_progress, cancel)

        self.worker.submit(f"resume {path.stem}", job)

    def _resume(
        self, path: Path, look: bool, said: str, on_progress: OnProgress, cancel: CancelToken
    ) -> Session:
        present = self.session
        if present is not None and file_of(present) == path and (look or not present.read_only):
            return present
        self._prepare("ask", on_progress, cancel)
        on_progress(Progress("walk", 0, 1))
        session = self.saving.resume(path, look, on_progress, cancel)
        if said and self.saving.news is None:
            steps = len(session.memory.steps) - 1
            self.saving.news = ("Your walk is back", f"{said} It is at step {steps}.")
        self._configure(session)
        file = session.file
        assert file is not None
        remarks = tuple(f"damaged, and left out: {part}" for part in file.dropped)
        remarks += ("opened to look only: no steps are made",) * session.read_only
        self._show(session, source_of(session), remarks)
        self._prepare_step_later()
        return session

    def _begin(
        self, source: Source, wanted: str, on_progress: OnProgress, cancel: CancelToken
    ) -> Session:
        self.opening = source.decoded
        try:
            session = self._open(source, wanted, on_progress, cancel)
        finally:
            self.opening = None
        self._prepare_step_later()
        return session

    def _open(
        self, source: Source, wanted: str, on_progress: OnProgress, cancel: CancelToken
    ) -> Session:
        settings = self.settings
        name, _ = resolve(wanted)
        if source.photo is not None and name == "world":
            name = resolve("auto")[0]
        on_progress(Progress("photo", 0, 1))
        # The geometry was asked for with that backend, and the world has one of its own.
        asked_for = name != "world" or settings.backend == "world"
        geometry = settings.geometry if asked_for else None
        backend = create_backend(name, seed=settings.seed, size=settings.size, geometry=geometry)
        photo: U8 | None = None
        remarks: tuple[str, ...] = ()
        if source.photo is not None:
            size = backend.frame_size or settings.size
            loaded = source.decoded
            if loaded is None or len(loaded.rgb) != size:
                loaded = load_photo(source.photo, size)
            photo, remarks = loaded.rgb, loaded.notes
            self.opening = loaded
        self._prepare("ask", on_progress, cancel)
        cancel.check()
        on_progress(Progress("scene (slow the first time)", 0, 1))
        session = Session.open(
            photo,
            backend=backend,
            config=self._config(SessionConfig(seed=settings.seed), backend),
            photo_name=source.title,
            on_progress=on_progress,
            cancel=cancel,
        )
        cancel.check()
        self.saving.keep(session, source.title)
        self._show(session, source, remarks)
        return session

    def _prepare(self, stage: str, on_progress: OnProgress, cancel: CancelToken) -> None:
        if self._preparation is not None:
            self._preparation.wait_for(stage, on_progress, cancel)

    def _prepare_step_later(self) -> None:
        """No step needs this to be right; but it says on the page why one would take time."""
        if self._preparation is not None and not self._preparation.is_done("step"):
            self.worker.submit("prepare the first step", lambda *told: self._prepare("step", *told))

    def query(
        self, memory: MemorySnapshot, *, tried: bool = True, targets: int | None = None
    ) -> Query:
        """The query as chosen: with the what-ifs, or without.

        targets: how many there will be, by default a step's; the generator may take fewer views
        beside them than were chosen.
        """
        settings, session = self.settings, self.session
        k = settings.context_views
        if session is not None:
            k = session.room(targets or session.config.target_views, k)
        plain = Query(k, settings.strategy)
        if not tried:
            return plain
        return replace(
            plain,
            pinned=self.pins.pinned(memory),
            banned=self.pins.banned(memory),
            suppression=None if settings.suppression == OWN_SUPPRESSION else settings.suppression,
            weighting=settings.weighting,
            density=settings.density,
        )

    @property
    def is_full(self) -> bool:
        """True while MAX_WAITING steps wait: no more are taken."""
        return self.worker.waiting >= MAX_WAITING

    def walk_along(self, way: Sequence[F64], label: str) -> bool:
        """Queue one step from each pose (4, 4) of ``way`` to the next.

        False, and nothing is queued, if too many steps wait already.
        """
        if self.session is None or self.is_full:
            return False
        camera = self.session.camera
        for start, stop in pairwise(way):
            job = self._step_job(self.session, start, stop, label)
            self.worker.submit(f"step {label}", job, camera.moved_to(stop))
        return True

    def make_views(self, camera: Camera, stretch: str) -> None:
        """Queue one step of a stretch, which ends at ``camera``: of as many views as are set, or as
        the generator makes at once."""
        session = self.session
        if session is None:
            return
        fixed = session.backend.slots is not None
        n = session.config.target_views if fixed else int(self.settings.targets)

        def job(on_progress: OnProgress, cancel: CancelToken) -> Step:
            self._make_ready(session)
            targets = step_targets(session.memory, camera, n)
            query = self.query(session.memory, tried=self.settings.use_next, targets=n)
            return session.step(
                targets, label=stretch, query=query, on_progress=on_progress, cancel=cancel
            )

        self.worker.submit(stretch, job, camera)

    def _step_job(self, session: Session, start: F64, stop: F64, label: str) -> Job:
        def job(on_progress: OnProgress, cancel: CancelToken) -> Step:
            self._make_ready(session)
            begin = session.camera.moved_to(start)
            targets = path_targets(begin, stop, session.config.target_views)
            query = self.query(session.memory, tried=self.settings.use_next)
            return session.step(
                targets, label=label, query=query, on_progress=on_progress, cancel=cancel
            )

        return job

    def walk_both(self, start: int, targets: Cameras, queries: tuple[Query, Query]) -> None:
        """Queue one step from step ``start`` of the history, made with each of two queries."""
        session = self.session
        if session is None:
            return

        def job(on_progress: OnProgress, cancel: CancelToken) -> BothMade:
            self._make_ready(session)
            made = step_both(
                session, start, targets, queries, on_progress=on_progress, cancel=cancel
            )
            return BothMade(*made)

        label = " and ".join(query.strategy for query in queries)
        self.worker.submit(f"both {label}", job, targets[-1])

    def undo(self) -> None:
        """Queue an undo: it takes back the step or stretch before it, also one that is still being
        made."""
        self._travel("undo", before)

    def redo(self) -> None:
        """Queue a redo."""
        self._travel("redo", after)

    def switch(self, node: int) -> None:
        """Queue a jump to a step of the history tree."""
        self._travel("switch", lambda head: self._node(node))

    def rename(self, node: int, name: str) -> None:
        """Queue naming the branch that ends at a step of the history tree."""
        session = self.session
        if session is None:
            return

        def job(on_progress: OnProgress, cancel: CancelToken) -> None:
            self._check_present(session)
            session.rename(node, name)

        self.worker.submit("rename", job)

    def export(self) -> None:
        """Queue packing the walk into a zip; the result is a Download."""
        session = self.session
        if session is None:
            return

        self.worker.submit("export", walk_job(session.memory))

    def _travel(self, how: str, goal: Callable[[Node], Node | None]) -> None:
        """Queue going from the head of the history to ``goal(head)``; the result is whether there
        is such a step."""
        session = self.session
        if session is None:
            return

        def job(on_progress: OnProgress, cancel: CancelToken) -> object:
            self._check_present(session)
            node = goal(session.history.head)
            if node is not None:
                session.switch(node.id)
            return node is not None

        self.travels += 1
        self.worker.submit(how, job)

    def _node(self, id: int) -> Node:
        assert self.session is not None
        return self.session.history.node(id)

    def _make_ready(self, session: Session) -> None:
        """Have a session make steps as the settings are now. Cancelled as _check_present."""
        self._check_present(session)
        session.config = self._config(session.config, session.backend)

    def _check_present(self, session: Session) -> None:
        """Cancelled if another walk has been opened since the job was queued."""
        if session is not self.session:
            raise Cancelled("it belonged to the walk before this one")

    def _config(self, config: SessionConfig, backend: Backend) -> SessionConfig:
        """``config`` with the settings as they stand, but for its seed, which is the walk's."""
        settings = self.settings
        return replace(
            config,
            context_views=settings.context_views,
            strategy=settings.strategy,
            sampler=settings.preset if settings.preset in backend.samplers else None,
        )


def _ignored(event: Event) -> None:
    """Events while no browser is attached: the next one rebuilds from the session itself."""
