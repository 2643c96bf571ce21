"""One walk's file: made, opened, given a step, read back, handed on."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32, UInt8

from vmem.cameras import Camera
from vmem.store import contents
from vmem.store import owner as owners
from vmem.store.connections import Reader, header_of, look
from vmem.store.contents import Contents, Tree
from vmem.store.encoder import Encoder
from vmem.store.making import upgrade, write_copy, write_new, write_rescued
from vmem.store.parts import (
    PartKey,
    answer_jobs,
    frame_job,
    parts_of,
    read_camera,
    read_growth,
    read_outline,
    read_part,
    read_retrieval,
    read_step,
    read_view,
)
from vmem.store.placing import arriving, check_free
from vmem.store.schema import VERSION, clear_errors
from vmem.store.values import NodeRow, Origin, StoreError, Summary
from vmem.store.writer import Writer
from vmem.types import (
    Retrieval,
    RetrievalOutline,
    StepRecord,
    StepRequest,
    Surfels,
    View,
    ViewId,
)


class WalkFile:
    """A walk on disk. It may be read and written from any thread; writes are one at a time, and
    hold no reader up.

    While it is open for writing, a row in the file says so, with a heartbeat. Inside this process
    the file must not be opened and closed by other means meanwhile (`vmem.store.connections`).
    """

    path: Path
    """The file, without links in its name."""
    origin: Origin
    """What made the walk."""
    read_only: bool
    """Whether it cannot be written: opened so, or damaged."""
    dropped: tuple[str, ...]
    """What opening had to leave out, in words."""

    def __init__(self, path: Path, held: Contents, *, read_only: bool) -> None:
        """Use WalkFile.create or WalkFile.open."""
        self.path = path
        self.origin = held.origin
        self.dropped = held.dropped
        self._sound = held.sound
        self.read_only = read_only
        self._title, self._tree, self._head = held.title, held.tree, held.head
        self._sizes = contents.sizes_after(held.tree)
        self._closed = False
        self._reader: Reader | None = None
        self._reading = threading.Lock()
        self._writer: Writer | None = None
        self._writing = threading.RLock()
        self._encoder = Encoder()

    @classmethod
    def create(cls, path: str | Path, origin: Origin) -> WalkFile:
        """A new walk. Its file appears with its first step, whole.

        Raises StoreError where something lies already, or nothing can be made.
        """
        path = _real(path)
        with clear_errors(path, "make"):
            check_free(path)
        return cls(path, Contents(origin, "", {}, 0, ()), read_only=False)

    @classmethod
    def open(cls, path: str | Path, *, read_only: bool = False) -> WalkFile:
        """A walk that was saved. The whole file is read and checked.

        A damaged one opens with the steps that are whole, read only, and ``dropped`` says what was
        left out. Where only the log is damaged that a crash left beside, its last steps are lost,
        ``dropped`` says that they may be, and the file may be written. One of an older format is
        rewritten, and kept as ``NAME.vmem.format1``, if it is to be written. Raises WalkHeld if it
        is to be written and somebody else does, StoreError for what is no walk; it was left as it
        is then.
        """
        path = _real(path)
        with clear_errors(path, "open"), contextlib.ExitStack() as opening:
            reader, held = look(path, contents.read_contents)
            opening.callback(reader.close)
            file = cls(path, held, read_only=read_only or not held.sound)
            if file.read_only:
                file._reader = reader
                opening.pop_all()
                return file
            owners.check_free(contents.read_owner(reader), path)
            if header_of(path).version < VERSION:
                upgrade(reader)
        with clear_errors(path, "open"), contextlib.ExitStack() as failing:
            failing.callback(file.close)
            # Somebody may have written it since.
            file._know(contents.read_contents(file._take(), check=False))
            failing.pop_all()
        return file

    @classmethod
    def summary(cls, path: str | Path) -> Summary:
        """What a list of walks shows, without checking all of the file. Raises StoreError."""
        path = _real(path)
        with clear_errors(path, "open"):
            reader, summary = look(path, contents.read_summary)
            reader.close()
        return summary

    # --- writing ---------------------------------------------------------------------------

    def add(
        self,
        node: int,
        parent: int | None,
        label: str,
        record: StepRecord,
        seconds: Mapping[str, float],
    ) -> None:
        """Save a step and move the head to it: on return all of it is on the disk.

        node: its number, higher than all before; 0, with parent None, is the photo · seconds: time
        that it took, by stage. Raises StoreError, after which the file is as it was and may be
        written again.
        """
        self._check_writable()
        self._check_new(node, parent, record)
        row = contents.new_row(node, parent, label, record)
        parts = self._encoder.finish(parts_of(node, record, seconds))
        with self._writing:
            if not self._tree:
                self._found(row, parts)
                return
            with self._transaction() as connection:
                contents.insert_step(connection, row, parts)
                tree = self._point(connection, self._tree | {node: row}, node)
            self._tree, self._head = tree, node
            self._sizes |= contents.sizes_after({node: row}, self._sizes)

    def expect(self, value: Retrieval | UInt8[np.ndarray, "T H W 3"]) -> None:
        """Begin to encode an answer, or frames, of the step that `add` is called with next, beside
        what is left of making it. They must not change until then. It may be left out. Raises
        StoreError for a file that cannot be written."""
        self._check_writable()
        if isinstance(value, Retrieval):
            self._encoder.start(answer_jobs(value).values())
        else:
            self._encoder.start(map(frame_job, value))

    def move_head(self, node: int) -> None:
        """Make ``node`` the step that is shown; redo leads along the way to it. On the disk on
        return. Raises StoreError."""
        with self._writing:
            self._row(node)
            with self._transaction() as connection:
                tree = self._point(connection, self._tree, node)
            self._tree, self._head = tree, node

    def rename_node(self, node: int, name: str) -> None:
        """Give a step a name, or take it away with "". On the disk on return. Raises StoreError."""
        with self._writing:
            row = self._row(node)
            with self._transaction() as connection:
                connection.execute("UPDATE node SET name = ? WHERE id = ?", (name, node))
            self._tree = self._tree | {node: replace(row, name=name)}

    @property
    def title(self) -> str:
        """The name that the user gave the walk, or "". Setting it raises StoreError."""
        return self._title

    @title.setter
    def title(self, title: str) -> None:
        self._check_writable()
        with self._writing:
            if self._tree:
                with self._transaction() as connection:
                    connection.execute("UPDATE walk SET title = ?", (title,))
            self._title = title

    # --- reading ---------------------------------------------------------------------------

    def nodes(self) -> list[NodeRow]:
        """Every step by number. Numbers have gaps only where steps were ``dropped``."""
        return list(self._tree.values())

    def head(self) -> int:
        """The step that is shown."""
        return self._head

    def record(self, node: int) -> StepRecord:
        """A whole step, as it was added. Raises StoreError."""
        surfels, link_surfel, link_view = self.growth(node)
        request, note, _ = read_step(node, self._part)
        return StepRecord(
            views=tuple(self.view(id) for id in self.view_ids(node)),
            surfels=surfels,
            link_surfel=link_surfel,
            link_view=link_view,
            retrieval=self.retrieval(node),
            note=note,
            request=request,
        )

    def view_ids(self, node: int) -> tuple[ViewId, ...]:
        """The ids of a step's views. Raises StoreError."""
        return tuple(ViewId(node, number) for number in range(self._row(node).n_views))

    def view(self, id: ViewId) -> View:
        """A view with all its maps. Raises StoreError."""
        return read_view(id, self._part)

    def camera(self, id: ViewId) -> tuple[Camera, int]:
        """A view's camera and the number of its step, without its maps. Raises StoreError."""
        return read_camera(id, self._part)

    def growth(self, node: int) -> tuple[Surfels, Int32[np.ndarray, " L"], Int32[np.ndarray, " L"]]:
        """What a step added to memory beside views: surfels, and the surfel and the view of each
        link. Raises StoreError."""
        return read_growth(self._row(node), self._part, self._sizes[node])

    def retrieval(self, node: int) -> Retrieval | None:
        """The answer that led to a step; None for the photo. Raises StoreError."""
        row = self._row(node)
        if row.parent is None:
            return None
        return read_retrieval(node, self._part, self._sizes[row.parent])

    def part(self, id: ViewId, part: str) -> dict[str, Any]:
        """Some fields of a view by name, as in `vmem.store.parts.read_part`. Raises StoreError."""
        return read_part(ViewId(*id), part, self._part)

    def outline(self, node: int) -> RetrievalOutline | None:
        """What is held of the answer that led to a step; None for the photo. Raises StoreError."""
        return read_outline(node, self._part)

    def asked(self, node: int) -> tuple[StepRequest | None, str]:
        """What a step was asked to make, None for the photo, and the geometry's note. Raises
        StoreError."""
        return read_step(node, self._part)[:2]

    def seconds(self, node: int) -> dict[str, float]:
        """Time that a step took, by stage. Raises StoreError."""
        return read_step(node, self._part)[2]

    def frame_png(self, id: ViewId) -> bytes:
        """A view's frame as it is stored. Raises StoreError."""
        data = self._part(PartKey(*id, "frame"))
        if data is None:
            raise StoreError(f"{self.path} has no view {id.node}.{id.number}")
        return data

    def copy_to(self, path: str | Path) -> None:
        """Write the whole walk to a new file, made beside its place and then moved there. Of a
        damaged one, what is whole, numbered anew without gaps; the copy may be written.

        Raises StoreError where something lies already, or nothing can be made.
        """
        path = _real(path)
        with clear_errors(path, "make"):
            check_free(path)
            with contextlib.closing(Reader(self.path)) as reader, arriving(path) as part:
                if not self._sound:
                    write_rescued(reader, self._contents(), part)
                else:
                    write_copy(reader, part)

    def close(self) -> None:
        """Give the file up. Nothing is lost without; a second call does nothing."""
        with self._writing, self._reading:
            self._closed = True
            self._encoder.close()
            # The writer last: who closes last may merge the log into the file.
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._reader = self._writer = None

    def __enter__(self) -> WalkFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        mode = " to look only" if self.read_only else ""
        return f"<WalkFile {self.path.name}{mode}: {len(self._tree)} steps, at {self._head}>"

    def _check_new(self, node: int, parent: int | None, record: StepRecord) -> None:
        last = max(self._tree, default=-1)
        if node <= last or (node == 0) != (parent is None):
            raise StoreError(f"{self.path}: a new step after step {last} cannot be step {node}")
        if parent is not None:
            self._row(parent)
        for number, view in enumerate(record.views):
            if view.id != (node, number):
                raise StoreError(f"view {number} of step {node} cannot have the id {view.id}")

    def _check_writable(self) -> None:
        if self.read_only:
            why = "was opened to look only" if self._sound else "is damaged"
            raise StoreError(f"{self.path} {why}: save the walk under another name to go on")
        if self._closed:
            raise StoreError(f"{self.path} was closed: open it again")

    def _found(self, row: NodeRow, parts: Mapping[PartKey, bytes]) -> None:
        """Make the file with its first step."""
        with clear_errors(self.path, "make"):
            check_free(self.path)
            with arriving(self.path) as part:
                write_new(part, self.origin, self._title, row, parts)
            self._take()
        self._know(Contents(self.origin, self._title, {row.id: row}, row.id, ()))

    def _take(self) -> Reader:
        """Hold the file for writing; its reader."""
        self._writer = Writer(self.path)
        try:
            self._reader = Reader(self.path)
        except BaseException:
            self.close()
            raise
        return self._reader

    def _contents(self) -> Contents:
        return Contents(self.origin, self._title, self._tree, self._head, self.dropped)

    def _know(self, held: Contents) -> None:
        self._title, self._tree, self._head = held.title, held.tree, held.head
        self._sizes = contents.sizes_after(held.tree)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._check_writable()
        if self._writer is None:
            raise StoreError(f"{self.path} holds no step yet")
        self._writer.check_place()
        with self._writer.transaction() as connection:
            connection.execute("UPDATE walk SET changed = ?", (time.time(),))
            yield connection

    def _point(self, connection: sqlite3.Connection, tree: Tree, node: int) -> Tree:
        """Move the head in the file; the tree as it is then."""
        moved = dict(tree)
        for parent, child in contents.redirected(tree, node).items():
            connection.execute("UPDATE node SET recent = ? WHERE id = ?", (child, parent))
            moved[parent] = replace(tree[parent], recent=child)
        connection.execute("UPDATE walk SET head = ?", (node,))
        return moved

    def _part(self, key: PartKey) -> bytes | None:
        with self._reading, clear_errors(self.path, "read"):
            row = self._ask(contents.PART, key)
        if row is not None and contents.part_crc(key, row[0]) != row[1]:
            raise StoreError(f"{self.path} is damaged: {key}")
        return None if row is None else row[0]

    def _ask(self, query: str, values: tuple[object, ...]) -> tuple[Any, ...] | None:
        while self._reader is not None:
            row = self._reader.one(query, values)
            if not self._reader.stale:
                return row
            self._reader.close()
            self._reader = Reader(self.path)
        raise StoreError(f"{self.path} was closed: open it again")

    def _row(self, node: int) -> NodeRow:
        if node not in self._tree:
            raise StoreError(f"{self.path} has no step {node}")
        return self._tree[node]


def _real(path: str | Path) -> Path:
    if not str(path) or "\0" in str(path):
        raise StoreError(f"{str(path)!r} names no file: give the path of a walk")
    # SQLite names its own files after the file that a link leads to.
    return Path(os.path.realpath(os.path.expanduser(path)))
