"""Compiled loops of ``grid``: the hash table, and the walk down an octree that was never built."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vmem.reference.octree import LEAF_SIZE, MAX_DEPTH

EMPTY = np.int64(-1)


def empty_table(size: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """(keys of cells, first disk in each) for ``size`` slots, a power of two."""
    return np.full(size, EMPTY, np.int64), np.full(size, -1, np.int32)


@njit(cache=True, nogil=True)
def _cell_of(value, cell):
    # Far beyond any scene, but still an integer.
    return np.int64(math.floor(min(max(value / cell, -1e15), 1e15)))


@njit(cache=True, nogil=True)
def _slot(x, y, z, keys):
    """Slot of a cell: its own, or the free one where it belongs. Distant cells may share one."""
    low = np.int64(0x1FFFFF)
    key = ((x & low) << 42) | ((y & low) << 21) | (z & low)
    mask = np.uint64(len(keys) - 1)
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    slot = (mixed >> np.uint64(20)) & mask
    while keys[slot] != EMPTY and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot, key


@njit(cache=True, nogil=True)
def insert(position, start, following, keys, heads, cell):
    """Put disks from ``start`` on into their cells' lists."""
    for i in range(start, len(position)):
        x, y = _cell_of(position[i, 0], cell), _cell_of(position[i, 1], cell)
        slot, key = _slot(x, y, _cell_of(position[i, 2], cell), keys)
        keys[slot] = key
        following[i] = heads[slot]
        heads[slot] = i


@njit(cache=True, nogil=True)
def _rounded_dot(ax, ay, az, bx, by, bz):
    return np.float32(np.float64(ax * bx) + np.float64(ay * by) + np.float64(az * bz))


@njit(cache=True, nogil=True)
def _inside(x, y, z, box):
    """Whether a point lies in a node's box (centre, half side)."""
    half = box[3]
    return abs(x - box[0]) <= half and abs(y - box[1]) <= half and abs(z - box[2]) <= half


@njit(cache=True, nogil=True)
def _pruned(x, y, z, box, radius):
    """Whether the octree's query leaves a node out."""
    zero = np.float32(0)
    dx = max(abs(x - box[0]) - box[3], zero)
    dy = max(abs(y - box[1]) - box[3], zero)
    dz = max(abs(z - box[2]) - box[3], zero)
    return dx * dx + dy * dy + dz * dz > radius * radius


@njit(cache=True, nogil=True)
def _child(box, which, out):
    quarter = box[3] / np.float32(2)
    out[0] = box[0] + (quarter if which & 4 else -quarter)
    out[1] = box[1] + (quarter if which & 2 else -quarter)
    out[2] = box[2] + (quarter if which & 1 else -quarter)
    out[3] = quarter


@njit(cache=True, nogil=True)
def _fits_leaf(depth, boxes, position, following, keys, heads, cell):
    """Whether the node at the end of a path of boxes holds no more points than a leaf may."""
    # The cells that overlap the box, grown by more than its rounding.
    box, n = boxes[depth], len(position)
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    cells = 1.0
    for axis in range(3):
        reach = np.float64(box[3]) * 1.0001 + abs(np.float64(box[axis])) * 1e-6
        low[axis] = _cell_of(box[axis] - reach, cell)
        high[axis] = _cell_of(box[axis] + reach, cell)
        cells *= high[axis] - low[axis] + 1
    found = 0
    if cells > n:
        for i in range(n):
            found += _on_path(i, depth, boxes, position)
            if found > LEAF_SIZE:
                return False
        return True
    for x in range(low[0], high[0] + 1):
        for y in range(low[1], high[1] + 1):
            for z in range(low[2], high[2] + 1):
                slot, _ = _slot(x, y, z, keys)
                i = heads[slot]
                while i >= 0:
                    found += _on_path(i, depth, boxes, position)
                    if found > LEAF_SIZE:
                        return False
                    i = following[i]
    return True


@njit(cache=True, nogil=True)
def _on_path(i, depth, boxes, position):
    """1 if a point lies in the last box and, however they are rounded, in all those above it."""
    x, y, z = position[i, 0], position[i, 1], position[i, 2]
    for level in range(depth, 0, -1):
        if not _inside(x, y, z, boxes[level]):
            return 0
    return 1


@njit(cache=True, nogil=True)
def _within_block(box, block, cell):
    """Whether all points of a box were met in the search: it lies within the cells searched."""
    for axis in range(3):
        reach = np.float64(box[3]) * 1.0001 + abs(np.float64(box[axis])) * 1e-6
        if box[axis] - reach < block[axis, 0] * cell or box[axis] + reach > block[axis, 1] * cell:
            return False
    return True


@njit(cache=True, nogil=True)
def _few_met(depth, boxes, position, met, n_met):
    """Whether a node holds no more of the points met than a leaf may."""
    found = 0
    for m in range(n_met):
        found += _on_path(met[m], depth, boxes, position)
        if found > LEAF_SIZE:
            return False
    return True


@njit(cache=True, nogil=True)
def _first_match(match, held, n_match, depth):
    """The lowest of the matches that the node at this depth holds."""
    best = np.int32(-1)
    for m in range(n_match):
        if held[m] >= depth and (best < 0 or match[m] < best):
            best = match[m]
    return best


