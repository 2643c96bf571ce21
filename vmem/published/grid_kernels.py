"""Compiled loops of ``grid``: the hash table, and the walk down an octree that was never built.

A cell holds the disks in it as a linked list. Cells are kept in blocks of 4 x 4 x 4 that lie
together, and a disk's numbers in one row (``rows`` (N, 8) f32: position, the next disk of its cell
as an i32 that shares the bytes of ``following`` (N, 8), normal, nothing). So a search, which is
mostly waiting for memory, waits for few lines of it.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vmem.published.octree import LEAF_SIZE, MAX_DEPTH

FREE = np.int64(-1)
BATCH = 32
"""Disks that are sought at once: their waits for memory overlap."""
NEXT = 3
"""Column of ``following`` that holds the next disk."""


def empty_index(slots: int) -> NDArray[np.int64]:
    """(slots, 2) i64 of (key of a block, its number); slots: a power of two."""
    return np.full((slots, 2), FREE, np.int64)


def empty_heads(blocks: int) -> NDArray[np.int32]:
    """(blocks, 64) i32 first disk of every cell of a block, -1 for none."""
    return np.full((blocks, 64), -1, np.int32)


@njit(cache=True, nogil=True)
def _cell_of(value, cell):
    # Far beyond any scene, but still an integer.
    return np.int64(math.floor(min(max(value / cell, -1e15), 1e15)))


@njit(cache=True, nogil=True)
def _slot(x, y, z, index):
    """Slot of a block: its own, or the free one where it belongs. Distant blocks may share one."""
    low = np.int64(0x1FFFFF)
    key = ((x & low) << 42) | ((y & low) << 21) | (z & low)
    mask = np.uint64(len(index) - 1)
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    slot = (mixed >> np.uint64(20)) & mask
    while index[slot, 0] != FREE and index[slot, 0] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot, key


@njit(cache=True, nogil=True)
def grown(index, slots):
    """The same index with more slots."""
    larger = np.full((slots, 2), FREE, np.int64)
    mask = np.uint64(slots - 1)
    for old in range(len(index)):
        key = index[old, 0]
        if key != FREE:
            slot = (np.uint64(key) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20)) & mask
            while larger[slot, 0] != FREE:
                slot = (slot + np.uint64(1)) & mask
            larger[slot] = index[old]
    return larger


@njit(cache=True, nogil=True)
def insert(rows, following, start, stop, index, heads, blocks, cell):
    """Put disks from ``start`` on into their cells' lists, as far as there is room for new blocks.

    Gives (the first disk not yet put, how many blocks there are now)."""
    room = min(len(heads), len(index) // 2)
    for i in range(start, stop):
        x, y = _cell_of(rows[i, 0], cell), _cell_of(rows[i, 1], cell)
        z = _cell_of(rows[i, 2], cell)
        slot, key = _slot(x >> 2, y >> 2, z >> 2, index)
        if index[slot, 0] == FREE:
            if blocks == room:
                return i, blocks
            index[slot, 0], index[slot, 1] = key, blocks
            blocks += 1
        inner = ((x & 3) << 4) | ((y & 3) << 2) | (z & 3)
        block = index[slot, 1]
        following[i, NEXT] = heads[block, inner]
        heads[block, inner] = i
    return stop, blocks


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
def _fits_leaf(depth, boxes, n, rows, following, index, heads, cell):
    """Whether the node at the end of a path of boxes holds no more points than a leaf may."""
    # The cells that overlap the box, grown by more than its rounding.
    box = boxes[depth]
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
            found += _on_path(i, depth, boxes, rows)
            if found > LEAF_SIZE:
                return False
        return True
    for bx in range(low[0] >> 2, (high[0] >> 2) + 1):
        for by in range(low[1] >> 2, (high[1] >> 2) + 1):
            for bz in range(low[2] >> 2, (high[2] >> 2) + 1):
                slot, _ = _slot(bx, by, bz, index)
                if index[slot, 0] == FREE:
                    continue
                block = index[slot, 1]
                for x in range(max(low[0], 4 * bx), min(high[0], 4 * bx + 3) + 1):
                    for y in range(max(low[1], 4 * by), min(high[1], 4 * by + 3) + 1):
                        for z in range(max(low[2], 4 * bz), min(high[2], 4 * bz + 3) + 1):
                            i = heads[block, ((x & 3) << 4) | ((y & 3) << 2) | (z & 3)]
                            while i >= 0:
                                found += _on_path(i, depth, boxes, rows)
                                if found > LEAF_SIZE:
                                    return False
                                i = following[i, NEXT]
    return True


@njit(cache=True, nogil=True)
def _on_path(i, depth, boxes, rows):
    """1 if a point lies in the last box and, however they are rounded, in all those above it."""
    x, y, z = rows[i, 0], rows[i, 1], rows[i, 2]
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
def _few_met(depth, boxes, rows, met, n_met):
    """Whether a node holds no more of the points met than a leaf may."""
    found = 0
    for m in range(n_met):
        found += _on_path(met[m], depth, boxes, rows)
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
    query, radius, match, n_match, met, n_met, block, boxes, n, rows, following, index, heads, cell
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
                leaf = _few_met(depth, boxes, rows, met, n_met)
            if leaf:
                answer = _first_match(match, held, n_match, depth)
                break
            next_child[depth] = 0
        which = next_child[depth]
        if which == 8:  # rounding or pruning left nothing below
            if (
                open_question[depth]
                and _few_met(depth, boxes, rows, met, n_met)
                and _fits_leaf(depth, boxes, n, rows, following, index, heads, cell)
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
                holds = _inside(rows[i, 0], rows[i, 1], rows[i, 2], child)
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
            and _few_met(depth, boxes, rows, met, n_met)
            and _fits_leaf(depth, boxes, n, rows, following, index, heads, cell)
        ):
            break  # no leaf, so nothing above it is one
        answer = lowest
    return answer


@njit(cache=True, nogil=True)
def _heads_near(q, position, reach, index, heads, cell, cells, ends, ends_of, n_ends):
    """Add the first disks of the cells within ``reach`` of query q; how many ends there are."""
    for axis in range(3):
        cells[q, axis, 0] = _cell_of(position[axis] - reach, cell)
        cells[q, axis, 1] = _cell_of(position[axis] + reach, cell) + 1
    x0, x1 = cells[q, 0]
    y0, y1 = cells[q, 1]
    z0, z1 = cells[q, 2]
    for bx in range(x0 >> 2, ((x1 - 1) >> 2) + 1):
        for by in range(y0 >> 2, ((y1 - 1) >> 2) + 1):
            for bz in range(z0 >> 2, ((z1 - 1) >> 2) + 1):
                slot, _ = _slot(bx, by, bz, index)
                if index[slot, 0] == FREE:
                    continue
                block = index[slot, 1]
                for x in range(max(x0, 4 * bx), min(x1, 4 * bx + 4)):
                    for y in range(max(y0, 4 * by), min(y1, 4 * by + 4)):
                        for z in range(max(z0, 4 * bz), min(z1, 4 * bz + 4)):
                            i = heads[block, ((x & 3) << 4) | ((y & 3) << 2) | (z & 3)]
                            if i >= 0:
                                ends[n_ends], ends_of[n_ends] = i, q
                                n_ends += 1
    return n_ends


@njit(cache=True, nogil=True)
def _meet(following, ends, ends_of, n_ends, met, n_met):
    """Walk all lists at once, so that waiting for one disk's row overlaps with all others'.

    Gives ``met`` (BATCH, C), a larger one if they did not fit; n_met (BATCH,) is how many."""
    while n_ends:
        left = 0
        for e in range(n_ends):
            i, q = ends[e], ends_of[e]
            if n_met[q] == met.shape[1]:
                larger = np.empty((met.shape[0], 2 * met.shape[1]), np.int32)
                larger[:, : met.shape[1]] = met
                met = larger
            met[q, n_met[q]] = i
            n_met[q] += 1
            i = following[i, NEXT]
            if i >= 0:
                ends[left], ends_of[left] = i, q
                left += 1
        n_ends = left
    return met


@njit(cache=True, nogil=True)
def search(
    new_position,
    new_normal,
    radius,
    normal_threshold,
    n,
    rows,
    following,
    index,
    heads,
    cell,
    root,
    found,
):
    """Fill ``found`` (M,) i32 with the first match of every new disk, -1 where there is none."""
    boxes = np.zeros((MAX_DEPTH + 2, 4), np.float32)
    boxes[0] = root
    query, cells = np.empty(3, np.float32), np.empty((BATCH, 3, 2), np.int64)
    met, n_met = np.empty((BATCH, 64), np.int32), np.empty(BATCH, np.int64)
    match = np.empty(64, np.int32)
    ends, ends_of = np.empty(27 * BATCH, np.int32), np.empty(27 * BATCH, np.int32)
    reach = np.float64(radius) * 1.0001
    for start in range(0, len(new_position), BATCH):
        batch = min(BATCH, len(new_position) - start)
        n_met[:], n_ends = 0, 0
        for q in range(batch):
            position = new_position[start + q]
            n_ends = _heads_near(
                q, position, reach, index, heads, cell, cells, ends, ends_of, n_ends
            )
        met = _meet(following, ends, ends_of, n_ends, met, n_met)
        if len(match) < met.shape[1]:
            match = np.empty(met.shape[1], np.int32)
        for q in range(batch):
            query[:] = new_position[start + q]
            x, y, z = query
            a, b, c = new_normal[start + q]
            n_match = 0
            for m in range(n_met[q]):
                i = met[q, m]
                dx, dy, dz = rows[i, 0] - x, rows[i, 1] - y, rows[i, 2] - z
                near = np.sqrt(_rounded_dot(dx, dy, dz, dx, dy, dz)) <= radius
                agreement = _rounded_dot(rows[i, 4], rows[i, 5], rows[i, 6], a, b, c)
                if near and agreement > normal_threshold:
                    match[n_match] = i
                    n_match += 1
            if not n_match:
                continue
            if n <= LEAF_SIZE:
                # The root is the only leaf.
                if not _pruned(x, y, z, root, radius):
                    found[start + q] = match[:n_match].min()
                continue
            found[start + q] = _first_in_order(
                query,
                radius,
                match,
                n_match,
                met[q],
                n_met[q],
                cells[q],
                boxes,
                n,
                rows,
                following,
                index,
                heads,
                cell,
            )
