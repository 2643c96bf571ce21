"""The gpu engine against the ray caster and the CPU; on software Vulkan where there is no GPU."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tests.raster.test_raster import (
    CAMERA,
    SLACK,
    TOWARD,
    cast,
    disks,
    random_camera,
    random_surfels,
)
from tests.support.gpu_engine import DIFFERENT, needs_engine, room, share_unlike_cpu
from vmem.cameras import Camera, default_K
from vmem.raster import NEAR, SurfelBuffers, rasterize
from vmem.raster.blocks import BLOCK
from vmem.raster.gpu import buffers as gpu_buffers
from vmem.raster.gpu.engine import GpuEngine
from vmem.types import Surfels

pytestmark = needs_engine


def assert_index_as_cast(engine: GpuEngine, surfels: Surfels, camera: Camera) -> np.ndarray:
    """Every pixel shows a disk that its ray meets, and none that is met lies before it."""
    index = engine.index_map(surfels, camera, NEAR)
    assert index.shape == camera.hw
    assert index.dtype == np.int32
    assert index.min() >= -1
    assert index.max() < max(1, len(surfels))
    some = index >= 0
    rows, columns = np.nonzero(some)
    may_hit, depth = cast(surfels, camera, SLACK)
    must_hit, _ = cast(surfels, camera, -SLACK)
    surely_nearest = np.where(must_hit, depth, np.inf).min(axis=0, initial=np.inf)
    wrong = ~some & np.isfinite(surely_nearest)
    wrong[some] |= ~may_hit[index[some], rows, columns]
    wrong[some] |= depth[index[some], rows, columns] > surely_nearest[some] * (1 + SLACK)
    assert wrong.sum() <= max(1, DIFFERENT * wrong.size)
    return index


# --- against the ray caster ------------------------------------------------------------------


@given(st.integers(0, 2**31), st.integers(0, 120), st.sampled_from([0.5, 2.0, 6.0]))
def test_random_scenes(engine, seed, n, spread):
    rng = np.random.default_rng(seed)
    assert_index_as_cast(engine, random_surfels(rng, n, spread, 1.0), random_camera(rng))


@given(st.integers(0, 2**31))
def test_disks_so_large_that_the_camera_stands_among_them(engine, seed):
    rng = np.random.default_rng(seed)
    assert_index_as_cast(engine, random_surfels(rng, 12, 0.8, 20.0), random_camera(rng))


@given(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5), st.floats(0.03, 2), st.floats(0.05, 5))
def test_one_disk_at_any_slant(engine, yaw, pitch, z, radius):
    normal = Rotation.from_euler("YX", [yaw, pitch]).apply(TOWARD)
    assert_index_as_cast(engine, disks(((0.02, -0.03, z), tuple(normal), radius)), CAMERA)


@pytest.mark.parametrize(
    "surfels",
    [
        pytest.param(disks(((0, 0.1, 0), (0, -1, 0), 5)), id="floor-under-the-camera"),
        pytest.param(disks(((0, 0.1, -0.5), (0, -1, -0.01), 3)), id="floor-centred-behind"),
        pytest.param(disks(((0.05, 0, 0), (-1, 0, 0), 2)), id="wall-beside-the-camera"),
        pytest.param(disks(((0, 0, NEAR), (-0.3, 0, -1), 1)), id="centre-on-the-near-plane"),
        pytest.param(disks(((0, 0, 0.5), (0, 1, -0.2), 1)), id="through-the-near-plane"),
        pytest.param(disks(((0, 0, 0.021), TOWARD, 9)), id="just-beyond-the-near-plane"),
        pytest.param(disks(((0, 0, 2), (0, 0, -1), 1e-3)), id="smaller-than-a-pixel-but-hit"),
    ],
)
def test_disks_about_the_near_plane(engine, surfels):
    index = assert_index_as_cast(engine, surfels, CAMERA)
    assert (index == 0).any()
    np.testing.assert_array_equal(index, rasterize(surfels, CAMERA, "cpu").index)


@pytest.mark.parametrize(
    "surfels",
    [
        pytest.param(Surfels.empty(), id="no-surfels"),
        pytest.param(disks(((0, 0, -2), (0, 0, 1), 1)), id="behind-the-camera"),
        pytest.param(disks(((0, 0, 2), (0, 0, 1), 1)), id="seen-from-its-back"),
        pytest.param(disks(((0, 0, 2), (1, 0, 0), 1)), id="edge-on"),
        pytest.param(disks(((0, 0, 0), (0, 1, 0), 1)), id="camera-in-its-plane"),
        pytest.param(disks(((0, 0, 0.01), TOWARD, 1)), id="before-the-near-plane"),
        pytest.param(disks(((9, 0, 2), TOWARD, 1)), id="beside-the-image"),
        pytest.param(disks(((0, 0, 2), TOWARD, 0.0)), id="no-radius"),
        pytest.param(disks(((0, 0, 2), TOWARD, -1.0)), id="negative-radius"),
        pytest.param(disks(((0, 0, 2), TOWARD, math.inf)), id="endless"),
        pytest.param(disks(((math.nan, 0, 2), TOWARD, 1.0)), id="nowhere"),
    ],
)
def test_disks_that_no_pixel_sees(engine, surfels):
    camera = CAMERA.resized((32, 40))
    assert (engine.index_map(surfels, camera, NEAR) == -1).all()
    colors = np.full((len(surfels), 3), 255, np.uint8)
    painted = engine.paint(surfels, colors, camera, NEAR, background=(18, 19, 23))
    np.testing.assert_array_equal(painted, np.broadcast_to([18, 19, 23], (32, 40, 3)))


@pytest.mark.parametrize("hw", [(1, 1), (1, 63), (63, 1), (3, 64), (5, 65), (64, 128), (37, 333)])
def test_images_of_any_size(engine, hw):
    rng = np.random.default_rng(sum(hw))
    surfels = random_surfels(rng, 400, 2.0, 1.0)
    camera = Camera(np.eye(4), default_K(hw, 1.4), hw)
    index = engine.index_map(surfels, camera, NEAR)
    expected = rasterize(surfels, camera, "cpu").index
    assert index.shape == hw
    assert (index != expected).sum() <= max(1, DIFFERENT * index.size)
    assert engine.paint(surfels, surfels.color, camera, NEAR).shape == (*hw, 3)


def test_principal_points_far_off_the_centre(engine):
    rng = np.random.default_rng(3)
    surfels = random_surfels(rng, 300, 3.0, 1.0)
    for cx, cy in [(-40, 10), (200, 90), (64, -70), (11.3, 71.9)]:
        K = np.array([[70.0, 0, cx], [0, 110.0, cy], [0, 0, 1]])
        assert share_unlike_cpu(engine, surfels, Camera(np.eye(4), K, (80, 128))) <= DIFFERENT


# --- which disk wins -------------------------------------------------------------------------


def test_the_nearer_disk_wins_whatever_the_order(engine):
    near, far = ((0, 0, 1), TOWARD, 0.3), ((0, 0, 2), TOWARD, 5)
    assert engine.index_map(disks(near, far), CAMERA, NEAR)[16, 20] == 0
    assert engine.index_map(disks(far, near), CAMERA, NEAR)[16, 20] == 1
    assert engine.index_map(disks(far, near), CAMERA, NEAR)[0, 0] == 0


def test_of_equal_disks_the_first_wins(engine, monkeypatch):
    monkeypatch.setattr(gpu_buffers, "CHUNK", 256)  # several draws, too
    rng = np.random.default_rng(0)
    once = random_surfels(rng, 200, 2.0, 1.0)
    fresh = GpuEngine.create()
    for _ in range(5):
        camera = random_camera(rng)
        expected = engine.index_map(once, camera, NEAR)
        twice = fresh.index_map(Surfels.concatenate([once] * 4), camera, NEAR)
        np.testing.assert_array_equal(twice, expected)


def test_only_the_blocks_asked_for_are_drawn(engine):
    rng = np.random.default_rng(8)
    surfels = random_surfels(rng, 6 * BLOCK - 9, 3.0, 0.2)
    camera = random_camera(rng)
    blocks = np.array([5, 1, 3], np.int32)
    index = engine.index_map(surfels, camera, NEAR, visible=blocks)
    kept = np.flatnonzero(np.isin(np.arange(len(surfels)) // BLOCK, blocks))
    alone = engine.index_map(surfels[kept], camera, NEAR)
    np.testing.assert_array_equal(index, np.where(alone >= 0, kept[alone], -1))
    assert (index >= 0).any()
    none = np.zeros(0, np.int32)
    assert (engine.index_map(surfels, camera, NEAR, visible=none) == -1).all()


# --- pictures --------------------------------------------------------------------------------


def painted_on_cpu(drawn: SurfelBuffers, colors: np.ndarray, background) -> np.ndarray:
    image = np.empty((*drawn.index.shape, 3), np.uint8)
    image[:] = background
    seen = drawn.index >= 0
    shading = 0.6 + 0.4 * drawn.cosine[seen][:, None]
    image[seen] = (colors[drawn.index[seen]] * shading).astype(np.uint8)
    return image


@pytest.mark.parametrize("n", [1, 2, 3, 259, 4000])
def test_pictures_are_those_of_the_cpu(engine, n):
    rng = np.random.default_rng(n)
    surfels = room(n, rng)
    hw = (97, 130)
    camera = Camera(np.eye(4), default_K(hw, 1.5), hw)
    expected = rasterize(surfels, camera, "cpu")
    same = engine.index_map(surfels, camera, NEAR) == expected.index
    assert same.mean() >= 1 - DIFFERENT
    for colors in (surfels.color, rng.integers(0, 256, (n, 3), np.uint8)):
        picture = engine.paint(surfels, colors, camera, NEAR, background=(18, 19, 23))
        assert picture.dtype == np.uint8
        by_cpu = painted_on_cpu(expected, colors, (18, 19, 23))
        assert np.abs(picture[same].astype(int) - by_cpu[same]).max() <= 1


def test_colours_of_other_surfels_are_refused(engine):
    with pytest.raises(ValueError, match=r"\(1, 3\)"):
        engine.paint(disks(((0, 0, 2), TOWARD, 1)), np.zeros((2, 3), np.uint8), CAMERA, NEAR)
