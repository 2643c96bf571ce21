"""One person's walk: session, worker and settings. It outlives page reloads."""

from __future__ import annotations

import io
import tempfile
import threading
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from viewer.first_person.following import step_targets
from viewer.settings import OWN_SUPPRESSION, Settings
from viewer.walk.jobs import BothMade, Download
from viewer.walk.pins import Pins
from viewer.walk.preparation import Preparation
from viewer.walk.stretches import after, before
from viewer.walk.worker import Event, Job, Worker
from vmem.arrays import F64, U8
from vmem.backends import Backend, create_backend, resolve
from vmem.cameras import Camera, Cameras, path_targets
from vmem.devices.settings import SAMPLERS
from vmem.formats.photos import Photo, load_photo
from vmem.formats.video import VideoError
from vmem.formats.walk import export_walk
from vmem.memory import MemorySnapshot
from vmem.progress import Cancelled, CancelToken, OnProgress, Progress
from vmem.session import Node, Session, SessionConfig, Step
from vmem.session.compare import step_both
from vmem.types import Query

MAX_WAITING = 12
"""Steps that may wait behind the running one; further key presses are refused, not queued. A whole
flight (viewer.walk.ghost) is queued in any case."""


@dataclass(frozen=True)
class Source:
    """Where a walk begins: a photo as path or bytes, or None for a backend's own scene."""

    title: str
    photo: Path | bytes | None
    decoded: Photo | None = field(default=None, compare=False)
    """The photo at one size, where it has been decoded already."""


class Workspace:
    """Session and worker of one person; ``listen`` to it from one browser at a time."""

    def __init__(self, settings: Settings, preparation: Preparation | None = None) -> None:
        """preparation: what opening waits for, up to its stage "ask", and steps, up to "step"."""
        self.settings = settings
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
        self._listener = _ignored
        self._last_event: Event | None = None
        self._telling = threading.Lock()
        self.worker = Worker(self._tell)

    def adopt(self, session: Session) -> None:
        """Go on with a session that was opened elsewhere, as it is configured."""
        config = session.config
        self.settings.strategy, self.settings.context_views = config.strategy, config.context_views
        self.settings.seed = config.seed
        if config.sampler in SAMPLERS:
            self.settings.preset = config.sampler
        self.session, self.walker = session, None
        self.pins.clear()

    def listen(self, listener) -> None:
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

    def close(self) -> None:
        """Cancel what runs and end the worker."""
        self.listen(None)
        self.worker.close(timeout=1.0)

    # --- jobs ------------------------------------------------------------------------------

    def open(self, source: Source) -> None:
        """Start a new walk; the present one stays until the new one is ready."""
        wanted = "world" if source.photo is None else self.settings.backend

        def job(on_progress: OnProgress, cancel: CancelToken) -> Session:
            self.opening = source.decoded
            try:
                session = self._open(source, wanted, on_progress, cancel)
            finally:
                self.opening = None
            if self._preparation is not None and not self._preparation.is_done("step"):
                # No step needs this to be right; but it says on the page why one would take time.
                self.worker.submit("prepare the first step", self._prepare_step)
            return session

        self.opening = source.decoded
        self.worker.submit(f"open {source.title}", job)

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
        if self._preparation is not None:
            self._preparation.wait_for("ask", on_progress, cancel)
        cancel.check()
        on_progress(Progress("scene (slow the first time)", 0, 1))
        session = Session.open(
            photo,
            backend=backend,
            seed=settings.seed,
            config=self._config(backend),
            on_progress=on_progress,
            cancel=cancel,
        )
        cancel.check()
        self.session, self.source, self.remarks = session, source, remarks
        self.walker = None
        self.pins.clear()
        return session

    def _prepare_step(self, on_progress: OnProgress, cancel: CancelToken) -> None:
        assert self._preparation is not None
        self._preparation.wait_for("step", on_progress, cancel)

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

    def export(self) -> None:
        """Queue packing the walk into a zip; the result is a Download."""
        session = self.session
        if session is None:
            return

        def job(on_progress: OnProgress, cancel: CancelToken) -> Download:
            on_progress(Progress("export", 0, 1))
            with tempfile.TemporaryDirectory() as folder:
                try:
                    export_walk(session.memory, Path(folder))
                except VideoError as error:  # all else is written
                    reason = Path(folder) / "walk.mp4 is missing.txt"
                    reason.write_text(f"{error}\n", encoding="utf-8")
                cancel.check()
                packed = io.BytesIO()
                with zipfile.ZipFile(packed, "w") as archive:
                    for file in sorted(Path(folder).rglob("*")):
                        archive.write(file, file.relative_to(folder))
            return Download("walk.zip", packed.getvalue())

        self.worker.submit("export", job)

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
        session.config = self._config(session.backend)

    def _check_present(self, session: Session) -> None:
        """Cancelled if another walk has been opened since the job was queued."""
        if session is not self.session:
            raise Cancelled("it belonged to the walk before this one")

    def _config(self, backend: Backend) -> SessionConfig:
        """The session's settings as they stand; its seed never changes once it is open."""
        settings = self.settings
        seed = settings.seed if self.session is None else self.session.config.seed
        return replace(
            SessionConfig(),
            seed=seed,
            context_views=settings.context_views,
            strategy=settings.strategy,
            sampler=settings.preset if settings.preset in backend.samplers else None,
        )


def _ignored(event: Event) -> None:
    """Events while no browser is attached: the next one rebuilds from the session itself."""
