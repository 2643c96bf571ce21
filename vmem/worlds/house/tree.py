"""A bounding volume tree over axis-aligned boxes, laid out to be walked without a stack."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vmem.arrays import F64, I32

NODE = np.dtype(
    [("low", np.float64, 3), ("high", np.float64, 3), ("skip", np.int32), ("item", np.int32)],
    align=True,
)
"""low, high bounds · skip: the node to go on with when a ray misses this one · item of a leaf, -1
for an inner node, whose children follow it."""


def build_tree(low: F64, high: F64) -> NDArray[np.void]:
    """(2 P - 1,) NODE in depth-first order over the boxes low, high (P, 3); deterministic.

    Splits by the surface area heuristic (MacDonald and Booth, "Heuristics for ray tracing using
    space subdivision", 1990) over the centres sorted along each axis.
    """
    nodes = np.zeros(2 * len(low) - 1, NODE)

    def fill(node: int, items: I32) -> int:
        """Write the tree over ``items`` from ``node`` on; returns the node after it."""
        nodes[node]["low"] = low[items].min(axis=0)
        nodes[node]["high"] = high[items].max(axis=0)
        nodes[node]["item"] = items[0] if len(items) == 1 else -1
        after = node + 1
        if len(items) > 1:
            for half in _split(items, low, high):
                after = fill(after, half)
        nodes[node]["skip"] = after
        return after

    fill(0, np.arange(len(low), dtype=np.int32))
    return nodes


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
