"""What can be asked of a walk at any time, also while a step is being made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from vmem.backends import Backend
from vmem.cameras import Camera, CameraError, Cameras, path_targets
from vmem.formats.walk import export
from vmem.memory import MemorySnapshot, ViewMemory
from vmem.retrieval import ask
from vmem.session.archive import Archive
from vmem.session.config import ConfigError, SessionConfig, check_whole
from vmem.session.history import History
from vmem.session.stages import Stages
from vmem.store import WalkFile
from vmem.types import AssociationConfig, Query, Retrieval, StepRequest


class ReadableWalk:
    """A walk as it stands: its memory, its history, and requests for steps from there."""

    backend: Backend
    config: SessionConfig
    history: History
    _memory: ViewMemory
    _archive: Archive
    _stages: Stages

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

    @property
    def seconds(self) -> dict[str, float]:
        """Time spent so far, by stage."""
        return self._stages.seconds

    @property
    def file(self) -> WalkFile | None:
        """Where the walk is saved, or None."""
        return self._archive.file

    @property
    def read_only(self) -> bool:
        """Whether its file was opened to look only: then no step can be made."""
        return self.file is not None and self.file.read_only

    def __repr__(self) -> str:
        memory, steps = self.memory, len(self.history.nodes) - 1
        at = f"step {len(memory.steps) - 1} of {steps}" if steps else "at its start"
        return f"<Session {self.backend.name}, {at}: {memory!r}>"

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

    def _check_sampler(self, sampler: str | None) -> None:
        if sampler is not None and sampler not in self.backend.samplers:
            known = ", ".join(self.backend.samplers) or "none"
            raise ConfigError(
                f"the {self.backend.name} backend has no sampler {sampler!r}: it has {known}"
            )
