"""A session: one photo, one memory, one walk. Steps are transactions."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8

from vmem.backends import Backend, create_backend
from vmem.cameras import (
    MOVES,
    Camera,
    CameraError,
    Cameras,
    MoveError,
    apply_move,
    parse_moves,
    path_targets,
)
from vmem.errors import VMemError
from vmem.formats.photos import load_photo
from vmem.formats.walk import export
from vmem.generation import Context, Prepares
from vmem.memory import MemorySnapshot, ViewMemory, make_record
from vmem.progress import CancelToken, OnProgress, Progress, silent
from vmem.retrieval import ask
from vmem.session.config import ConfigError, SessionConfig, check_whole
from vmem.session.history import History, Node, common_depth
from vmem.session.refusal import StepRefused, check_depths, check_pictures, check_poses
from vmem.session.step import Step, check_camera, check_frames, check_maps
from vmem.types import (
    AssociationConfig,
    Frames,
    Query,
    Retrieval,
    RetrievalError,
    StepRecord,
    StepRequest,
)

log = logging.getLogger(__name__)


class SessionBusy(VMemError, RuntimeError):
    """Another step is being made in this session."""


class Session:
    """One walk. Reading (snapshot, retrieve) is free at any time; changing is one at a time."""

    def __init__(
        self,
        backend: Backend,
        opening: Frames,
        camera: Camera,
        config: SessionConfig,
        *,
        on_progress: OnProgress = silent,
        cancel: CancelToken | None = None,
    ) -> None:
        """Use Session.open; this takes the first view as it is."""
        if backend.slots is not None and config.target_views >= backend.slots:
            raise ConfigError(
                f"target_views must be below {backend.slots} with the {backend.name} backend, "
                f"whose network takes {backend.slots} views and targets together, got "
                f"{config.target_views}"
            )
        check_camera(camera)
        self.backend = backend
        self.config = config
        self._check_sampler(config.sampler)
        self._memory = ViewMemory()
        self._writing = threading.Lock()
        self.seconds: dict[str, float] = {}
        self.refused = 0
        """How many steps were refused so far."""
        cameras = Cameras.stack([camera])
        with self._stage("open"):
            maps = backend.geometry.estimate(
                opening, cameras, self.memory, on_progress=on_progress, cancel=cancel
            )
            check_maps(maps, cameras, config.association.min_confidence)
            record = make_record(self.memory, opening, cameras, maps, None, self.association)
            self._memory.append(record)
        self.history = History(record, "photo")
        _log("photo", record)
        if isinstance(backend.generator, Prepares):
            backend.generator.prepare(self.memory.views[0], seed=config.seed)

    @classmethod
    def open(
        cls,
        photo: UInt8[np.ndarray, "H W 3"] | str | Path | bytes | None,
        *,
        backend: Backend | str = "auto",
        seed: int | None = None,
        size: int = 288,
        config: SessionConfig | None = None,
        on_progress: OnProgress = silent,
        cancel: CancelToken | None = None,
    ) -> Session:
        """Open a photo, or with None the scene of a backend that renders its own.

        photo: a file's path or bytes, loaded as a square of ``size`` pixels (or of the only size
        that the backend makes), or (H, W, 3) u8 as it is · backend: a name of
        vmem.backends.registry.BACKENDS, or one that was made before · seed: by default the
        config's. Raises PhotoError, BackendError, ConfigError, StepError for a geometry that
        returns something else, Cancelled, and what the geometry raises.
        """
        config = SessionConfig() if config is None else config
        if not isinstance(config, SessionConfig):
            raise ConfigError(f"config must be a vmem.SessionConfig, got {config!r}")
        if seed is not None:
            config = replace(config, seed=seed)
        if not isinstance(backend, Backend):
            backend = create_backend(backend, seed=config.seed, size=size)
        if isinstance(photo, str | Path | bytes):
            photo = load_photo(photo, backend.frame_size or size).rgb
        frames, camera = backend.first_view(photo)
        return cls(backend, frames, camera, config, on_progress=on_progress, cancel=cancel)

    # --- reading ---------------------------------------------------------------------------

    @property
    def memory(self) -> MemorySnapshot:
        """The memory as of the last committed change."""
        return self._memory.snapshot()

    @property
    def camera(self) -> Camera:
        """Where the walk stands: the newest view's camera."""
        return self.memory.views[-1].camera

    @property
    def association(self) -> AssociationConfig:
        """How new views enter memory: as configured, but smooth errors of depth that the geometry
        has fitted to memory are seen through."""
        chosen = self.config.association
        return replace(chosen, bend_depth=True) if self.backend.aligned_depth else chosen

    def room(self, n_targets: int, wanted: int | None = None) -> int:
        """How many views the generator can be shown beside so many targets: those ``wanted`` (by
        default K), or fewer where its slots are fewer. Raises ConfigError if there is room for
        none, and for numbers that are not whole or below 1."""
        wanted = self.config.context_views if wanted is None else wanted
        check_whole("n_targets", n_targets, 1)
        check_whole("wanted", wanted, 1)
        slots = self.backend.slots
        if slots is None:
            return wanted
        if n_targets >= slots:
            raise ConfigError(
                f"{n_targets} targets at once leave no slot for a context view: the "
                f"{self.backend.name} backend takes {slots} together"
            )
        return min(wanted, slots - n_targets)

    def retrieve(
        self, targets: Cameras | Camera | Iterable[Camera], query: Query | None = None
    ) -> Retrieval:
        """What memory offers for these targets: by default as configured, and never more views than
        the generator can take. Raises ConfigError for more targets than it takes, and what
        `vmem.ask` raises."""
        targets = Cameras.of(targets)
        query = query or Query(self.config.context_views, self.config.strategy)
        return ask(self.memory, targets, query, k=self.room(len(targets), query.k))

    def export(self, kind: str, path: str | Path) -> None:
        """Write the walk as one of vmem.formats.walk.KINDS; raises ExportError."""
        export(kind, self.memory, path)

    def targets_to(self, c2w: Float64[np.ndarray, "4 4"]) -> Cameras:
        """The cameras of one step from where the walk stands to the pose ``c2w``.

        Raises CameraError for what is no rigid pose.
        """
        return path_targets(self.camera, c2w, self.config.target_views)

    def __repr__(self) -> str:
        memory, steps = self.memory, len(self.history.nodes) - 1
        at = f"step {len(memory.steps) - 1} of {steps}" if steps else "at its start"
        return f"<Session {self.backend.name}, {at}: {memory!r}>"

    # --- changing --------------------------------------------------------------------------

    def walk(
        self, moves: str, *, on_progress: OnProgress = silent, cancel: CancelToken | None = None
    ) -> Iterator[Step]:
        """Make one step a move of ``moves``, as in ``"a*3 d*3 w*2"``, and yield each when it is
        committed. Raises MoveError at once for what is no move, later what `step` raises."""
        words = parse_moves(moves)
        return (self.move(word, on_progress=on_progress, cancel=cancel) for word in words)

    def follow(
        self,
        path: Iterable[Camera],
        *,
        on_progress: OnProgress = silent,
        cancel: CancelToken | None = None,
    ) -> Iterator[Step]:
        """Make one step to each camera of ``path`` (its pose; intrinsics are the walk's) and yield
        each when it is committed. Raises CameraError for what is no camera (at once for what is no
        path of them), and what `step` raises."""
        if not isinstance(path, Iterable):
            raise CameraError(f"a path to follow is several vmem.Camera, got {path!r}")

        def to(camera: Camera) -> Step:
            if not isinstance(camera, Camera):
                raise CameraError(f"a path to follow is of vmem.Camera, got {camera!r} in it")
            targets = self.targets_to(camera.c2w)
            return self.step(targets, label="path", on_progress=on_progress, cancel=cancel)

        return (to(camera) for camera in path)

    def move(
        self, word: str, *, on_progress: OnProgress = silent, cancel: CancelToken | None = None
    ) -> Step:
        """One step by a move word of vmem.cameras.MOVES, as `walk` reads it; MoveError for any
        other, and for several. Raises what `step` raises."""
        words = parse_moves(word)
        if len(words) > 1:
            raise MoveError(f"{word!r} are {len(words)} moves: use walk for more than one")
        (word,) = words
        targets = self.targets_to(apply_move(self.camera.c2w, MOVES[word]))
        return self.step(targets, label=word, on_progress=on_progress, cancel=cancel)

    def request(
        self,
        targets: Cameras | Camera | Iterable[Camera],
        *,
        label: str = "walk",
        query: Query | None = None,
        sampler: str | None = None,
    ) -> StepRequest:
        """Everything that a step to ``targets`` depends on, as configured where it is not given.

        Raises CameraError for targets that are no Cameras or of another size than the walk's,
        ConfigError for a sampler that the backend does not have.
        """
        targets = Cameras.of(targets)
        if targets.hw != self.camera.hw:
            raise CameraError(
                f"this walk's frames are {self.camera.hw} (height, width), got targets of "
                f"{targets.hw}: use targets.resized({self.camera.hw})"
            )
        sampler = sampler or self.config.sampler or self.backend.sampler
        self._check_sampler(sampler)
        query = query or Query(self.config.context_views, self.config.strategy)
        query = replace(query, k=self.room(len(targets), query.k))
        return StepRequest(targets, query, self.config.seed, sampler, self.association, label)

    def step(
        self,
        targets: Cameras | Camera | Iterable[Camera] | StepRequest,
        *,
        label: str = "walk",
        query: Query | None = None,
        sampler: str | None = None,
        on_progress: OnProgress = silent,
        cancel: CancelToken | None = None,
    ) -> Step:
        """Generate the targets and take them into memory, all or nothing.

        targets: cameras, or a whole request (whose label, query and sampler then count) · query:
        what to ask memory, if not as configured. The request is recorded with the step. Whatever
        ends it early (Cancelled, an exception) leaves memory and history as they were. Raises
        SessionBusy, CameraError, ConfigError, RetrievalError, StepError, Cancelled, and what the
        backend raises; StepRefused, counted in ``refused``, where the config says so.
        """
        if not isinstance(targets, StepRequest):
            targets = self.request(targets, label=label, query=query, sampler=sampler)
        try:
            return self._make(targets, on_progress, cancel or CancelToken())
        except StepRefused:
            self.refused += 1
            raise

    def _check_sampler(self, sampler: str | None) -> None:
        if sampler is not None and sampler not in self.backend.samplers:
            known = ", ".join(self.backend.samplers) or "none"
            raise ConfigError(
                f"the {self.backend.name} backend has no sampler {sampler!r}: it has {known}"
            )

    def _make(self, request: StepRequest, on_progress: OnProgress, cancel: CancelToken) -> Step:
        targets, generator = request.targets, self.backend.generator
        with self._changing():
            before = self.memory
            started = dict(self.seconds)
            on_progress(Progress("retrieve", 0, 1))
            with self._stage("retrieve"):
                if self.config.refuse:
                    check_poses(before, targets)
                retrieval = ask(before, targets, request.query)
            if not retrieval.order:
                raise RetrievalError(retrieval.note)
            cancel.check()
            context = Context(
                views=tuple(before.views[view] for view in retrieval.order),
                anchor=before.views[0],
                step=len(before.steps),
            )
            with self._stage("generate"):
                frames = generator.generate(
                    context,
                    targets,
                    seed=request.seed,
                    sampler=request.sampler,
                    on_progress=on_progress,
                    cancel=cancel,
                )
                check_frames(frames, targets)
                if self.config.refuse:
                    check_pictures(before, retrieval, context.views, frames)
            cancel.check()
            on_progress(Progress("geometry", 0, 1))
            with self._stage("estimate"):
                maps = self.backend.geometry.estimate(
                    frames, targets, before, on_progress=on_progress, cancel=cancel
                )
                check_maps(maps, targets, request.association.min_confidence)
                if self.config.refuse:
                    check_depths(before, targets, frames, maps)
            cancel.check()
            on_progress(Progress("memory", 0, 1))
            with self._stage("associate"):
                record = make_record(
                    before,
                    frames,
                    targets,
                    maps,
                    retrieval,
                    request.association,
                    request=request,
                    node=len(self.history.nodes),
                    # Association looks at frames of the usual size as the query did.
                    drawn=retrieval.buffers if request.query.density == 1 else None,
                )
            cancel.check()
            with self._stage("commit"):
                self._memory.append(record)
                node = self.history.add(record, request.label)
            spent = {
                stage: total - started.get(stage, 0.0) for stage, total in self.seconds.items()
            }
        _log(f"step {len(before.steps)} ({request.label})", record)
        return Step(len(before.steps), node, record, retrieval, spent)

    def undo(self) -> bool:
        """Go back one step; False if only the photo is left. Raises SessionBusy during a step."""
        with self._changing():
            parent = self.history.head.parent
            if parent is None:
                return False
            self._go_to(parent)
            return True

    def redo(self) -> bool:
        """Go forward to the step last undone or left; False if there is none. Raises SessionBusy
        during a step."""
        with self._changing():
            if self.history.head.recent is None:
                return False
            self._go_to(self.history.head.recent)
            return True

    def switch(self, node_id: int) -> None:
        """Go to any step of the history tree. Raises HistoryError if there is no such step, and
        SessionBusy during a step."""
        with self._changing():
            self._go_to(self.history.node(node_id))

    def _go_to(self, node: Node) -> None:
        path = node.path()
        shared = common_depth(self.history.head.path(), path)
        self._memory.truncate(shared - 1)
        for step in path[shared:]:
            self._memory.append(step.record)
        self.history.move_to(node)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        if not self._writing.acquire(blocking=False):
            raise SessionBusy("a step is being made: cancel it, or wait for it to finish")
        try:
            yield
        finally:
            self._writing.release()

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def _log(step: str, record: StepRecord) -> None:
    if record.note:
        log.info("%s: %s", step, record.note)


def open_session(
    photo: UInt8[np.ndarray, "H W 3"] | str | Path | bytes | None = None,
    *,
    backend: Backend | str = "auto",
    seed: int | None = None,
    size: int = 288,
    config: SessionConfig | None = None,
) -> Session:
    """Open a photo, or None for the scene of a backend that renders its own, as a session.

    photo: a file's path or bytes, or (H, W, 3) u8 · backend: auto, preview, world, vmem, or one
    made by `create_backend` · seed fixes everything that is invented; by default the config's ·
    size: side of the square frames in pixels. Raises what `Session.open` raises.
    """
    return Session.open(photo, backend=backend, seed=seed, size=size, config=config)