@njit(cache=True, nogil=True)
def _first_in_order(
    query, radius, match, n_match, met, n_met, block, boxes, position, following, keys, heads, cell
):
    """The match that the octree's traversal meets first, or -1 if rounding hides them all.

    Counting the points of a large node is dear, and what it decides, whether the node is a leaf,
    seldom matters: most often the lowest match and the first one further down are the same. So
    large nodes are passed as if they were none, and counted on the way back if it does matter.
    met (n_met) are all points in the ``block`` of cells that was searched.
    """
    x, y, z = query
    if _pruned(x, y, z, boxes[0], radius):
        return np.int32(-1)
    held = np.zeros(n_match, np.int32)  # how far down the path each match lies
    next_child = np.zeros(MAX_DEPTH + 1, np.int32)
    open_question = np.zeros(MAX_DEPTH + 1, np.bool_)
    depth, entered, answer = 0, True, np.int32(-1)
    while True:
        box = boxes[depth]
        if entered:
            quarter = box[3] / np.float32(2)
            leaf = depth == MAX_DEPTH
            for axis in range(3):
                leaf = leaf or box[axis] + quarter == box[axis]
            open_question[depth] = not leaf and not _within_block(box, block, cell)
            if not leaf and not open_question[depth]:
                leaf = _few_met(depth, boxes, position, met, n_met)
            if leaf:
                answer = _first_match(match, held, n_match, depth)
                break
            next_child[depth] = 0
        which = next_child[depth]
        if which == 8:  # rounding or pruning left nothing below
            if (
                open_question[depth]
                and _few_met(depth, boxes, position, met, n_met)
                and _fits_leaf(depth, boxes, position, following, keys, heads, cell)
            ):
                answer = _first_match(match, held, n_match, depth)
                break
            depth -= 1
            if depth < 0:
                return answer
            entered = False
            continue
        next_child[depth] = which + 1
        child = boxes[depth + 1]
        _child(box, which, child)
        inside = False
        for m in range(n_match):
            if held[m] >= depth:
                i = match[m]
                holds = _inside(position[i, 0], position[i, 1], position[i, 2], child)
                held[m] = depth + 1 if holds else depth
                inside = inside or holds
        entered = inside and not _pruned(x, y, z, child, radius)
        if entered:
            depth += 1
    while depth > 0:
        depth -= 1
        lowest = _first_match(match, held, n_match, depth)
        if lowest == answer:
            continue
        if not (
            open_question[depth]
            and _few_met(depth, boxes, position, met, n_met)
            and _fits_leaf(depth, boxes, position, following, keys, heads, cell)
        ):
            break  # no leaf, so nothing above it is one
        answer = lowest
    return answer


@njit(cache=True, nogil=True)
def _doubled(array):
    larger = np.empty(2 * len(array), array.dtype)
    larger[: len(array)] = array
    return larger


@njit(cache=True, nogil=True)
def search(
    new_position,
    new_normal,
    radius,
    normal_threshold,
    position,
    normal,
    following,
    keys,
    heads,
    cell,
    root,
    found,
):
    """Fill ``found`` (M,) i32 with the first match of every new disk, -1 where there is none."""
    boxes = np.zeros((MAX_DEPTH + 2, 4), np.float32)
    boxes[0] = root
    match, met = np.empty(256, np.int32), np.empty(256, np.int32)
    query, block = np.empty(3, np.float32), np.empty((3, 2), np.int64)
    small = len(position) <= LEAF_SIZE
    reach = np.float64(radius) * 1.0001
    for q in range(len(new_position)):
        x, y, z = new_position[q, 0], new_position[q, 1], new_position[q, 2]
        a, b, c = new_normal[q, 0], new_normal[q, 1], new_normal[q, 2]
        query[0], query[1], query[2] = x, y, z
        for axis in range(3):
            block[axis, 0] = _cell_of(query[axis] - reach, cell)
            block[axis, 1] = _cell_of(query[axis] + reach, cell) + 1
        n_match, n_met = 0, 0
        for cx in range(block[0, 0], block[0, 1]):
            for cy in range(block[1, 0], block[1, 1]):
                for cz in range(block[2, 0], block[2, 1]):
                    slot, _ = _slot(cx, cy, cz, keys)
                    i = heads[slot]
                    while i >= 0:
                        if n_met == len(met):
                            match, met = _doubled(match), _doubled(met)
                        met[n_met] = i
                        n_met += 1
                        dx, dy, dz = position[i, 0] - x, position[i, 1] - y, position[i, 2] - z
                        squared = _rounded_dot(dx, dy, dz, dx, dy, dz)
                        if np.sqrt(squared) <= radius:
                            nx, ny, nz = normal[i, 0], normal[i, 1], normal[i, 2]
                            if _rounded_dot(nx, ny, nz, a, b, c) > normal_threshold:
                                match[n_match] = i
                                n_match += 1
                        i = following[i]
        if not n_match:
            continue
        if small:
            # The root is the only leaf.
            if not _pruned(x, y, z, root, radius):
                found[q] = match[:n_match].min()
            continue
        found[q] = _first_in_order(
            query,
            radius,
            match,
            n_match,
            met,
            n_met,
            block,
            boxes,
            position,
            following,
            keys,
            heads,
            cell,
        )
