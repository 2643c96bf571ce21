"""A walk's file as a history and a memory again: the same as they were, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence

from vmem.memory import ViewMemory
from vmem.progress import CancelToken, OnProgress, Progress, silent
from vmem.session.archive import Archive, InFile
from vmem.session.content import Content
from vmem.session.history import History
from vmem.store import WalkFile


def restored(
    archive: Archive, file: WalkFile, on_progress: OnProgress, cancel: CancelToken
) -> History:
    """The history of a walk's file; the memory of ``archive`` is grown to its head.

    Reports stage "steps" and polls ``cancel`` once a step of the present branch. Raises StoreError,
    Cancelled.
    """
    root, *rows = file.nodes()
    history = History(InFile(archive, root.id, root.n_views), root.label)
    for row in rows:
        assert row.parent is not None
        content = InFile(archive, row.id, row.n_views)
        history.graft(row.id, history.node(row.parent), content, row.label)
    for row in (root, *rows):
        node = history.node(row.id)
        node.name = row.name
        # What a damaged step led to may have been left out.
        node.recent = next((child for child in node.children if child.id == row.recent), None)
    history.move_to(history.node(file.head()))
    grow(archive.memory, [n.content for n in history.head.path()], on_progress, cancel)
    return history


def grow(
    memory: ViewMemory,
    contents: Sequence[Content],
    on_progress: OnProgress = silent,
    cancel: CancelToken | None = None,
) -> None:
    """Give an empty memory the steps of a branch."""
    snapshot = memory.snapshot()
    for done, content in enumerate(contents):
        if cancel is not None:
            cancel.check()
        on_progress(Progress("steps", done, len(contents)))
        snapshot = memory.grown(content.record(), snapshot)
    memory.adopt(snapshot)
    on_progress(Progress("steps", len(contents), len(contents)))


def kept(history: History, file: WalkFile) -> Archive:
    """Save a history to a new file, and have its nodes read from there; a memory of the present
    branch, with views of the file, comes with it. Raises StoreError; then the file is removed."""
    try:
        write_all(history, file)
        archive = Archive(ViewMemory(), file)
        contents = {n.id: InFile(archive, n.id, len(n.views)) for n in history.nodes}
        grow(archive.memory, [contents[node.id] for node in history.head.path()])
    except BaseException:
        file.close()
        for name in (file.path.name, f"{file.path.name}-wal", f"{file.path.name}-shm"):
            file.path.with_name(name).unlink(missing_ok=True)
        raise
    for node in history.nodes:
        node.content = contents[node.id]
    return archive


def write_all(history: History, file: WalkFile) -> None:
    """Save every step of a history to a new file, with names, head, and where redo leads. Raises
    StoreError."""
    for node in history.nodes:
        parent = None if node.parent is None else node.parent.id
        file.add(node.id, parent, node.label, node.record, {})
        if node.name:
            file.rename_node(node.id, node.name)
    forks = [node for node in history.nodes if len(node.children) > 1 and node.recent]
    # The deepest first: to lead to a fork's child changes where the forks above it lead to.
    for node in sorted(forks, key=lambda fork: -len(fork.path())):
        assert node.recent is not None
        file.move_head(node.recent.id)
    file.move_head(history.head.id)
