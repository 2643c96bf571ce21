"""The CPU engine: exact disks by a centred conic, a private depth buffer a thread.

With d = (du, dv) the pixel's offset from the disk centre's projection, inverse depth on the disk's
plane is linear, ``w = w0 + wu du + wv dv``, and the pixel's ray meets the disk where
``A du^2 + 2 B du dv + C dv^2 <= r^2 w^2``. Centring keeps this stable in float32 and needs no
division a pixel.

A depth buffer holds 64-bit keys: the bits of the inverse depth, which order as the number does
while it is positive, above the complement of the surfel's index. The larger key is the nearer
disk, and of equal depths the lower index, so the result depends on neither order nor threads: the
nearest blocks are drawn first, and blocks wholly behind what they drew are never opened.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Int32
from numba import njit
from numpy.typing import NDArray

from vmem.cameras import Camera
from vmem.kernels.parallel import read_only, run_sliced, thread_count
from vmem.raster.blocks import BLOCK, Blocks, visible_blocks
from vmem.types import Surfels

SURFELS_A_THREAD = 4096
"""Below this a second thread costs more than it saves."""
SURFELS_ALONE = 16384
"""In an image of few pixels disks are small: below this a second thread costs more there."""
PIXELS_A_THREAD = 32768
"""Of fewer pixels, an image has few; and to merge buffers takes one thread."""
TILE = 8
"""Side in pixels of the tiles whose farthest depth tells whether a block is hidden."""
BLOCKS_TO_HIDE = 32
"""With fewer visible blocks than this, looking for hidden ones costs more than it saves."""
FAR_OUT = np.float32(1e4)
"""Tangent beyond which a direction is as good as infinite."""
MOST_THREADS = 8
"""More buffers than this cost more to merge than they save."""
WIDE = 8
"""Columns from which on a row's own span is worked out, at the price of a root a row."""
SHARES = (0.25, 0.5)
"""Shares of the visible blocks, nearest first, after which hidden ones are looked for."""


def kernel_cache() -> tuple[Path, bool]:
    """The folder where this engine's compiled kernels are kept, and whether they are there."""
    folder = Path(str(_draw_blocks.stats.cache_path))
    return folder, any(folder.glob(f"cpu.{_draw_blocks.__name__}*.nbc"))


