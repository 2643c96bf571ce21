"""What a walk's file holds, as far as it is whole: its origin, its steps, its head."""

from __future__ import annotations

import json
import sqlite3
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from vmem.store import owner as owners
from vmem.store.connections import Reader
from vmem.store.header import log_of, size_of
from vmem.store.log import loses_steps
from vmem.store.parts import PartKey
from vmem.store.values import NodeRow, Origin, StoreError, Summary
from vmem.types import StepRecord

Tree = dict[int, NodeRow]
"""Steps by number, in order. The parent of each is there, and has a lower number."""

Sizes = dict[int, tuple[int, int]]
"""By step: how many views and surfels a memory holds after it."""

PART = "SELECT data, crc FROM part WHERE node = ? AND number = ? AND kind = ?"
"""The query for a part by its PartKey, with its CRC."""


@dataclass(frozen=True)
class Contents:
    """What a file holds beside the parts of its steps."""

    origin: Origin
    """What made it."""
    title: str
    """The name that the user gave the walk, or ""."""
    tree: Tree
    """The steps that are whole."""
    head: int
    """The step that is shown."""
    dropped: tuple[str, ...]
    """What had to be left out, in words."""
    sound: bool = True
    """Whether the file itself is undamaged, so that it may be written."""


def read_contents(reader: Reader, *, check: bool = True) -> Contents:
    """All but the parts. ``check`` reads the whole file, and leaves out steps with a part that is
    missing or damaged, and those that follow on one. Raises StoreError where not even the photo is
    left, and what SQLite raises."""
    text, title, head = _walk_row(reader, {"origin": str, "title": str, "head": int})
    words: list[str] = []
    whole = not check or _quick_check(reader)
    tree: Tree = {}
    after: list[int] = []
    for row, parts in _nodes(reader, words):
        if row.parent is not None and row.parent not in tree:
            after.append(row.id)
        elif check and (wrong := _damage(reader, row.id, parts)):
            words.append(f"step {row.id} {row.label!r}: {wrong}")
        else:
            tree[row.id] = row
    if after:
        words.append(f"{_steps(after)}: made from what is left out")
    if 0 not in tree:
        raise StoreError(f"{reader.path} is damaged: not even its photo can be read")
    if not whole and not words:
        words.append("no step, but the file is damaged")
    if head not in tree:
        head = max(tree)
    for id, row in tree.items():
        if row.recent is not None and (row.recent not in tree or tree[row.recent].parent != id):
            tree[id] = replace(row, recent=None)
    sound = not words
    if check and _log_is_torn(reader):
        words.append("what was saved last may be missing: the log beside the file is damaged")
    return Contents(_origin(reader.path, text), title, tree, head, tuple(words), sound)


def read_summary(reader: Reader) -> Summary:
    """What a list of walks shows. Raises StoreError, and what SQLite raises."""
    path = reader.path
    kinds = {"origin": str, "title": str, "created": float, "changed": float, "thumbnail": bytes}
    text, title, created, changed, thumbnail = _walk_row(reader, kinds)
    steps, views = reader.one("SELECT COUNT(*) - 1, SUM(views) FROM node") or (0, 0)
    origin, owner = _origin(path, text), read_owner(reader)
    return Summary(
        path=path,
        title=title,
        photo=origin.photo,
        backend=origin.backend,
        steps=max(steps, 0),
        views=views or 0,
        created=created,
        changed=changed,
        size=size_of(path) + size_of(log_of(path)),
        thumbnail=thumbnail,
        held_by=str(owner) if owner is not None and owner.holds(path) else "",
    )


def read_owner(reader: Reader) -> owners.Owner | None:
    """Who is written down as the file's writer, dead or alive."""
    row = reader.one(owners.SELECT)
    kinds = str, str, str, int, str, str, float
    return owners.Owner(*row) if row and all(map(isinstance, row, kinds)) else None


def new_row(node: int, parent: int | None, label: str, record: StepRecord) -> NodeRow:
    """The row of a step that is made now."""
    return NodeRow(
        id=node,
        parent=parent,
        label=label,
        name="",
        recent=None,
        n_views=len(record.views),
        n_surfels=len(record.surfels),
        n_links=len(record.link_surfel),
        made=time.time(),
    )


def part_crc(key: PartKey, data: object) -> int:
    """CRC-32 of a part's place and its bytes; -1 for what are no bytes."""
    if not isinstance(data, bytes):
        return -1
    return zlib.crc32(data, zlib.crc32("{}/{}/{}".format(*key).encode()))


