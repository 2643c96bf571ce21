"""A session: one photo, one memory, one walk. Steps are transactions."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vmem.backends import Backend, create_backend
from vmem.cameras import (
    MOVES,
    Camera,
    CameraError,
    Cameras,
    MoveError,
    apply_move,
    parse_moves,
)
from vmem.errors import VMemError
from vmem.formats.photos import load_photo
from vmem.generation import Prepares
from vmem.memory import ViewMemory
from vmem.progress import CancelToken, OnProgress, silent
from vmem.session.archive import Archive
from vmem.session.config import ConfigError, SessionConfig
from vmem.session.history import History, Node, common_depth
from vmem.session.making import make_first, make_step
from vmem.session.origin import backend_of, config_from_json, origin_of
from vmem.session.reading import ReadableWalk
from vmem.session.refusal import StepRefused
from vmem.session.restoring import kept, restored
from vmem.session.stages import Stages
from vmem.session.step import Step, check_camera
from vmem.store import Origin, WalkFile
from vmem.types import Frames, Query, StepRecord, StepRequest

log = logging.getLogger(__name__)


class SessionBusy(VMemError, RuntimeError):
    """Another step is being made in this session."""


class SessionClosed(VMemError, RuntimeError):
    """A change to a walk that was closed, or opened to look only."""


class Session(ReadableWalk):
    """One walk. Reading (snapshot, retrieve) is free at any time; changing is one at a time."""

    def __init__(
        self,
        backend: Backend,
        opening: Frames,
        camera: Camera,
        config: SessionConfig,
        *,
        save: str | Path | None = None,
        photo: str = "",
        on_progress: OnProgress = silent,
        cancel: CancelToken | None = None,
    ) -> None:
        """Use Session.open; this takes the first view as it is. ``photo``: its name."""
        check_camera(camera)
        self._set_up(backend, config)
        self._photo = photo
        file = None if save is None else WalkFile.create(save, self._origin(camera))
        self._archive = Archive(self._memory, file)
        try:
            with self._stages.stage("open"):
                record = make_first(opening, camera, backend, self.association, on_progress, cancel)
                held, content = self._archive.kept(record, 0, 0)
                first = self._memory.grown(held)
                self._archive.add(0, None, "photo", record, self.seconds)
                self._memory.adopt(first)
        except BaseException:
            self._archive.close()
            raise
        self.history = History(content, "photo")
        _log("photo", record)
        self._prepare()

    def _set_up(self, backend: Backend, config: SessionConfig) -> None:
        if backend.slots is not None and config.target_views >= backend.slots:
            raise ConfigError(
                f"target_views must be below {backend.slots} with the {backend.name} backend, "
                f"whose network takes {backend.slots} views and targets together, got "
                f"{config.target_views}"
            )
        self.backend = backend
        self.config = config
        self._check_sampler(config.sampler)
        self._memory = ViewMemory()
        self._writing = threading.Lock()
        self._stages = Stages()
        self._closed = False
        self.refused = 0
        """How many steps were refused so far."""

    def _prepare(self) -> None:
        if isinstance(self.backend.generator, Prepares):
            self.backend.generator.prepare(self.memory.views[0], seed=self.config.seed)

    @classmethod
    def open(
        cls,
        photo: UInt8[np.ndarray, "H W 3"] | str | Path | bytes | None,
        *,
        backend: Backend | str = "auto",
        seed: int | None = None,
        size: int = 288,
        config: SessionConfig | None = None,
        save: str | Path | None = None,
        photo_name: str | None = None,
        on_progress: OnProgress = silent,
        cancel: CancelToken | None = None,
    ) -> Session:
        """Open a photo, or with None the scene of a backend that renders its own.

        photo: a file's path or bytes, loaded as a square of ``size`` pixels (or of the only size
        that the backend makes), or (H, W, 3) u8 as it is · backend: a name of
        vmem.backends.registry.BACKENDS, or one that was made before · seed: by default the
        config's · save: a new file, into which every step is written before it is shown ·
        photo_name: what that file calls the photo, by default its file's name. Raises PhotoError,
        BackendError, ConfigError, StepError for a geometry that returns something else, StoreError
        where the walk cannot be saved, Cancelled, and what the geometry raises.
        """
        config = SessionConfig() if config is None else config
        if not isinstance(config, SessionConfig):
            raise ConfigError(f"config must be a vmem.SessionConfig, got {config!r}")
        if seed is not None:
            config = replace(config, seed=seed)
        if not isinstance(backend, Backend):
            backend = create_backend(backend, seed=config.seed, size=size)
        if photo_name is None:
            photo_name = Path(photo).name if isinstance(photo, str | Path) else "photo"
        if isinstance(photo, str | Path | bytes):
            photo = load_photo(photo, backend.frame_size or size).rgb
        frames, camera = backend.first_view(photo)
        return cls(
            backend,
            frames,
            camera,
            config,
            save=save,
            photo="" if photo is None else photo_name,
            on_progress=on_progress,
            cancel=cancel,
        )

    @classmethod
    def resume(
        cls,
        path: str | Path,
        *,
        backend: Backend | None = None,
        read_only: bool = False,
        on_progress: OnProgress = silent,
        cancel: CancelToken | None = None,
    ) -> Session:
        """Go on with a saved walk where it stood: the next step is the same, bit for bit, as if it
        had never been closed.

        backend: one that was made as the walk's was, by default made anew · read_only: look at it
        while somebody else writes it. Raises WalkHeld if somebody does, StoreError for a file that
        cannot be read, BackendError for a backend that differs or cannot run here, Cancelled.
        """
        file = WalkFile.open(path, read_only=read_only)
        try:
            session = cls.__new__(cls)
            session._set_up(backend_of(file.origin, backend), config_from_json(file.origin.config))
            session._photo = file.origin.photo
            session._archive = Archive(session._memory, file)
            session.history = restored(session._archive, file, on_progress, cancel or CancelToken())
        except BaseException:
            file.close()
            raise
        session._prepare()
        return session

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

    def _make(self, request: StepRequest, on_progress: OnProgress, cancel: CancelToken) -> Step:
        with self._changing():
            self._check_writable()
            before, started = self.memory, dict(self.seconds)
            record = make_step(
                before,
                request,
                self.backend,
                self._next_id,
                self._stages,
                refuse=self.config.refuse,
                expect=self._archive.expect,
                on_progress=on_progress,
                cancel=cancel,
            )
            cancel.check()
            spent = self._stages.since(started)
            with self._stages.stage("commit"):
                node, record = self._commit(record, request.label, spent)
        retrieval = record.retrieval
        assert retrieval is not None
        _log(f"step {len(before.steps)} ({request.label})", record)
        return Step(len(before.steps), node, record, retrieval, self._stages.since(started))

    def _commit(
        self, record: StepRecord, label: str, seconds: dict[str, float]
    ) -> tuple[Node, StepRecord]:
        """Take a step in: first into the file, so that nothing is shown that could be lost."""
        head, number = self.history.head, self._next_id
        held, content = self._archive.kept(record, number, len(self.memory.steps))
        grown = self._memory.grown(held)
        self._archive.add(number, head.id, label, record, seconds)
        self._memory.adopt(grown)
        return self.history.add(content, label, number), held

    def undo(self) -> bool:
        """Go back one step; False if only the photo is left. Raises what `switch` raises."""
        with self._changing():
            parent = self.history.head.parent
            if parent is None:
                return False
            self._go_to(parent)
            return True

    def redo(self) -> bool:
        """Go forward to the step last undone or left; False if there is none. Raises what `switch`
        raises."""
        with self._changing():
            if self.history.head.recent is None:
                return False
            self._go_to(self.history.head.recent)
            return True

    def switch(self, node_id: int) -> None:
        """Go to any step of the history tree. Raises HistoryError if there is no such step,
        SessionBusy during a step, and StoreError where the walk's file cannot be read or written:
        then the walk stands where it stood."""
        with self._changing():
            self._go_to(self.history.node(node_id))

    def _go_to(self, node: Node) -> None:
        here, there = self.history.head.path(), node.path()
        shared = common_depth(here, there)
        memory = self.memory if shared == len(here) else self.memory.at_step(shared - 1)
        for step in there[shared:]:
            memory = self._memory.grown(step.record, memory)
        if self.file is not None and not self.read_only:
            self.file.move_head(node.id)
        for step in here[shared:]:
            step.content.leave()
        self._memory.adopt(memory)
        for step in there[shared:]:
            step.content.enter()
        self.history.move_to(node)

    def rename(self, node_id: int, name: str) -> None:
        """Name the branch that ends at a step, or take its name away with "". Raises HistoryError,
        SessionBusy, SessionClosed, StoreError."""
        with self._changing():
            self._check_writable()
            node = self.history.node(node_id)
            if self.file is not None:
                self.file.rename_node(node.id, name)
            node.name = name

    def keep(self, path: str | Path) -> None:
        """Save a walk that was not saved, with all its branches, to a new file, and every step from
        now on. Raises SessionBusy, SessionClosed, StoreError; then the walk is as it was."""
        with self._changing():
            self._check_writable()
            if self.file is not None:
                raise SessionClosed(f"this walk is saved already, in {self.file.path}")
            file = WalkFile.create(path, self._origin(self.memory.views[0].camera))
            self._archive = kept(self.history, file)
            self._memory = self._archive.memory

    def close(self) -> None:
        """End the walk and give its file up; it can be read on only as far as it is in memory.
        Raises SessionBusy during a step: cancel it first. A second call does nothing."""
        if not self._closed:
            with self._changing():
                self._closed = True
                self._archive.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def _next_id(self) -> int:
        """Id of the next step: the file may hold one that an interrupt kept out of memory."""
        return max(self.history.next_id, self._archive.next_id)

    def _origin(self, camera: Camera) -> Origin:
        return origin_of(self.backend, self.config, camera, self._photo)

    def _check_writable(self) -> None:
        if self.read_only:
            assert self.file is not None
            why = "; ".join(self.file.dropped)
            why = f"it is damaged ({why})" if why else "it was opened to look only"
            raise SessionClosed(
                f"no step can be made in {self.file.path.name}: {why}. Copy it to a new file to go "
                "on, session.file.copy_to(path)"
            )

    @contextmanager
    def _changing(self) -> Iterator[None]:
        if not self._writing.acquire(blocking=False):
            raise SessionBusy("a step is being made: cancel it, or wait for it to finish")
        try:
            if self._closed:
                raise SessionClosed("this walk was closed: open it again with vmem.resume")
            yield
        finally:
            self._writing.release()


def _log(step: str, record: StepRecord) -> None:
    if record.note:
        log.info("%s: %s", step, record.note)
