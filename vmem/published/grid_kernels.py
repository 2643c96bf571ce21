"""Compiled loops of ``grid``: its hash table of cells, and the octree's order without an octree.

``rows`` (N, 8) f32 holds one disk a row: position (columns 0 to 2), the next disk of the same cell
(column 3, an i32 that shares the bytes and is read through ``links`` (N, 8) i32), normal (4 to 6).
A cell is a linked list, and a visit to a disk reads one line of memory. Cells lie in blocks of
4 x 4 x 4: ``index`` (slots, 2) i64 leads from the key of a block to its number, ``heads``
(blocks, 64) i32 from there to the first disk of each cell.

A node of the octree is a box: (x, y, z, half side) f32. ``boxes`` (depth, 4) is the path from the
root to a node. Every comparison is made in float32, as the octree makes it.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from vmem.published.octree import LEAF_SIZE, MAX_DEPTH

FREE = np.int64(-1)
NEXT = 3
"""Column of ``links`` that holds the next disk of a cell, -1 for none."""
ZERO = np.int64(0)
"""In place of the literal 0, for which numba would compile every callee a second time."""
BATCH = 32
"""New disks searched for at once, so that their waits for memory overlap."""


@njit(cache=True, nogil=True)
def _cell_of(value, cell):
    # Far beyond any scene, but still an integer.
    return np.int64(math.floor(min(max(value / cell, -1e15), 1e15)))


@njit(cache=True, nogil=True)
def _slot(x, y, z, index):
    """(slot of block (x, y, z), its key); the slot is free if the block is not there."""
    low = np.int64(0x1FFFFF)  # distant blocks may share a key: they only cost time
    key = ((x & low) << 42) | ((y & low) << 21) | (z & low)
    mask = np.uint64(len(index) - 1)
    slot = (np.uint64(key) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20)) & mask
    while index[slot, 0] != FREE and index[slot, 0] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot, key


@njit(cache=True, nogil=True)
def insert(rows, links, start, stop, index, heads, blocks, cell):
    """Put disks from ``start`` on into their cells, as far as there is room for new blocks.

    Returns (the first disk not yet put, how many blocks there are now)."""
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
        links[i, NEXT] = heads[block, inner]
        heads[block, inner] = i
    return stop, blocks


@njit(cache=True, nogil=True)
def _cells_about(centre, reach, cell, cells):
    """Write to ``cells`` (3, 2) the first cell and the one after the last within ``reach``."""
    for axis in range(3):
        cells[axis, 0] = _cell_of(centre[axis] - reach, cell)
        cells[axis, 1] = _cell_of(centre[axis] + reach, cell) + 1


@njit(cache=True, nogil=True)
def _first_disks(cells, index, heads, x, y, z, ends, n):
    """Add the first disk of every filled cell in a block, as far as it is within ``cells``."""
    slot, _ = _slot(x, y, z, index)
    if index[slot, 0] == FREE:
        return n
    block = index[slot, 1]
    for i in range(max(cells[0, 0], 4 * x), min(cells[0, 1], 4 * x + 4)):
        for j in range(max(cells[1, 0], 4 * y), min(cells[1, 1], 4 * y + 4)):
            for k in range(max(cells[2, 0], 4 * z), min(cells[2, 1], 4 * z + 4)):
                first = heads[block, ((i & 3) << 4) | ((j & 3) << 2) | (k & 3)]
                if first >= 0:
                    ends[n] = first
                    n += 1
    return n


@njit(cache=True, nogil=True)
def _meet(links, ends, ends_of, n_ends, met, n_met):
    """Walk the lists of all cells at once, so that waiting for one row overlaps with the others.

    ``ends`` (n_ends,) are first disks, ``ends_of`` (n_ends,) the new disks whose searches they
    belong to. Returns ``met`` (BATCH, C), a larger one if they did not fit; n_met (BATCH,) is how
    many. ``ends`` and ``ends_of`` are overwritten."""
    while n_ends:
        left = 0
        for e in range(n_ends):
            i, q = ends[e], ends_of[e]
            if n_met[q] == met.shape[1]:
                met = np.concatenate((met, np.empty_like(met)), axis=1)
            met[q, n_met[q]] = i
            n_met[q] += 1
            if links[i, NEXT] >= 0:
                ends[left], ends_of[left] = links[i, NEXT], q
                left += 1
        n_ends = left
    return met


@njit(cache=True, nogil=True)
def _rounded_dot(ax, ay, az, bx, by, bz):
    return np.float32(np.float64(ax * bx) + np.float64(ay * by) + np.float64(az * bz))


@njit(cache=True, nogil=True)
def _inside(rows, i, boxes, depth):
    """Whether disk i lies in a box of the path."""
    half = boxes[depth, 3]
    x, y, z = (
        rows[i, 0] - boxes[depth, 0],
        rows[i, 1] - boxes[depth, 1],
        rows[i, 2] - boxes[depth, 2],
    )
    return abs(x) <= half and abs(y) <= half and abs(z) <= half


@njit(cache=True, nogil=True)
def _on_path(rows, i, boxes, depth):
    """Whether a node holds disk i: in its box and, however they are rounded, in all above it."""
    for level in range(depth, 0, -1):  # noqa: SIM110  a generator would not compile
        if not _inside(rows, i, boxes, level):
            return False
    return True


@njit(cache=True, nogil=True)
def _pruned(at, box, radius):
    """Whether the octree's query leaves a node out."""
    square = np.float32(0)
    for axis in range(3):
        outside = max(abs(at[axis] - box[axis]) - box[3], np.float32(0))
        square += outside * outside
    return square > radius * radius


