"""Two branches compared: where they part, and what differs first; or made to be compared, by the
same step with two queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from vmem.cameras import Cameras
from vmem.progress import CancelToken, OnProgress, silent
from vmem.session.history import Node, common_depth
from vmem.session.session import Session
from vmem.session.step import Step
from vmem.types import Query, StepRequest, View


@dataclass(frozen=True, eq=False)
class ViewPair:
    """The views of two branches that come at the same place after the step where they part."""

    number: int
    """Place on the way from that step, from 0."""
    first: View | None
    """Of the first branch; None where it has ended."""
    second: View | None
    """Of the second branch; None where it has ended."""


@dataclass(frozen=True)
class Difference:
    """The first view in which two branches differ."""

    number: int
    """Its place on the way from the step where they part, from 0."""
    step: int
    """Number of its step on the way from the photo."""
    asked: tuple[str, ...]
    """What its step was asked for that differs: "targets", "query", "seed", "sampler",
    "association" or "steps", where one branch has none; () where only the frames differ."""
    levels: float
    """Mean difference of the two frames over all pixels and colours, 0 to 255; 0 where there is
    no second frame of that size."""
    share: float
    """Share of the pixels that differ, in [0, 1]; 1 where there is no second frame of that size."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two steps of a history, compared by the ways to them."""

    common: Node
    """The last step that both ways share."""
    first: tuple[Node, ...]
    """The steps after it, to the first of the two."""
    second: tuple[Node, ...]
    """The steps after it, to the second."""
    pairs: tuple[ViewPair, ...]
    """The views of these steps side by side, in their order."""
    difference: Difference | None
    """What differs first; None where one way leads along the other, or frames and requests are the
    same."""


def compared(one: Node, other: Node) -> Comparison:
    """Compare the ways to two steps of one history. Frames are read up to the first difference
    only. Raises StoreError where the walk's file cannot be read."""
    ways = one.path(), other.path()
    shared = common_depth(*ways)
    first, second = (tuple(way[shared:]) for way in ways)
    views = ([view for node in way for view in node.views] for way in (first, second))
    pairs = tuple(ViewPair(i, *pair) for i, pair in enumerate(zip_longest(*views)))
    both = bool(first and second)
    difference = next(_differences(first, second, pairs, shared), None) if both else None
    return Comparison(ways[0][shared - 1], first, second, pairs, difference)


def _differences(
    first: tuple[Node, ...], second: tuple[Node, ...], pairs: tuple[ViewPair, ...], shared: int
) -> Iterator[Difference]:
    """In what pairs differ, in their order."""
    # The step of each view.
    makers = [[node for node in way for _ in node.views] for way in (first, second)]
    for pair in pairs:
        i = pair.number
        if pair.first is None or pair.second is None:
            longer = 0 if pair.second is None else 1
            step = shared + (first, second)[longer].index(makers[longer][i])
            yield Difference(i, step, ("steps",), 0.0, 1.0)
            return
        nodes = makers[0][i], makers[1][i]
        asked = _asked(*(node.outline.request for node in nodes))
        levels, share = _pixels(pair.first, pair.second)
        if asked or share:
            yield Difference(i, shared + first.index(nodes[0]), asked, levels, share)


def _asked(one: StepRequest | None, other: StepRequest | None) -> tuple[str, ...]:
    """The parts of two requests that differ."""
    if one is None or other is None:
        return () if one is other else ("targets",)
    rows = one.to_json(), other.to_json()
    names = ("targets", "query", "seed", "sampler", "association")
    return tuple(name for name in names if rows[0][name] != rows[1][name])


def _pixels(one: View, other: View) -> tuple[float, float]:
    """Mean difference of two frames in levels, and the share of their pixels that differ."""
    if one.camera.hw != other.camera.hw:
        return 0.0, 1.0
    apart = np.abs(one.rgb.astype(np.int16) - other.rgb)
    return float(apart.mean()), float(apart.any(axis=2).mean())


def step_both(
    session: Session,
    start: int,
    targets: Cameras,
    queries: tuple[Query, Query],
    *,
    on_progress: OnProgress = silent,
    cancel: CancelToken | None = None,
) -> tuple[Step, Step]:
    """Make ``targets`` from step ``start`` of the history, once with each query.

    Both become branches of that step; the walk stands on the first one's afterwards. Whatever ends
    it early brings the walk back to where it stood. Raises what Session.step and Session.switch do.
    """
    home = session.history.head.id
    results: list[Step] = []
    try:
        # The first one last, so that the walk ends on its branch.
        for query in reversed(queries):
            session.switch(start)
            label = query.strategy
            made = session.step(
                targets, label=label, query=query, on_progress=on_progress, cancel=cancel
            )
            results.append(made)
    except BaseException:
        session.switch(home)
        raise
    second, first = results
    return first, second
