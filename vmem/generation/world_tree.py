"""A bounding volume tree over axis-aligned boxes, laid out to be walked without a stack."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]


class Tree(NamedTuple):
    """N nodes in depth-first order.

    low, high (N, 3) f64 bounds · skip (N,) i32 the node to go on with when a ray misses this one ·
    item (N,) i32 the item of a leaf, -1 for an inner node, whose children follow it.
    """

    low: F64
    high: F64
    skip: I32
    item: I32


def build_tree(low: F64, high: F64) -> Tree:
    """Tree over the boxes low, high (P, 3); one item a leaf, deterministic.

    Splits by the surface area heuristic (MacDonald and Booth, "Heuristics for ray tracing using
    space subdivision", 1990) over the centres sorted along each axis.
    """
    nodes_low: list[F64] = []
    nodes_high: list[F64] = []
    skip: list[int] = []
    item: list[int] = []

    def add(items: I32) -> None:
        node = len(item)
        nodes_low.append(low[items].min(axis=0))
        nodes_high.append(high[items].max(axis=0))
        item.append(int(items[0]) if len(items) == 1 else -1)
        skip.append(0)
        if len(items) > 1:
            left, right = _split(items, low, high)
            add(left)
            add(right)
        skip[node] = len(item)

    add(np.arange(len(low), dtype=np.int32))
    return Tree(
        np.array(nodes_low), np.array(nodes_high), np.array(skip, np.int32), np.array(item, np.int32)
    )


def _split(items: I32, low: F64, high: F64) -> tuple[I32, I32]:
    best_cost, best = np.inf, (items[:1], items[1:])
    for axis in range(3):
        order = items[np.argsort(low[items, axis] + high[items, axis], kind="stable")]
        ahead = _running_area(low[order], high[order])[:-1]
        behind = _running_area(low[order[::-1]], high[order[::-1]])[::-1][1:]
        count = np.arange(1, len(items))
        cost = ahead * count + behind * (len(items) - count)
        cut = int(np.argmin(cost))
        if cost[cut] < best_cost:
            best_cost, best = cost[cut], (order[: cut + 1], order[cut + 1 :])
    return best


def _running_area(low: F64, high: F64) -> F64:
    """(P,) half the surface of the box around the first 1, 2, ... P boxes."""
    x, y, z = (np.maximum.accumulate(high) - np.minimum.accumulate(low)).T
    return x * y + y * z + z * x