@njit(cache=True, nogil=True)
def _count_met(boxes, depth, rows, met):
    """How many of the disks met a node holds, counted no further than a leaf may hold."""
    found = 0
    for i in met:
        found += _on_path(rows, i, boxes, depth)
        if found > LEAF_SIZE:
            break
    return found


@njit(cache=True, nogil=True)
def _count_all(boxes, depth, rows, links, index, heads, cell, n):
    """How many of all disks a node holds, counted no further than a leaf may hold."""
    box = boxes[depth]
    cells = np.empty((3, 2), np.int64)
    _cells_about(box, _reach(box), cell, cells)
    found = 0
    if np.prod((cells[:, 1] - cells[:, 0]).astype(np.float64)) > n:  # more cells than disks
        for i in range(n):
            found += _on_path(rows, i, boxes, depth)
            if found > LEAF_SIZE:
                break
        return found
    ends = np.empty(64, np.int32)
    for x in range(cells[0, 0] >> 2, ((cells[0, 1] - 1) >> 2) + 1):
        for y in range(cells[1, 0] >> 2, ((cells[1, 1] - 1) >> 2) + 1):
            for z in range(cells[2, 0] >> 2, ((cells[2, 1] - 1) >> 2) + 1):
                for i in ends[: _first_disks(cells, index, heads, x, y, z, ends, ZERO)]:
                    while i >= 0:
                        found += _on_path(rows, i, boxes, depth)
                        if found > LEAF_SIZE:
                            return found
                        i = links[i, NEXT]
    return found


@njit(cache=True, nogil=True)
def _reach(box):
    """Half side of a box, grown by more than its rounding."""
    largest = max(abs(box[0]), abs(box[1]), abs(box[2]))
    return np.float64(box[3]) * 1.0001 + np.float64(largest) * 1e-6


