"""Walks by a list of words, stopped and resumed on the way, and whether two are the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np

from vmem.session import Session
from vmem.types import MAPS, Retrieval, SurfelBuffers

STOP = "|"
"""Close the walk here and resume it from its file."""


def walked(session: Session, words: str, again: Callable[[Session], Session]) -> Session:
    """Carry out words: moves, "undo", "redo", "5" for a switch to step 5, "5=name" for a name, and
    STOP, at which ``again`` gives the session to go on with."""
    for word in words.split():
        step, named, name = word.partition("=")
        if word == STOP:
            session = again(session)
        elif named:
            session.rename(int(step), name)
        elif word.isdecimal():
            session.switch(int(word))
        elif word in ("undo", "redo"):
            assert getattr(session, word)()
        else:
            session.move(word)
    return session


def assert_same_walk(a: Session, b: Session) -> None:
    """Every view, surfel, link and retrieval of the present branch, and the tree, bit for bit."""
    one, other = a.memory, b.memory
    assert one.steps == other.steps
    assert_same((vars(one.surfels), one.link_surfel), (vars(other.surfels), other.link_surfel))
    assert_same((one.link_view, one.poses), (other.link_view, other.poses))
    for first, second in zip(one.views, other.views, strict=True):
        for name in (*MAPS, "step", "id"):
            assert_same(getattr(first, name), getattr(second, name), name)
        assert_same(vars(first.camera), vars(second.camera))
    for first, second in zip(one.retrievals, other.retrievals, strict=True):
        assert_same(as_values(first), as_values(second))
    assert [shape(node) for node in a.history.nodes] == [shape(node) for node in b.history.nodes]
    assert a.history.head.id == b.history.head.id


def shape(node: Any) -> tuple[Any, ...]:
    """What a node of the history is, beside its content."""
    ids = (None if other is None else other.id for other in (node.parent, node.recent))
    return node.id, *ids, node.label, node.name


def as_values(retrieval: Retrieval | None) -> dict[str, Any] | None:
    """All fields of a retrieval."""
    if retrieval is None:
        return None
    row = {field.name: getattr(retrieval, field.name) for field in fields(Retrieval)}
    return row | {"targets": vars(retrieval.targets)}


def assert_same(a: Any, b: Any, where: str = "") -> None:
    """Equal, arrays by kind and bits."""
    if isinstance(a, np.ndarray):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), where
        assert a.tobytes() == b.tobytes(), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for name in a:
            assert_same(a[name], b[name], f"{where}.{name}")
    elif isinstance(a, tuple) and a and isinstance(a[0], np.ndarray | SurfelBuffers | dict):
        for i, (first, second) in enumerate(zip(a, b, strict=True)):
            assert_same(first, second, f"{where}[{i}]")
    elif isinstance(a, SurfelBuffers):
        assert_same(vars(a), vars(b), where)
    else:
        assert a == b, where
