"""The view memory: append-only arrays, so that undo is truncation and a snapshot is a slice."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vmem.cameras.cameras import Cameras, FloatArray
from vmem.errors import VMemError
from vmem.geometry.base import PointMapError, PointMaps
from vmem.memory.association import Association, AssociationConfig, associate
from vmem.memory.links import LinkIndex
from vmem.memory.links import extended as extended_links
from vmem.raster.blocks import Blocks, truncated
from vmem.raster.blocks import extended as extended_blocks
from vmem.retrieval.answer import Retrieval, ask, retrieve
from vmem.types.query import DEFAULT_STRATEGY, Query
from vmem.types.surfels import Surfels
from vmem.types.views import Frames, View

I32 = NDArray[np.int32]


class MemoryStateError(VMemError, RuntimeError):
    """An operation that this memory's history does not allow."""


@dataclass(frozen=True, eq=False)
class StepRecord:
    """All that one step adds, ready to be appended, and appended again after an undo.

    views · surfels spawned · link_surfel, link_view (L,) i32 in the numbering of the memory that
    the record was made for · the retrieval that led to it (None for the photo) · note: what the
    geometry says of the step, one line or "".
    """

    views: tuple[View, ...]
    surfels: Surfels
    link_surfel: I32
    link_view: I32
    retrieval: Retrieval | None
    note: str = ""


@dataclass(frozen=True)
class StepEnd:
    """Sizes of the arrays when a step was complete."""

    n_views: int
    n_surfels: int
    n_links: int


@dataclass(frozen=True, eq=False)
class MemorySnapshot:
    """An immutable picture of the memory; readers need no lock.

    surfels (S) · link_surfel, link_view (L,) i32: "view saw surfel" · views (V) · steps: ends of
    step 0 (the photo), 1, ... · retrievals: what led to each step.

    What follows from these (blocks, seen_by, poses, K_normalized) is worked out when it is first
    asked for, and kept. A ViewMemory hands blocks and seen_by on from one snapshot to the next,
    grown by what is new.
    """

    surfels: Surfels
    link_surfel: I32
    link_view: I32
    views: tuple[View, ...]
    steps: tuple[StepEnd, ...]
    retrievals: tuple[Retrieval | None, ...]

    @staticmethod
    def empty() -> MemorySnapshot:
        """A memory that has seen nothing."""
        none = np.zeros(0, np.int32)
        return MemorySnapshot(Surfels.empty(), none, none, (), (), ())

    @cached_property
    def blocks(self) -> Blocks:
        """Bounds of blocks of surfels, for the rasterizer. SurfelError for what is no disk."""
        return Blocks.of(self.surfels.validated())

    @cached_property
    def seen_by(self) -> LinkIndex:
        """The links sorted by surfel, for votes."""
        return LinkIndex.of(len(self.surfels), len(self.views), self.link_surfel, self.link_view)

    @cached_property
    def poses(self) -> FloatArray:
        """(V, 4, 4) c2w of all views."""
        return np.array([view.camera.c2w for view in self.views], np.float64).reshape(-1, 4, 4)

    @cached_property
    def K_normalized(self) -> FloatArray:
        """(V, 3, 3) intrinsics of all views, rows 0 and 1 over the image's width and height."""
        K = [view.camera.resized((1, 1)).K for view in self.views]
        return np.array(K, np.float64).reshape(-1, 3, 3)

    def at_step(self, step: int) -> MemorySnapshot:
        """This memory as it was at the end of ``step``, one of ``range(len(steps))``."""
        end = self.steps[step]
        then = MemorySnapshot(
            self.surfels[: end.n_surfels],
            self.link_surfel[: end.n_links],
            self.link_view[: end.n_links],
            self.views[: end.n_views],
            self.steps[: step + 1],
            self.retrievals[: step + 1],
        )
        vars(then)["blocks"] = truncated(self.blocks, end.n_surfels)
        return then

    def retrieve(self, targets: Cameras, k: int = 4, strategy: str = DEFAULT_STRATEGY) -> Retrieval:
        """See vmem.retrieval.answer.retrieve."""
        return retrieve(self, targets, k, strategy)

    def ask(self, targets: Cameras, query: Query) -> Retrieval:
        """See vmem.retrieval.answer.ask."""
        return ask(self, targets, query)


def make_record(
    memory: MemorySnapshot,
    frames: Frames,
    cameras: Cameras,
    maps: PointMaps,
    retrieval: Retrieval | None,
    config: AssociationConfig,
) -> StepRecord:
    """Work out what T new frames add to ``memory``, without touching it.

    Frames are associated one after the other, each also with what the ones before it spawned.
    Raises CameraError for impossible cameras, PointMapError for maps that do not fit them.
    """
    cameras = cameras.validated()
    maps.validated((len(frames), *cameras.hw))
    if frames.rgb.shape != (len(cameras), *cameras.hw, 3):
        raise PointMapError(f"{len(cameras)} cameras of {cameras.hw}, frames {frames.rgb.shape}")
    step = len(memory.steps)
    spawned = Surfels.empty()
    link_surfel: list[I32] = []
    link_view: list[I32] = []
    views: list[View] = []
    for i, camera in enumerate(cameras):
        found: Association = associate(
            memory.surfels,
            maps.points[i],
            maps.depth[i],
            maps.confidence[i],
            frames.rgb[i],
            camera,
            config,
            blocks=memory.blocks,
            recent=spawned,
        )
        first = len(memory.surfels) + len(spawned)
        new = np.arange(first, first + len(found.spawned), dtype=np.int32)
        links = np.concatenate([found.seen, new])
        link_surfel.append(links)
        link_view.append(np.full(len(links), len(memory.views) + i, np.int32))
        spawned = Surfels.concatenate([spawned, found.spawned])
        views.append(
            View(
                rgb=frames.rgb[i],
                camera=camera,
                step=step,
                depth=found.fit.applied(maps.depth[i]),
                confidence=maps.confidence[i],
                provenance=None if frames.provenance is None else frames.provenance[i],
                age=None if frames.age is None else frames.age[i],
                latents=None if frames.latents is None else frames.latents[i],
                geometry_state=maps.state if i == len(cameras) - 1 else None,
            )
        )
    return StepRecord(
        tuple(views),
        spawned,
        np.concatenate(link_surfel),
        np.concatenate(link_view),
        retrieval,
        maps.note,
    )


