"""Where a session keeps its steps: in memory alone, or in the walk's file.

With a file, views and retrievals of old steps are read when they are asked for and held in a cache
of bounded size; without one, views stay in memory. In both cases a step's surfels and links are
held once while its branch is walked: by the memory.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from vmem.arrays import U8
from vmem.memory import ViewMemory
from vmem.session.cache import ByteCache
from vmem.session.content import NO_GROWTH, Content, Growth, InMemory, grown, outlined
from vmem.store import WalkFile
from vmem.types import (
    PackedRetrieval,
    Retrieval,
    RetrievalOutline,
    StepRecord,
    StoredRetrieval,
    StoredView,
    View,
    ViewId,
)

CACHE_BYTES = 192 << 20
"""What is held of old steps' views and retrievals once they were read."""
PARTS = {
    "frame": ("rgb",),
    "maps": ("depth", "confidence", "provenance", "age"),
    "latents": ("latents",),
    "geometry": ("geometry_state",),
}
"""Parts of a view in the file, and the fields of the view that each holds."""
PART_OF = {field: part for part, fields in PARTS.items() for field in fields}


class Archive:
    """Keeps steps, and gives their content. Reading is free for any thread."""

    def __init__(self, memory: ViewMemory, file: WalkFile | None = None) -> None:
        self.memory, self.file = memory, file
        self.reading = threading.Lock()
        """Held while an outline is made, so that its views are made once."""
        self._cache = ByteCache(CACHE_BYTES)

    def kept(self, record: StepRecord, node: int, step: int) -> tuple[StepRecord, Content]:
        """The record as memory is to hold it, and what gives it back later.

        node: its id in the history · step: its number on the way from the photo.
        """
        if record.retrieval is not None:
            record = replace(record, retrieval=self._packed(record.retrieval, node))
        if self.file is None:
            return record, InMemory(outlined(record), self.memory, step)
        record = replace(record, views=tuple(map(self._put_away, record.views)))
        return record, InFile(self, node, len(record.views), outlined(record))

    def add(
        self,
        node: int,
        parent: int | None,
        label: str,
        record: StepRecord,
        spent: Mapping[str, float],
    ) -> None:
        """Write a step to the file, if there is one, with the seconds ``spent`` by stage. Raises
        StoreError; then nothing is written."""
        if self.file is not None:
            self.file.add(node, parent, label, record, spent)

    @property
    def next_id(self) -> int:
        """The first id that no step of the file has; 0 without a file."""
        rows = [] if self.file is None else self.file.nodes()
        return rows[-1].id + 1 if rows else 0

    def close(self) -> None:
        """Give the file up, if there is one."""
        if self.file is not None:
            self.file.close()

    def expect(self, value: Retrieval | U8) -> None:
        """The answer, or the frames, of the step that comes next: the file may begin with them."""
        if self.file is not None:
            self.file.expect(value)

    def outline(self, node: int, n_views: int) -> StepRecord:
        """A step of the file without surfels and links. Raises StoreError."""
        file, views = self._open(), []
        for number in range(n_views):
            id = ViewId(node, number)
            views.append(StoredView.of(*file.camera(id), id, self._map))
        outline = file.outline(node)
        request, note = file.asked(node)
        retrieval = None if outline is None else self._stored(outline, node)
        return StepRecord(tuple(views), *NO_GROWTH, retrieval, note, request)

    def growth(self, node: int) -> Growth:
        """The surfels and links of a step of the file. Raises StoreError."""
        return self._open().growth(node)

    def _put_away(self, view: View) -> View:
        """A view that is read from the file once its maps have left the cache."""
        assert view.id is not None
        for part, fields in PARTS.items():
            held = {field: getattr(view, field) for field in fields}
            self._cache.put((view.id, part), held)
        return StoredView.of(view.camera, view.step, view.id, self._map)

    def _map(self, id: ViewId, field: str) -> Any:
        part = PART_OF[field]
        return self._cache.get((id, part), partial(self._open().part, id, part)).get(field)

    def _packed(self, whole: Retrieval, node: int) -> Retrieval:
        self._cache.put(("retrieval", node), whole)
        outline = RetrievalOutline.of(whole)
        if self.file is None:
            return self._stored(outline, node, PackedRetrieval.of(whole))
        return self._stored(outline, node)

    def _stored(
        self, outline: RetrievalOutline, node: int, packed: PackedRetrieval | None = None
    ) -> Retrieval:
        load = partial(self._open().retrieval, node) if packed is None else packed.unpacked
        return StoredRetrieval.of(outline, partial(self._cache.get, ("retrieval", node), load))

    def _open(self) -> WalkFile:
        assert self.file is not None
        return self.file


class InFile:
    """A step that is read from the walk's file. Any thread may ask."""

    def __init__(
        self, archive: Archive, node: int, n_views: int, outline: StepRecord | None = None
    ) -> None:
        self._archive, self._node, self._n_views = archive, node, n_views
        self._outline = outline

    @property
    def outline(self) -> StepRecord:
        """The record without surfels and links; its views are the same whenever it is asked for.
        Raises StoreError."""
        with self._archive.reading:
            if self._outline is None:
                self._outline = self._archive.outline(self._node, self._n_views)
            return self._outline

    def record(self) -> StepRecord:
        """The whole record. Raises StoreError."""
        return grown(self.outline, self._archive.growth(self._node))

    def leave(self) -> None:
        """Nothing changes: the file has the step."""

    def enter(self) -> None:
        """Nothing changes."""
