"""Which surfels a camera sees, one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.raster.test_blocks import patches
from tests.raster.test_raster import random_camera
from vmem.cameras import Camera, default_K
from vmem.raster import Blocks, rasterize
from vmem.raster.blocks import BLOCK, visible_blocks
from vmem.raster.visibility import DEPTH_TOLERANCE, NEAREST, visible_votes
from vmem.types import Surfels


def scattered(n: int, seed: int) -> Surfels:
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=(n, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return Surfels(
        rng.uniform(-1.5, 1.5, (n, 3)).astype(np.float32) + np.array([0, 0, 2], np.float32),
        normal.astype(np.float32),
        rng.uniform(0.05, 0.4, n).astype(np.float32),
        np.zeros((n, 3), np.uint8),
    )


def test_against_one_surfel_at_a_time() -> None:
    camera = Camera(np.eye(4), default_K((40, 56)), (40, 56))
    surfels = scattered(300, 1)
    buffers = rasterize(surfels, camera)
    votes = visible_votes(surfels, buffers, camera)
    for i in range(len(surfels)):
        x, y, z = surfels.position[i].astype(float)
        cosine = -float(surfels.normal[i] @ surfels.position[i]) / float(
            np.hypot(np.hypot(x, y), z)
        )
        expected = 0.0
        if z > 1e-3 and cosine > 0:
            column = int(np.floor(camera.K[0, 0] * x / z + camera.K[0, 2]))
            row = int(np.floor(camera.K[1, 1] * y / z + camera.K[1, 2]))
            inside = 0 <= column < 56 and 0 <= row < 40
            if inside and z <= buffers.depth[row, column] * (1 + DEPTH_TOLERANCE):
                expected = cosine / (1 + z)
        assert abs(votes[i] - expected) < 1e-5
    assert 0 < (votes > 0).sum() < len(surfels)


def test_disks_beneath_their_neighbours_count_and_hidden_ones_do_not() -> None:
    camera = Camera(np.eye(4), default_K((32, 32)), (32, 32))
    surfels = Surfels(
        np.array([[0, 0, 2], [0.01, 0, 2], [0, 0, 3]], np.float32),
        np.tile(np.array([0, 0, -1], np.float32), (3, 1)),
        np.array([0.5, 0.3, 0.5], np.float32),
        np.zeros((3, 3), np.uint8),
    )
    buffers = rasterize(surfels, camera)
    assert not (buffers.index == 1).any(), "the first disk covers the second"
    votes = visible_votes(surfels, buffers, camera)
    assert votes[0] > 0
    assert votes[1] > 0
    assert votes[2] == 0


def test_no_surfels() -> None:
    camera = Camera(np.eye(4), default_K((8, 8)), (8, 8))
    empty = Surfels.empty()
    assert len(visible_votes(empty, rasterize(empty, camera), camera)) == 0


@given(st.integers(0, 2**31))
def test_the_visible_blocks_hold_all_that_is_seen(seed: int) -> None:
    rng = np.random.default_rng(seed)
    surfels, camera = patches(rng, 12), random_camera(rng)
    # A few right before the eye, nearer than what is drawn.
    surfels.position[:: BLOCK // 2] = camera.position + rng.uniform(0, 0.03) * camera.c2w[:3, 2]
    buffers, blocks = rasterize(surfels, camera), Blocks.of(surfels)
    near = visible_blocks(blocks, camera, NEAREST)
    everywhere = visible_votes(surfels, buffers, camera)
    np.testing.assert_array_equal(visible_votes(surfels, buffers, camera, blocks=near), everywhere)


def test_votes_of_several_cameras_are_raised_to_the_highest() -> None:
    surfels = scattered(700, 2)
    cameras = [
        Camera(np.eye(4), default_K((40, 56)) * scale, (40, 56))
        for scale in ([[1.0], [1], [1]], [[2.0], [2], [1]])
    ]
    each = []
    votes = np.zeros(len(surfels), np.float32)
    for camera in cameras:
        buffers = rasterize(surfels, camera)
        each.append(visible_votes(surfels, buffers, camera, by_depth=False))
        assert visible_votes(surfels, buffers, camera, by_depth=False, out=votes) is votes
    np.testing.assert_array_equal(votes, np.maximum(*each))


def test_only_the_named_blocks_are_looked_at() -> None:
    camera = Camera(np.eye(4), default_K((40, 56)), (40, 56))
    surfels = scattered(3 * BLOCK - 5, 3)
    buffers = rasterize(surfels, camera)
    votes = visible_votes(surfels, buffers, camera, blocks=np.array([2, 0], np.int32))
    expected = visible_votes(surfels, buffers, camera)
    expected[BLOCK : 2 * BLOCK] = 0
    assert expected[2 * BLOCK :].any()
    np.testing.assert_array_equal(votes, expected)