def insert_step(
    connection: sqlite3.Connection, row: NodeRow, parts: Mapping[PartKey, bytes]
) -> None:
    """Write a new step, in the transaction that is open."""
    connection.execute(
        "INSERT INTO node VALUES (?, ?, ?, ?, NULL, ?, ?, ?, ?, ?, ?)",
        (
            row.id,
            row.parent,
            row.label,
            row.name,
            row.n_views,
            row.n_surfels,
            row.n_links,
            len(parts),
            row.made,
            _node_crc(row, len(parts)),
        ),
    )
    connection.executemany(
        "INSERT INTO part VALUES (?, ?, ?, ?, ?)",
        ((*key, part_crc(key, data), data) for key, data in parts.items()),
    )


def redirected(tree: Tree, node: int) -> dict[int, int]:
    """The steps on the way to ``node`` from which redo leads elsewhere, with the right child."""
    wrong: dict[int, int] = {}
    child = tree[node]
    while child.parent is not None:
        parent = tree[child.parent]
        if parent.recent != child.id:
            wrong[parent.id] = child.id
        child = parent
    return wrong


def sizes_after(tree: Tree, before: Sizes | None = None) -> Sizes:
    """For each step, how many views and surfels a memory holds after it. ``before`` has those of
    parents that are not in the tree."""
    sizes = dict(before or {})
    for id, row in tree.items():
        views, surfels = (0, 0) if row.parent is None else sizes[row.parent]
        sizes[id] = views + row.n_views, surfels + row.n_surfels
    return sizes


def _walk_row(reader: Reader, kinds: dict[str, type]) -> tuple[Any, ...]:
    row = reader.one(f"SELECT {', '.join(kinds)} FROM walk")
    if row is None or not all(map(isinstance, row, kinds.values())):
        raise StoreError(f"{reader.path} does not say what made it: it is damaged")
    return row


def _quick_check(reader: Reader) -> bool:
    try:
        return reader.one("PRAGMA quick_check(1)") == ("ok",)
    except sqlite3.DatabaseError:
        return False


def _log_is_torn(reader: Reader) -> bool:
    log, owner = log_of(reader.path), read_owner(reader)
    writing = owner is not None and owner.holds(reader.path)
    return not writing and size_of(log) > 0 and loses_steps(log)


def _nodes(reader: Reader, words: list[str]) -> Iterator[tuple[NodeRow, int]]:
    """The rows of steps that are as they were written, with their numbers of parts; of others,
    words are added."""
    lost: list[int] = []
    try:
        for *row, parts, crc in reader.rows(
            "SELECT id, parent, label, name, recent, views, surfels, links, made, parts, crc "
            "FROM node ORDER BY id"
        ):
            node = NodeRow(*row)
            sound = isinstance(node.name, str) and (node.parent is None) == (node.id == 0)
            if sound and _node_crc(node, parts) == crc:
                yield node, parts
            else:
                lost.append(node.id)
    except sqlite3.DatabaseError:
        words.append("steps: the list of them is damaged")
    if lost:
        words.append(f"{_steps(lost)}: damaged")


def _damage(reader: Reader, node: int, parts: int) -> str:
    """What is wrong with a step's parts, or ""."""
    try:
        keys = [
            PartKey(node, number, kind)
            for number, kind in reader.rows(
                "SELECT number, kind FROM part WHERE node = ? LIMIT ?", (node, parts + 1)
            )
        ]
        if len(keys) != parts:
            return "a part of it is missing"
        for key in keys:
            # Found as it will be found later: the way there may be damaged too.
            data, crc = reader.one(PART, key) or (None, 0)
            if part_crc(key, data) != crc:
                return f"{key} damaged"
    except sqlite3.DatabaseError:
        return "it is damaged"
    return ""


def _node_crc(row: NodeRow, parts: int) -> int:
    fixed = (row.id, row.parent, row.label, row.n_views, row.n_surfels, row.n_links, parts)
    return zlib.crc32(repr([*fixed, row.made]).encode())


def _steps(ids: list[int]) -> str:
    named = ", ".join(map(str, ids[:5])) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
    return f"step{'s' * (len(ids) > 1)} {named}"


def _origin(path: Path, text: str) -> Origin:
    try:
        values: dict[str, Any] = json.loads(text)
        if set(values) != {field.name for field in fields(Origin)}:
            raise ValueError(f"it names {', '.join(values)}")
        return Origin(**values)
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreError(f"{path} does not say what made it: {error}") from error