@njit(cache=True, nogil=True)
def _first_in_order(at, radius, boxes, depth, match, held, met, cells, grid):
    """The match that the octree's traversal meets first below a node, -1 if rounding hides all; and
    whether the node is known to be no leaf.

    ``match`` (M,) are the disks that match the query ``at``, ``held`` (M,) the depth to which each
    lies on the path. ``met`` are all disks in the ``cells`` (3, 2) about the query.

    Counting the disks of a large node is slow, and what the count decides, whether the node is a
    leaf, seldom matters: most often the lowest match of the node is also the first one below it.
    So a large node is passed as if it were none, and counted afterwards if it does matter.
    """
    rows, links, index, heads, cell, n = grid
    box = boxes[depth]
    if _pruned(at, box, radius):
        return np.int32(-1), False
    lowest = np.int32(n)
    for m in range(len(match)):
        if held[m] >= depth:
            lowest = min(lowest, match[m])
    leaf, small = depth == MAX_DEPTH, True
    reach, quarter = _reach(box), box[3] / np.float32(2)
    for axis in range(3):
        leaf = leaf or box[axis] + quarter == box[axis]
        small = small and box[axis] - reach >= cells[axis, 0] * cell
        small = small and box[axis] + reach <= cells[axis, 1] * cell
    if leaf or (small and _count_met(boxes, depth, rows, met) <= LEAF_SIZE):
        return lowest, False

    first, split = np.int32(-1), small
    child = boxes[depth + 1]
    for which in range(8):
        child[0] = box[0] + (quarter if which & 4 else -quarter)
        child[1] = box[1] + (quarter if which & 2 else -quarter)
        child[2] = box[2] + (quarter if which & 1 else -quarter)
        child[3] = quarter
        some = False
        for m in range(len(match)):
            if held[m] >= depth:
                holds = _inside(rows, match[m], boxes, depth + 1)
                held[m] = depth + 1 if holds else depth
                some = some or holds
        if some:
            first, below = _first_in_order(
                at, radius, boxes, depth + 1, match, held, met, cells, grid
            )
            split = split or below
            if first >= 0:
                break
    if first == lowest or split:
        return first, split
    if (
        _count_met(boxes, depth, rows, met) <= LEAF_SIZE
        and _count_all(boxes, depth, rows, links, index, heads, cell, n) <= LEAF_SIZE
    ):
        return lowest, False
    return first, True


@njit(cache=True, nogil=True)
def search(position, normal, radius, normal_threshold, root, grid, found):
    """Fill ``found`` (M,) i32 with the first match of every new disk, -1 where there is none.

    ``grid`` is (rows, links, index, heads, side of a cell, number of disks), ``root`` the box of
    the octree's root.
    """
    rows, links, index, heads, cell, _ = grid
    boxes = np.zeros((MAX_DEPTH + 2, 4), np.float32)
    for side in range(4):
        boxes[0, side] = root[side]
    cells = np.empty((BATCH, 3, 2), np.int64)
    met, n_met = np.empty((BATCH, 64), np.int32), np.empty(BATCH, np.int64)
    ends, ends_of = np.empty(27 * BATCH, np.int32), np.empty(27 * BATCH, np.int32)
    reach = np.float64(radius) * 1.0001
    for start in range(0, len(position), BATCH):
        batch = min(BATCH, len(position) - start)
        n_met[:], n_ends = 0, ZERO
        for q in range(batch):
            near = cells[q]
            _cells_about(position[start + q], reach, cell, near)
            begin = n_ends
            for x in range(near[0, 0] >> 2, ((near[0, 1] - 1) >> 2) + 1):
                for y in range(near[1, 0] >> 2, ((near[1, 1] - 1) >> 2) + 1):
                    for z in range(near[2, 0] >> 2, ((near[2, 1] - 1) >> 2) + 1):
                        n_ends = _first_disks(near, index, heads, x, y, z, ends, n_ends)
            ends_of[begin:n_ends] = q
        met = _meet(links, ends, ends_of, n_ends, met, n_met)
        match, held = np.empty(met.shape[1], np.int32), np.empty(met.shape[1], np.int32)
        for q in range(batch):
            at, facing = position[start + q], normal[start + q]
            n_match = 0
            for i in met[q, : n_met[q]]:
                x, y, z = rows[i, 0] - at[0], rows[i, 1] - at[1], rows[i, 2] - at[2]
                near_enough = np.sqrt(_rounded_dot(x, y, z, x, y, z)) <= radius
                cosine = _rounded_dot(
                    rows[i, 4], rows[i, 5], rows[i, 6], facing[0], facing[1], facing[2]
                )
                if near_enough and cosine > normal_threshold:
                    match[n_match] = i
                    n_match += 1
            if n_match:
                held[:] = 0
                found[start + q], _ = _first_in_order(
                    at,
                    radius,
                    boxes,
                    ZERO,
                    match[:n_match],
                    held,
                    met[q, : n_met[q]],
                    cells[q],
                    grid,
                )