def index_map(
    surfels: Surfels, blocks: Blocks, camera: Camera, near: float
) -> Int32[np.ndarray, "H W"]:
    """Index of the nearest front-facing disk a pixel's ray meets, -1 where none."""
    h, w = camera.hw
    visible = visible_blocks(blocks, camera, near)
    offered = len(visible) * BLOCK
    worth = min(
        offered // SURFELS_A_THREAD, max(h * w // PIXELS_A_THREAD, offered // SURFELS_ALONE)
    )
    parts = max(1, min(thread_count(), MOST_THREADS, worth))
    mergers = max(1, min(parts, h * w // PIXELS_A_THREAD))
    keys = np.zeros((parts, h, w), np.uint64)
    index = np.full((h, w), -1, np.int32)
    w2c = camera.w2c.astype(np.float32)
    intrinsics = camera.K[[0, 1, 0, 1], [0, 1, 2, 2]].astype(np.float32)
    position, normal, radius = read_only(surfels.position, surfels.normal, surfels.radius)

    def draw(chosen: NDArray[np.int32]) -> None:
        def part(i: int, start: int, stop: int) -> None:
            # Interleaved, so that every thread gets near and far blocks.
            _draw_blocks(
                position,
                normal,
                radius,
                read_only(chosen[i::parts])[0],
                BLOCK,
                w2c,
                intrinsics,
                np.float32(near),
                keys[i],
            )

        run_sliced(part, parts, parts)

    def merge_tiles(farthest: NDArray[np.float32]) -> None:
        def rows(i: int, start: int, stop: int) -> None:
            _merge(keys, start * TILE, min(h, stop * TILE), index, farthest)

        run_sliced(rows, len(farthest), mergers)

    edges = [0, len(visible)]
    if len(visible) >= BLOCKS_TO_HIDE:
        edges = [0, *(int(share * len(visible)) for share in SHARES), len(visible)]
    for start, stop in pairwise(edges):
        chosen = visible[start:stop]
        if start:
            farthest = np.zeros((-(-h // TILE), -(-w // TILE)), np.float32)
            merge_tiles(farthest)
            shown = np.empty(len(chosen), np.bool_)
            _not_hidden(
                blocks.sphere, chosen, w2c, intrinsics, np.float32(near), farthest, h, w, shown
            )
            chosen = chosen[shown]
        draw(chosen)
    none = np.zeros((0, 0), np.float32)
    run_sliced(lambda i, start, stop: _merge(keys, start, stop, index, none), h, mergers)
    return index


@njit(cache=True, nogil=True)
def _extent(centre, reach, depth_low, depth_high):
    """Bounds of x / z over ``centre +- reach`` with z in [depth_low, depth_high]."""
    low, high = centre - reach, centre + reach
    first = low / depth_low if low < 0 else low / depth_high
    last = high / depth_low if high > 0 else high / depth_high
    return first, last


@njit(cache=True, nogil=True)
def _merge(keys, row0, row1, index, farthest):
    """Rows [row0, row1): the largest key of all buffers into all of them, its surfel into index
    (H, W), and the least inverse depth of each tile into ``farthest``, unless that is empty."""
    # No rows are assigned whole: to compile that, with its error messages, takes numba 7 s.
    _h, w = index.shape
    parts = keys.shape[0]
    if farthest.size:
        for tile in range(row0 // TILE, (row1 + TILE - 1) // TILE):
            for tile_column in range(farthest.shape[1]):
                farthest[tile, tile_column] = np.inf
    for row in range(row0, row1):
        if parts == 2:
            for column in range(w):
                keys[0, row, column] = max(keys[0, row, column], keys[1, row, column])
        else:
            for part in range(1, parts):
                for column in range(w):
                    keys[0, row, column] = max(keys[0, row, column], keys[part, row, column])
        if farthest.size == 0:
            for column in range(w):
                index[row, column] = np.int32(np.uint32(~keys[0, row, column]))
            continue
        for part in range(1, parts):
            for column in range(w):
                keys[part, row, column] = keys[0, row, column]
        for column in range(w):
            inverse = np.uint32(keys[0, row, column] >> np.uint64(32)).view(np.float32)
            tile_row, tile_column = row // TILE, column // TILE
            farthest[tile_row, tile_column] = min(farthest[tile_row, tile_column], inverse)


@njit(cache=True, nogil=True)
def _not_hidden(sphere, blocks, w2c, intrinsics, near, farthest, h, w, shown):
    """Which blocks may show before ``farthest`` (tile rows, tile columns) inverse depth."""
    fx, fy, cx, cy = intrinsics
    for k in range(blocks.shape[0]):
        shown[k] = True
        X, Y, Z, reach = sphere[blocks[k]]
        z = w2c[2, 0] * X + w2c[2, 1] * Y + w2c[2, 2] * Z + w2c[2, 3]
        low = z - reach
        if low <= near:
            continue
        x = w2c[0, 0] * X + w2c[0, 1] * Y + w2c[0, 2] * Z + w2c[0, 3]
        y = w2c[1, 0] * X + w2c[1, 1] * Y + w2c[1, 2] * Z + w2c[1, 3]
        x0, x1 = _extent(x, reach, low, z + reach)
        y0, y1 = _extent(y, reach, low, z + reach)
        if not (x0 > -FAR_OUT and x1 < FAR_OUT and y0 > -FAR_OUT and y1 < FAR_OUT):
            continue  # no pixel can be named for it, as for NaN
        column0 = int(max(np.float32(0), x0 * fx + cx - 1)) // TILE
        column1 = int(min(np.float32(w - 1), x1 * fx + cx + 1)) // TILE
        row0 = int(max(np.float32(0), y0 * fy + cy - 1)) // TILE
        row1 = int(min(np.float32(h - 1), y1 * fy + cy + 1)) // TILE
        nearest = np.float32(1.0001) / low
        hidden = True
        for row in range(row0, row1 + 1):
            for column in range(column0, column1 + 1):
                if farthest[row, column] <= nearest:
                    hidden = False
                    break
            if not hidden:
                break
        shown[k] = not hidden


@njit(cache=True, nogil=True, fastmath={"contract", "arcp", "nsz"})
def _draw_blocks(position, normal, radius, blocks, size, w2c, intrinsics, near, keys):
    h, w = keys.shape
    n = position.shape[0]
    fx, fy, cx, cy = intrinsics
    half, one, zero = np.float32(0.5), np.float32(1), np.float32(0)
    right, bottom = np.float32(w - 1), np.float32(h - 1)
    limit = one / near
    for k in range(blocks.shape[0]):
        start = blocks[k] * size
        for i in range(start, min(n, start + size)):
            X, Y, Z = position[i, 0], position[i, 1], position[i, 2]
            r = radius[i]
            pz = w2c[2, 0] * X + w2c[2, 1] * Y + w2c[2, 2] * Z + w2c[2, 3]
            # Conditions are put so that NaN fails them.
            if not (pz + r > near and r > zero and r < np.inf):
                continue
            px = w2c[0, 0] * X + w2c[0, 1] * Y + w2c[0, 2] * Z + w2c[0, 3]
            py = w2c[1, 0] * X + w2c[1, 1] * Y + w2c[1, 2] * Z + w2c[1, 3]
            a, b, c = normal[i, 0], normal[i, 1], normal[i, 2]
            nx = w2c[0, 0] * a + w2c[0, 1] * b + w2c[0, 2] * c
            ny = w2c[1, 0] * a + w2c[1, 1] * b + w2c[1, 2] * c
            nz = w2c[2, 0] * a + w2c[2, 1] * b + w2c[2, 2] * c
            plane = nx * px + ny * py + nz * pz
            if not plane < zero:  # seen from behind, or edge-on
                continue

            # Bounding box: a disk reaches r * sqrt(1 - n_k^2) along axis k.
            reach_z = r * math.sqrt(max(zero, one - nz * nz))
            depth_low, depth_high = max(pz - reach_z, near), pz + reach_z
            if not depth_high > near:
                continue
            x0, x1 = _extent(px, r * math.sqrt(max(zero, one - nx * nx)), depth_low, depth_high)
            u0, u1 = x0 * fx + cx - half, x1 * fx + cx - half
            if not (u1 >= zero and u0 <= right):
                continue
            y0, y1 = _extent(py, r * math.sqrt(max(zero, one - ny * ny)), depth_low, depth_high)
            v0, v1 = y0 * fy + cy - half, y1 * fy + cy - half
            if not (v1 >= zero and v0 <= bottom):
                continue
            column0 = math.ceil(max(zero, u0))
            column1 = math.floor(min(right, u1))
            row0 = math.ceil(max(zero, v0))
            row1 = math.floor(min(bottom, v1))
            if column0 > column1 or row0 > row1:  # between the pixels' centres
                continue

            # Where the centre is behind the near plane its projection is far off or undefined:
            # expand about the principal point, where the same quadratic holds without centring.
            if pz > near:
                ox, oy = px / pz, py / pz
            else:
                ox, oy = zero, zero
            wu, wv = nx / (plane * fx), ny / (plane * fy)
            w0 = (nx * ox + ny * oy + nz) / plane
            # |ray - w p|^2 <= r^2 w^2 with ray = (ox + du/fx, oy + dv/fy, 1)
            ex, ey, ez = ox - w0 * px, oy - w0 * py, one - w0 * pz
            ux, uy, uz = one / fx - wu * px, -wu * py, -wu * pz
            vx, vy, vz = -wv * px, one / fy - wv * py, -wv * pz
            A = ux * ux + uy * uy + uz * uz
            B = ux * vx + uy * vy + uz * vz
            C = vx * vx + vy * vy + vz * vz
            D = ux * ex + uy * ey + uz * ez
            E = vx * ex + vy * ey + vz * ez
            F = ex * ex + ey * ey + ez * ez
            rr = r * r
            centre_u, centre_v = ox * fx + cx - half, oy * fy + cy - half
            span_a = A - rr * wu * wu
            # Not where the conic is close to a parabola: the disk all but meets the eye's plane.
            narrowing = column1 - column0 >= WIDE and span_a > np.float32(0.1) * A
            low_bits = np.uint64(np.uint32(~np.uint32(i)))
            for row in range(row0, row1 + 1):
                dv = np.float32(row) - centre_v
                w_row = w0 + wv * dv
                quadratic_row = (C * dv + E + E) * dv + F
                linear_row = B * dv + D
                first, last = column0, column1
                if narrowing:
                    # Columns inside solve span_a du^2 + 2 span_b du + span_c <= 0, give or take
                    # what rounds away: the test below decides.
                    span_b = linear_row - rr * w_row * wu
                    span_c = quadratic_row - rr * w_row * w_row
                    inside = span_b * span_b - span_a * span_c
                    reach = half + math.sqrt(max(zero, inside)) / span_a
                    middle = centre_u - span_b / span_a
                    if not (middle + reach >= column0 and middle - reach <= column1):
                        continue
                    first = int(max(np.float32(column0), middle - reach))
                    last = int(min(np.float32(column1), middle + reach))
                for column in range(first, last + 1):
                    du = np.float32(column) - centre_u
                    inverse = w_row + wu * du
                    distance = (A * du + linear_row + linear_row) * du + quadratic_row
                    # One branch, not four: none can be foreseen, and the nearer is a maximum.
                    if (distance <= rr * inverse * inverse) & (zero < inverse) & (inverse < limit):
                        bits = np.uint64(np.float32(inverse).view(np.uint32))
                        key = (bits << np.uint64(32)) | low_bits
                        keys[row, column] = max(keys[row, column], key)