class ViewMemory:
    """Grows by whole steps, shrinks by whole steps, hands out snapshots.

    One writer; any number of readers of snapshots, which no later append or truncate changes.
    """

    def __init__(self) -> None:
        self._position = _GrowingArray(np.zeros((0, 3), np.float32))
        self._normal = _GrowingArray(np.zeros((0, 3), np.float32))
        self._radius = _GrowingArray(np.zeros(0, np.float32))
        self._color = _GrowingArray(np.zeros((0, 3), np.uint8))
        self._link_surfel = _GrowingArray(np.zeros(0, np.int32))
        self._link_view = _GrowingArray(np.zeros(0, np.int32))
        self._snapshot = MemorySnapshot.empty()

    def snapshot(self) -> MemorySnapshot:
        """The memory as of the last complete append or truncate."""
        return self._snapshot

    def append(self, record: StepRecord) -> None:
        """Add one step. The snapshot changes in one assignment, at the very end.

        Raises SurfelError for new surfels that no disk can be, LinkError for links to what is not
        there; the memory is as it was then.
        """
        record.surfels.validated()
        now = self._snapshot
        surfels, links = len(now.surfels), len(now.link_surfel)
        end = StepEnd(
            len(now.views) + len(record.views),
            surfels + len(record.surfels),
            links + len(record.link_surfel),
        )
        seen_by = extended_links(
            now.seen_by, end.n_surfels, end.n_views, record.link_surfel, record.link_view
        )
        grown = MemorySnapshot(
            Surfels(
                self._position.extended(surfels, record.surfels.position),
                self._normal.extended(surfels, record.surfels.normal),
                self._radius.extended(surfels, record.surfels.radius),
                self._color.extended(surfels, record.surfels.color),
            ),
            self._link_surfel.extended(links, record.link_surfel),
            self._link_view.extended(links, record.link_view),
            (*now.views, *record.views),
            (*now.steps, end),
            (*now.retrievals, record.retrieval),
        )
        vars(grown)["blocks"] = extended_blocks(now.blocks, grown.surfels)
        vars(grown)["seen_by"] = seen_by
        self._snapshot = grown

    def truncate(self, step: int) -> None:
        """Forget every step after ``step`` (0 keeps the photo alone).

        Raises MemoryStateError if there is no such step.
        """
        now = self._snapshot
        if not 0 <= step < len(now.steps):
            raise MemoryStateError(f"cannot go back to step {step} of {len(now.steps) - 1}")
        self._snapshot = now.at_step(step)

    @property
    def nbytes(self) -> dict[str, int]:
        """Bytes held for "surfels" and "links": room for growth and indices included, views not."""
        surfels = (self._position, self._normal, self._radius, self._color)
        blocks, seen_by = self._snapshot.blocks, self._snapshot.seen_by
        index = blocks.sphere.nbytes + blocks.cone.nbytes + seen_by.start.nbytes
        links = self._link_surfel.nbytes + self._link_view.nbytes + seen_by.views.nbytes
        return {"surfels": index + sum(array.nbytes for array in surfels), "links": links}

    def retrieve(self, targets: Cameras, k: int = 4, strategy: str = DEFAULT_STRATEGY) -> Retrieval:
        """Retrieve from the present snapshot."""
        return self._snapshot.retrieve(targets, k, strategy)


class _GrowingArray:
    """An array with room at its end. Rows once written are never written again."""

    def __init__(self, empty: NDArray) -> None:
        self._buffer = empty
        self._written = 0

    @property
    def nbytes(self) -> int:
        """Bytes held, room included."""
        return self._buffer.nbytes

    def extended(self, n: int, rows: NDArray) -> NDArray:
        """A read-only view of the first ``n`` rows followed by ``rows``.

        Rows beyond ``n`` may belong to older snapshots (after a truncate): then, as when the room
        is used up, everything moves to a new buffer.
        """
        size = n + len(rows)
        if n != self._written or size > len(self._buffer):
            room = max(size + size // 4, 1024)
            buffer = np.empty((room, *self._buffer.shape[1:]), self._buffer.dtype)
            buffer[:n] = self._buffer[:n]
        else:
            buffer = self._buffer
        buffer[n:size] = rows
        self._buffer, self._written = buffer, size
        view = buffer[:size]
        view.flags.writeable = False
        return view
